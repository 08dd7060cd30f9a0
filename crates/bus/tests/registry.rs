//! Every registry passes the conformance suite of its port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

mod memory {
    use std::sync::Arc;

    use tidings_bus::MemoryRegistry;

    tidings_testkit::registry_conformance!(Arc::new(MemoryRegistry::default()));
}

mod standalone {
    use tidings_testkit::redis::Redis;

    use super::support::OnRedis;

    tidings_testkit::registry_conformance!(OnRedis::at(&Redis::shared().url()).registry().await);
}

mod sentinel {
    use super::support::{OnRedis, sentinels};

    tidings_testkit::registry_conformance!(OnRedis::at(&sentinels().url()).registry().await);
}

mod cluster {
    use super::support::{OnRedis, cluster};

    tidings_testkit::registry_conformance!(OnRedis::at(&cluster().url()).registry().await);
}
