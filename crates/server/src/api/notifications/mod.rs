//! `/notifications`: servers send and retract, users read and tidy.

mod accept;
pub(super) mod change;
pub(super) mod list;
pub(super) mod schema;
pub(super) mod send;
