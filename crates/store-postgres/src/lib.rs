//! The store of Tidings on PostgreSQL: lanes that batch, pools that read.
//!
//! Reads run on a pool of connections to the primary, each in one snapshot (lists also on
//! [`replicas`]). What changes an
//! inbox runs in a lane, in a transaction shared with whatever else waited; the small nouns
//! (users, keys, memberships, the audit log, revocations) write in short transactions of their
//! own. The rules and the SQL of each noun are in the module that is named after it; [`ports`]
//! ties them to the traits of the domain.

mod accept;
mod acknowledge;
mod address;
mod announcements;
mod api_keys;
mod audience;
mod audit;
mod books;
mod change;
mod connection;
mod connections;
mod dedupe;
mod erasures;
mod failure;
mod idempotency;
mod import;
mod inboxes;
mod items;
mod lane;
mod maintenance;
mod memberships;
mod messages;
pub mod migrations;
mod months;
mod open;
pub mod outbox;
mod page;
mod ports;
mod prune;
mod removal;
mod replicas;
mod retraction;
mod retry;
mod rev_at;
mod revocations;
mod rows;
mod snapshot;
mod sql;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod tls;
mod users;
mod watermark;

pub use address::{Address, BadAddress};
pub use import::{Import, Place, Standing};
pub use store::{Options, PostgresStore, Stats, Timeouts};
