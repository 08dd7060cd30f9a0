//! This node's end of the bus: where what comes from it goes, and what is done when it lost
//! something.

mod departures;
mod metrics;
mod sink;

use std::sync::Arc;

use anyhow::Context as _;
use tidings_bus::{
    MemoryBroker,
    redis::{Redis, RedisBus},
};
use tidings_core::{
    ids::NodeId,
    ports::{Bus, BusSink},
};

pub use departures::{Departure, Departures};
pub use metrics::BusMetrics;
pub use sink::{Missed, NodeSink};

use crate::{
    config::{Config, Ingest, RedisUrl, SocketIo},
    metrics::Metrics,
};

/// Makes this node's end of a bus that delivers to the sink.
pub type JoinBus = Box<dyn FnOnce(NodeId, Arc<dyn BusSink>) -> Arc<dyn Bus> + Send>;

/// The Redis servers of the configuration. One that is away is looked for.
pub(crate) struct Redises {
    /// That of the bus; `None`: this node is alone.
    pub(crate) own: Option<Redis>,
    /// That of Socket.IO servers, if this is one of them.
    pub(crate) socketio: Option<Redis>,
    /// That of applications which leave notifications there.
    pub(crate) ingest: Option<Redis>,
}

pub(crate) async fn connect(config: &Config) -> anyhow::Result<Redises> {
    let own = match &config.redis_url {
        Some(url) => Some(connect_to(config, url, "redis_url (TIDINGS_REDIS_URL)").await?),
        None => None,
    };
    let socketio = match &config.socketio {
        SocketIo { enabled: false, .. } => None,
        SocketIo { redis_url: Some(url), .. } => {
            Some(connect_to(config, url, "socketio.redis_url").await?)
        }
        SocketIo { redis_url: None, .. } => own.clone(),
    };
    let ingest = match &config.ingest {
        Ingest { enabled: false, .. } => None,
        Ingest { redis_url: Some(url), .. } => {
            Some(connect_to(config, url, "ingest.redis_url").await?)
        }
        Ingest { redis_url: None, .. } => own.clone(),
    };
    Ok(Redises { own, socketio, ingest })
}

async fn connect_to(
    config: &Config,
    url: &RedisUrl,
    setting: &'static str,
) -> anyhow::Result<Redis> {
    let settings = config.redis_at(url).map_err(anyhow::Error::msg).context(setting)?;
    Redis::connect(settings).await.context(setting)
}

/// Joins the bus: the one that is given, that of Redis, or one of this node alone.
pub(crate) fn join(
    given: Option<JoinBus>,
    redis: Option<&Redis>,
    node: NodeId,
    sink: Arc<dyn BusSink>,
    metrics: &Metrics,
) -> Arc<dyn Bus> {
    match (given, redis) {
        (Some(join), _) => join(node, sink),
        (None, Some(redis)) => {
            let bus = Arc::new(RedisBus::start(redis.clone(), node, sink));
            metrics.watch(Box::new(metrics::Redis(Arc::clone(&bus))));
            bus
        }
        (None, None) => Arc::new(Arc::new(MemoryBroker::default()).join(node, sink)),
    }
}
