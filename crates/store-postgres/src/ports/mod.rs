//! The ports of the domain, each method tied to the module of its noun.
//!
//! `Always` repeats what says the same when it is made twice: reads, and writes that leave the
//! same behind and answer the same. `Undone` repeats only what the database surely undid.

mod announcements;
mod api_keys;
mod audit;
mod connections;
mod erasures;
mod inboxes;
mod maintenance;
mod memberships;
mod revocations;
mod users;
