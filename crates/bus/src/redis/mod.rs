//! Redis: as the bus between nodes, and for what they share.
//!
//! One [`Redis`] follows the masters (standalone, by Sentinel, or of a Cluster); the
//! [`RedisBus`] keeps two connections to each of them. What a node says goes to its own sink at
//! once and through Redis to the others; what it wants to hear it subscribes, channel by channel.
//! Whenever something may have gone past it (a new connection, too much at once, somebody who
//! could not say everything) the sink is told, and asks the store.

mod address;
mod bus;
mod certificates;
mod channel;
mod connection;
mod ear;
mod handle;
mod history;
mod link;
mod listener;
mod memory;
mod nodes;
mod parking;
mod partition;
mod quotas;
mod registry;
mod settings;
mod shared;
mod speaker;
mod stats;
mod topics;
mod topology;
mod wire;

pub use address::{Address, BadAddress, Deployment, Server};
pub use bus::RedisBus;
pub use channel::Names;
pub use connection::Connection;
pub use handle::{Redis, RefusedByRedis};
pub use parking::RedisParking;
pub use partition::Partition;
pub use quotas::RedisQuotas;
pub use registry::RedisRegistry;
pub use settings::Settings;
pub use stats::Stats;
