//! This node's end of the bus: where what comes from it goes, and what is done when it lost
//! something.

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

pub use metrics::BusMetrics;
pub use sink::{Missed, NodeSink};

use crate::{config::Config, metrics::Metrics};

/// Makes this node's end of a bus that delivers to the sink.
pub type JoinBus = Box<dyn FnOnce(NodeId, Arc<dyn BusSink>) -> Arc<dyn Bus> + Send>;

/// The Redis of the configuration, if there is one. One that is away is looked for.
pub(crate) async fn connect(config: &Config) -> anyhow::Result<Option<Redis>> {
    let Some(settings) = config.redis().map_err(anyhow::Error::msg)? else { return Ok(None) };
    let redis = Redis::connect(settings).await.context("redis_url (TIDINGS_REDIS_URL)")?;
    Ok(Some(redis))
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
