//! Connection state recovery of Socket.IO: a client whose transport broke comes back within a while, and is again who
//! it was, in the rooms it was in, with the events that it missed.
//!
//! The client takes the last argument of an event, if it is a string, for its *offset*, and hands in the last one
//! together with its *pid* when it comes back. So with recovery every event carries an offset: a position in the
//! namespace's [`Log`]. For this to say exactly what a client has, positions must reach each client in ascending order:
//! whoever takes a position, sends to several clients or changes who is where, holds the log's lock meanwhile. Events
//! that are not kept and have one recipient need no lock: they repeat the offset sent to this client last. What is in
//! them the application can send again by itself, from the mark that the client has ([`Frame::marked`]).
//!
//! A client may also come back on another node: of each that has gone the application is told ([`Namespace::saved`]), and
//! takes its [`Passport`] there. What it missed is what the application says ([`Namespace::arrive`]), since a log is of one node.
//!
//! [`Namespace::saved`]: crate::Namespace::saved
//! [`Namespace::arrive`]: crate::Namespace::arrive
//!
//! Locks are taken in this order: sessions, log, then those of the hub, then a session's link.

mod adopt;
mod log;
mod marks;
mod offset;
mod passport;
mod past;
mod resume;
mod saved;

use std::time::Duration;

pub(crate) use log::Log;
pub(crate) use marks::Marks;
pub use offset::Claim;
pub(crate) use offset::Offset;
pub use passport::{Arrival, Missing, Passport};
pub(crate) use past::{Past, Restoring};
pub(crate) use resume::Resume;
pub use saved::{Kept, Returning, SavedSession};

/// How much is kept, in each namespace, for clients that may come back. One that has missed more than is kept, or than
/// fits into its send buffer, begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How long a client may be away.
    pub window: Duration,
    /// Events kept, at most.
    pub max_packets: usize,
    /// Bytes of events kept, at most.
    pub max_bytes: usize,
}

impl Default for Recovery {
    fn default() -> Self {
        Self { window: Duration::from_secs(120), max_packets: 10_000, max_bytes: 16 << 20 }
    }
}
