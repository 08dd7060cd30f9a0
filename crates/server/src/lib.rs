//! The Tidings server: the binary, its configuration, API and background loops.
