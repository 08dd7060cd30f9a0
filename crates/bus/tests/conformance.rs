//! Every bus passes the conformance suite of its port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

mod memory {
    use std::sync::Arc;

    use async_trait::async_trait;
    use tidings_bus::MemoryBroker;
    use tidings_core::{
        ids::NodeId,
        ports::{Bus, BusSink},
    };
    use tidings_testkit::bus::BusHarness;

    struct Memory(Arc<MemoryBroker>);

    #[async_trait]
    impl BusHarness for Memory {
        async fn join(&self, node: NodeId, sink: Arc<dyn BusSink>) -> Arc<dyn Bus> {
            Arc::new(self.0.join(node, sink))
        }
    }

    tidings_testkit::bus_conformance!(Memory(Arc::default()));
}

mod standalone {
    use tidings_testkit::redis::Redis;

    use super::support::OnRedis;

    tidings_testkit::bus_conformance!(OnRedis::at(&Redis::shared().url()));
}

mod sentinel {
    use super::support::{OnRedis, sentinels};

    tidings_testkit::bus_conformance!(OnRedis::at(&sentinels().url()));
}

mod cluster {
    use super::support::{OnRedis, cluster};

    tidings_testkit::bus_conformance!(OnRedis::at(&cluster().url()));
}
