//! The gateway from outside: real sockets, its own port for every test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod ack;
mod backpressure;
mod bunch;
mod drain;
mod engine;
mod event;
mod flood;
mod handshake;
mod heartbeat;
mod hostile;
mod marks;
mod namespace;
mod plain;
mod polling;
mod recovery;
mod room;
mod serve;
mod stream;
mod support;
mod tls;
mod upgrade;
mod websocket;
