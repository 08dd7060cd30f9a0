//! The domain of Tidings: ids, notifications, inboxes, and the ports to the outside.
//!
//! Nothing here does I/O, spawns a task or reads a clock: time, randomness and ids are
//! passed in. Adapters (`tidings-store-*`, `tidings-bus`, `tidings-gateway`) implement or
//! use the [`ports`]; the server wires them together.

pub mod announcement;
pub mod api_key;
pub mod audit;
pub mod connection;
pub mod copy;
pub mod duration;
pub mod erasure;
pub mod idempotency;
pub mod ids;
pub mod inbox;
pub mod notification;
pub mod notification_type;
pub mod ports;
pub mod presence;
pub mod problem;
pub mod registry;
pub mod revocation;
pub mod room;
pub mod signal;
pub mod time;
pub mod user;
