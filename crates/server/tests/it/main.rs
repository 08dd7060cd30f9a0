//! Tests of the whole server from outside: over HTTP and Socket.IO against a server in this
//! process, or against the real binary where the process itself matters.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test that calls them; clippy.toml lets only #[test] functions do so"
)]

mod alerts;
mod announcements;
mod api_keys;
mod application;
mod application_down;
mod architecture;
mod asyncapi;
mod audit;
mod auth;
mod backup;
mod bench;
mod bus;
mod change;
mod cli;
mod clock;
mod cluster;
mod cluster_nodes;
mod cluster_outages;
mod cluster_redis;
mod commands;
mod config;
mod connect;
mod connections;
mod crash;
mod damage;
mod deployments;
mod dump;
mod erasures;
mod export;
mod files;
mod flood;
mod guard;
mod health;
mod hostile;
mod hostile_socket;
mod idempotency;
mod inbox;
mod ingest;
mod interop;
mod introspection;
mod jwks;
mod lifecycle;
mod list;
mod logs;
mod many_nodes;
mod metrics;
mod openapi;
mod outbox;
mod plain;
mod plain_hostile;
mod postgres;
mod presence;
mod presence_api;
mod presence_devices;
mod proxies;
mod recovery;
mod recovery_nodes;
mod recovery_redis;
mod requests;
mod retention;
mod revocations;
mod rolling_restart;
mod room_access;
mod room_doors;
mod room_history;
mod rooms;
mod rooms_api;
mod send;
mod slow;
mod spool;
mod spool_crash;
mod spool_keys;
mod spool_postgres;
mod store_copy;
mod stream;
mod stream_hostile;
mod stream_tickets;
mod support;
mod tls;
mod tokens;
mod typing;
mod users;
