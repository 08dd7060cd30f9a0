//! The store of Tidings on SQLite: one writer that batches, many readers.
