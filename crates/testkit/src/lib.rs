//! Conformance suites, one per port of the domain, and helpers for tests that need real processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "everything here runs inside tests, where a panic is how a test fails and print is how it explains"
)]

mod authority;
pub mod bus;
mod clock;
mod keeper;
mod message;
pub mod parking;
pub mod postgres;
pub mod program;
pub mod proxy;
pub mod quotas;
pub mod redis;
pub mod registry;
mod sink;
pub mod store;
pub mod twins;

pub use authority::{Authority, Issued};
pub use clock::ManualClock;
pub use message::{MessageBuilder, message, new_id, user, users};
pub use sink::RecordingSink;
