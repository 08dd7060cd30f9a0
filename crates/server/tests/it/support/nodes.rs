use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidings_server::{
    config::{Config, Role},
    server::Parts,
};
use tidings_testkit::postgres::Database;

use super::{Client, Doomed, TestServer, eventually, store};

/// Nodes of one cluster: one database, one Redis.
pub struct Nodes {
    database: Arc<Database<'static>>,
    redis_url: String,
    prefix: String,
    /// How long Redis may give no answer.
    patience: Duration,
}

impl Nodes {
    pub async fn on(redis_url: &str) -> Self {
        let prefix = format!("tidings:test-{:08x}", rand::random::<u32>());
        let (database, redis_url) = (store::postgres().await, redis_url.to_owned());
        Self { database, redis_url, prefix, patience: Duration::from_secs(10) }
    }

    /// As `on`, for a Redis that will give no answer.
    pub async fn impatient_on(redis_url: &str) -> Self {
        Self { patience: Duration::from_secs(1), ..Self::on(redis_url).await }
    }

    /// What the names of all keys and channels begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A node that hears the others.
    pub async fn start(&self) -> TestServer {
        self.start_with(|_| {}).await
    }

    /// One whose way to Redis is another.
    pub async fn start_at(&self, redis_url: &str) -> TestServer {
        self.start_with(|config| config.redis_url = Some(redis_url.to_owned().into())).await
    }

    pub async fn start_as(&self, role: Role) -> TestServer {
        self.start_with(|config| config.role = role).await
    }

    pub async fn start_with(&self, configure: impl FnOnce(&mut Config)) -> TestServer {
        let configure = |config: &mut Config| {
            self.configure(config);
            configure(config);
        };
        connected(TestServer::with_parts(configure, Parts::default()).await).await
    }

    /// One that can be killed.
    pub async fn doomed(&self, configure: impl FnOnce(&mut Config) + Send + 'static) -> Doomed {
        let mut common = Config::default();
        self.configure(&mut common);
        let configure = move |config: &mut Config| {
            config.database_url = common.database_url;
            config.redis_url = common.redis_url;
            (config.database, config.redis) = (common.database, common.redis);
            configure(config);
        };
        let starting = async { connected(TestServer::with(configure).await).await };
        Doomed::start(starting).await
    }

    fn configure(&self, config: &mut Config) {
        config.redis_url = Some(self.redis_url.clone().into());
        config.database_url = Some(self.database.url().into());
        // Many tests share a server.
        config.database.readers = 3;
        config.database.lanes = 1;
        config.redis.prefix.clone_from(&self.prefix);
        config.redis.probe_interval = Duration::from_millis(100);
        config.redis.probe_timeout = self.patience;
        config.redis.response_timeout = self.patience;
        config.redis.catch_up_interval = Duration::from_millis(300);
    }

    /// The environment of one that is a process.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("TIDINGS_DATABASE_URL", self.database.url()),
            ("TIDINGS_REDIS_URL", self.redis_url.clone()),
            ("TIDINGS_REDIS__PREFIX", self.prefix.clone()),
            ("TIDINGS_DATABASE__READERS", "3".to_owned()),
            ("TIDINGS_DATABASE__LANES", "1".to_owned()),
        ]
    }
}

async fn connected(node: TestServer) -> TestServer {
    eventually(|| async { node.state.bus.health().connected }).await;
    node
}

/// The seqs of notifications, live or pending, until this many were told. Fails if one comes
/// twice or out of order.
pub async fn told(client: &mut Client, count: u64) -> Vec<u64> {
    let mut seqs: Vec<u64> = Vec::new();
    while seqs.last().is_none_or(|last| *last < count) {
        let (name, body) = client.event().await;
        match name.as_str() {
            "notification" => seqs.push(seq(&body)),
            "notifications:pending" => {
                seqs.extend(body["notifications"].as_array().unwrap().iter().map(seq));
            }
            _ => {}
        }
    }
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    seqs
}

/// A user with a device on each of two nodes is told of everything on both, wherever it was sent.
pub async fn hears_the_same_on(here: &TestServer, there: &TestServer) {
    let (mut phone, mut laptop) = (here.connect("alice").await, there.connect("alice").await);
    for n in 0..20 {
        let api = if n % 2 == 0 { here.api() } else { there.api() };
        api.notify("alice", &format!("n{n}")).await;
    }
    let all: Vec<u64> = (1..=20).collect();
    assert_eq!(told(&mut phone, 20).await, all);
    assert_eq!(told(&mut laptop, 20).await, all);
    phone.ask("notification:readAll", Value::Null).await;
    let updated = laptop.wait("notification:updated").await;
    assert_eq!((&updated["readUpTo"], &updated["unread"]), (&json!(20), &json!(0)));
}

fn seq(notification: &Value) -> u64 {
    notification["seq"].as_u64().expect("a number")
}
