//! The store of Tidings on PostgreSQL: lanes that batch, pools that read.
//!
//! Reads run on a pool of connections to the primary, each in one snapshot. What changes an
//! inbox runs in a lane, in a transaction shared with whatever else waited; the small nouns
//! (users, keys, memberships, the audit log, revocations) write in short transactions of their
//! own. The rules and the SQL of each noun are in the module that is named after it; [`ports`]
//! ties them to the traits of the domain.

mod address;
mod api_keys;
mod audit;
mod connection;
mod connections;
mod failure;
mod memberships;
pub mod migrations;
mod ports;
mod retry;
mod revocations;
mod rows;
mod store;
mod tls;
mod users;

pub use address::{Address, BadAddress};
pub use store::{Options, PostgresStore, Stats, Timeouts};
