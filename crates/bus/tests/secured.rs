//! Redis over TLS, with a certificate of ours, as the user that docs/cluster.md describes: it may do
//! what a node does, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::OnceLock;

use support::OnRedis;
use tidings_bus::redis::{Redis, Settings};
use tidings_testkit::redis::{Cluster, Redis as Server, Sentinels};

const USER: &str = "tidings:PASSWORD@";

/// As an operator copies it.
fn rule() -> &'static str {
    let page = include_str!("../../../docs/cluster.md");
    page.lines().find(|line| line.starts_with("ACL SETUSER tidings ")).expect("the rule")
}

fn standalone() -> OnRedis {
    static SHARED: OnceLock<Server> = OnceLock::new();
    let server = SHARED.get_or_init(|| {
        let server = Server::start_secured(&[]);
        server.admit(rule());
        server
    });
    OnRedis::confined_at(&server.url_of(USER))
}

fn sentinels() -> OnRedis {
    static SHARED: OnceLock<Sentinels> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let sentinels = Sentinels::start_secured().steady();
        sentinels.servers().iter().for_each(|server| server.admit(rule()));
        sentinels
    });
    OnRedis::confined_at(&shared.url_of(USER))
}

fn cluster() -> OnRedis {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let cluster = Cluster::start_secured().steady();
        cluster.servers().iter().for_each(|server| server.admit(rule()));
        cluster
    });
    OnRedis::confined_at(&shared.url_of(USER))
}

mod bus_on_standalone {
    use super::standalone;

    tidings_testkit::bus_conformance!(standalone());
}

mod bus_behind_sentinels {
    use super::sentinels;

    tidings_testkit::bus_conformance!(sentinels());
}

mod bus_on_a_cluster {
    use super::cluster;

    tidings_testkit::bus_conformance!(cluster());
}

mod registry_on_standalone {
    use super::standalone;

    tidings_testkit::registry_conformance!(standalone().registry().await);
}

mod registry_on_a_cluster {
    use super::cluster;

    tidings_testkit::registry_conformance!(cluster().registry().await);
}

mod quotas {
    use super::standalone;

    tidings_testkit::quotas_conformance!(standalone().quotas().await);
}

mod parking {
    use super::standalone;

    tidings_testkit::parking_conformance!(standalone().parking().await);
}

/// Why a node does not start with this.
async fn refused(url: &str) -> String {
    match Redis::connect(Settings::new(url.parse().unwrap())).await {
        Ok(_) => panic!("{url} is not refused"),
        Err(why) => why.to_string(),
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_reason() {
    // There whoever comes hears within the handshake what Redis objects to; with TLS 1.3 a little later, if at all.
    let old = ["--tls-protocols TLSv1.2"];
    let (server, other) = (Server::start_secured(&old), Server::start_secured(&old));
    server.admit(rule());
    let fine = server.url_of(USER);
    let (place, files) = fine.split_once("?").unwrap();
    let (authority, own) = files.split_once('&').unwrap();
    let other = other.url();
    let (_, others) = other.split_once('?').unwrap();
    let (foreign, others_own) = others.split_once('&').unwrap();
    for (url, reason) in [
        (format!("{place}?{foreign}&{own}"), "UnknownIssuer"),
        (format!("{place}?{own}"), "UnknownIssuer"),
        (format!("{place}?{authority}"), "HandshakeFailure"),
        (format!("{place}?{authority}&{others_own}"), "UnknownCA"),
        (format!("{place}?ca=/nowhere/ca.pem&{own}"), "/nowhere/ca.pem: No such file"),
    ] {
        let why = refused(&url).await;
        assert!(why.contains(reason) && why.contains("check the certificates"), "{url}: {why}");
        assert!(why.contains("rediss://127.0.0.1:") && !why.contains("PASSWORD"), "{why}");
    }
    let why = refused(&fine.replace("PASSWORD", "wr0ng-secret")).await;
    assert!(why.contains("check user name and password") && !why.contains("wr0ng"), "{why}");
    Redis::connect(Settings::new(fine.parse().unwrap())).await.unwrap();
}

#[test]
fn the_user_may_do_nothing_else() {
    let server = Server::start(&[]);
    server.admit(rule());
    let dry = |words: &[&str]| server.call(&[&["ACL", "DRYRUN", "tidings"], words].concat());
    assert_eq!(dry(&["HGETALL", "tidings:connections:alice"]), "OK");
    for refused in [
        &["HGETALL", "sessions:alice"][..],
        &["PUBLISH", "other", "x"],
        &["SUBSCRIBE", "user:alice"],
        &["KEYS", "*"],
        &["FLUSHALL"],
        &["CONFIG", "GET", "*"],
        &["ACL", "LIST"],
    ] {
        assert_ne!(dry(refused), "OK", "{refused:?}");
    }
}
