//! Socket.IO on top of an Engine.IO session: its namespaces, packets and acknowledgements.

mod ack;
mod client;
mod perform;
mod socket;

pub use ack::{AckSender, Acknowledged, Asked};
pub(crate) use client::{Client, Incoming};
pub use socket::Socket;
