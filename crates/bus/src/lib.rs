//! The bus of Tidings: hints from the node that stored a change to the nodes whose users care.

pub mod ingest;
mod memory;
pub mod redis;
pub mod socketio;

pub use memory::{MemoryBroker, MemoryBus, MemoryParking, MemoryQuotas, MemoryRegistry};
