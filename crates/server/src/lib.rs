//! The Tidings server: the binary, its configuration, API and background loops.
//!
//! [`Config`](config::Config) (plain data) becomes [`AppState`](state::AppState) (ports behind
//! `Arc<dyn …>`), and that a [`Server`](server::Server) that runs. There are no globals.

mod address_limits;
pub mod admin;
pub mod api;
pub mod audit;
pub mod auth;
mod backlog;
mod breaker;
pub mod bus;
pub mod certificate;
pub mod cli;
pub mod client_address;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod connections;
pub mod data_dir;
mod files;
mod gateway;
pub mod guard;
mod guarded_store;
pub mod inbox;
pub mod ingest;
pub mod interop;
pub mod lifecycle;
pub mod limiter;
pub mod logging;
pub mod metrics;
mod outbound;
pub mod playground;
pub mod presence;
pub mod recovery;
pub mod rooms;
pub mod secret;
pub mod security;
pub mod server;
pub mod spool;
pub mod state;
pub mod store;
pub mod workers;
