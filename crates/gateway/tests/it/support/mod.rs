//! A server to test and clients to test it with.

mod client;
mod desk;
mod plain;
mod raw;
mod recorder;
mod secure;
mod server;

pub use client::{Poller, Ws, eventually, narrow, within};
pub use desk::{Desk, Peer};
pub use raw::{frame, raw, read_only};
pub use recorder::{Call, Recorder};
pub use secure::{Secure, Version, shake_hands, shown};
pub use server::{Server, config, large};
