//! All quotas pass the conformance suite of their port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

mod memory {
    use std::sync::Arc;

    use tidings_bus::MemoryQuotas;

    tidings_testkit::quotas_conformance!(Arc::new(MemoryQuotas::default()));
}

mod standalone {
    use tidings_testkit::redis::Redis;

    use super::support::OnRedis;

    tidings_testkit::quotas_conformance!(OnRedis::at(&Redis::shared().url()).quotas().await);
}

mod cluster {
    use super::support::{OnRedis, cluster};

    tidings_testkit::quotas_conformance!(OnRedis::at(&cluster().url()).quotas().await);
}
