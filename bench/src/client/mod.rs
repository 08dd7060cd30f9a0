//! Clients cheap enough not to be the limit: one thread for thousands of connections.

mod board;
mod connection;
mod crowd;
mod http;
mod wire;

pub use board::{Board, Receipt, Traffic};
pub use crowd::{Crowd, Door};
pub use http::{Http, Pool};
