//! What nodes leave for one another passes the conformance suite of their port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

mod memory {
    use std::sync::Arc;

    use tidings_bus::MemoryParking;

    tidings_testkit::parking_conformance!(Arc::new(MemoryParking::default()));
}

mod standalone {
    use tidings_testkit::redis::Redis;

    use super::support::OnRedis;

    tidings_testkit::parking_conformance!(OnRedis::at(&Redis::shared().url()).parking().await);
}

mod cluster {
    use super::support::{OnRedis, cluster};

    tidings_testkit::parking_conformance!(OnRedis::at(&cluster().url()).parking().await);
}
