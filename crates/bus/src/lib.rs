//! The bus of Tidings: hints from the node that stored a change to the nodes whose users care.

mod memory;
pub mod redis;

pub use memory::{MemoryBroker, MemoryBus};
