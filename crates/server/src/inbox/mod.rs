//! Inboxes on their way to the devices: the hub that follows the bus, one session for each
//! connected device, and the events that it speaks.

mod arrival;
mod catch_up;
pub(crate) mod commands;
mod devices;
pub mod events;
mod held;
mod hub;
mod namespace;
mod open;
mod plain;
pub(crate) mod provisional;
mod publisher;
mod repair;
mod session;
mod shown;

pub use arrival::Arrival;
pub use catch_up::catch_up;
pub use hub::InboxHub;
pub use namespace::InboxNamespace;
pub(crate) use namespace::session_of;
pub(crate) use open::Since;
pub use plain::PlainInbox;
pub use publisher::{Publisher, channel as publisher_channel};
pub use repair::repair;
pub use session::InboxSession;
pub(crate) use session::REVOKED;
