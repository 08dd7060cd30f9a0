//! What the tests share: a server in this process or in one of its own, an HTTP client, and a
//! Socket.IO client that speaks the wire by hand.

mod answering;
mod api;
mod balancer;
mod bus;
mod client;
mod cluster;
mod deployment;
mod listener;
pub mod load;
mod log;
mod nodes;
mod outage;
mod plain;
mod polling;
mod process;
pub mod schema;
mod server;
pub mod store;
mod stream;
mod token;

use std::{future::Future, time::Duration};

pub use answering::{Answering, Asked, Says};
pub use api::{Answer, Api};
pub use balancer::{Balancer, Kind};
pub use bus::LossyBus;
pub use client::{Client, Packet};
pub use cluster::{Doomed, SOON, TestCluster};
pub use deployment::Deployment;
pub use listener::{Listener, Transport};
pub use log::logged;
pub use nodes::{Nodes, hears_the_same_on, told};
pub use outage::{Outage, find_out, impatient};
pub use plain::Plain;
pub use polling::Polling;
pub use process::{Tidings, fresh};
pub use server::TestServer;
pub use stream::{Sent, Stream};
pub use token::{SECRET, claims, now_secs, sign, sign_as};

/// Everything a test waits for comes long before this, or never.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often something is killed or crashes: 10 times, unless `TIDINGS_CYCLES` says otherwise.
pub fn cycles() -> usize {
    std::env::var("TIDINGS_CYCLES").map_or(10, |set| set.parse().expect("a number"))
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Waits for something that nothing announces.
pub async fn eventually<F, T>(mut condition: F)
where
    F: FnMut() -> T,
    T: Future<Output = bool>,
{
    within(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
