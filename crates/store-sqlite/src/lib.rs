//! The store of Tidings on SQLite: one writer that batches, many readers.
//!
//! Every write is a closure that the [writer](writer) carries out on its thread, in a
//! transaction shared with whatever else waited; every read runs on one of a few read-only
//! connections, in one snapshot. The rules and the SQL of each noun are in the module that is
//! named after it; [`ports`] ties them to the traits of the domain.

mod accept;
mod acknowledge;
mod announcements;
mod api_keys;
mod audience;
mod audit;
pub mod backup;
mod cache;
mod change;
mod connection;
mod connections;
mod dedupe;
mod erasures;
mod export;
mod failure;
mod idempotency;
mod inboxes;
mod maintenance;
mod memberships;
mod messages;
pub mod migrations;
mod open;
mod page;
mod ports;
mod prune;
mod readers;
mod removal;
mod retraction;
mod rev_at;
mod revocations;
mod rows;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod users;
mod watermark;
mod writer;

pub use export::Export;
pub use store::{Options, SqliteStore, Stats, Synchronous};
