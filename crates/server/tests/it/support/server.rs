use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use tidings_core::api_key::{ApiKey, Scope, format_key, hash_key};
use tidings_server::{
    config::{self, Config},
    secret::{random_bytes, random_hex},
    server::{Parts, Server},
    state::AppState,
    workers,
};
use tidings_testkit::postgres::Database;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{Answer, Api, Client, SECRET, claims, log, sign, store, within};

/// A server in this process, with a data directory and a port of its own. It stops when it is
/// dropped.
pub struct TestServer {
    pub address: SocketAddr,
    pub state: AppState,
    /// An API key with every scope, and its id.
    pub key: String,
    pub key_id: String,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
    dir: TempDir,
    /// Where it stores on PostgreSQL.
    database: Option<Arc<Database<'static>>>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::with_parts(configure, Parts::default()).await
    }

    pub async fn with_parts(configure: impl FnOnce(&mut Config), parts: Parts) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let database = match parts.store {
            None if store::on_postgres() => Some(store::postgres().await),
            _ => None,
        };
        Self::launch(dir, database, configure, parts).await
    }

    async fn launch(
        dir: TempDir,
        database: Option<Arc<Database<'static>>>,
        configure: impl FnOnce(&mut Config),
        parts: Parts,
    ) -> Self {
        log::collect();
        let mut config = Config { port: 0, data_dir: dir.path().join("data"), ..Config::default() };
        config.auth.jwt_secret = Some(SECRET.to_owned());
        config.database_url = database.as_ref().map(|database| database.url().into());
        config.lifecycle.unready = Duration::ZERO;
        config.lifecycle.drain = Duration::ZERO;
        config.lifecycle.announcement_pause = Duration::from_millis(5);
        // Rooms are told who came and went when a test says so, not in between.
        config.presence.tick = Duration::from_secs(24 * 3600);
        config.presence.large_tick = config.presence.tick;
        // Longer than any pause of a busy machine.
        config.presence.grace = Duration::from_secs(60);
        config.presence.typing = Duration::from_secs(60);
        configure(&mut config);
        if config.dev {
            // It keeps what is tried out in a file.
            config.database_url = None;
        }
        assert_eq!(config::check(&config), Vec::<String>::new());
        let server = Server::start_with(config, parts).await.expect("a server");
        let address = server.address().expect("an address");
        let state = server.state().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let stop = async move {
                let _ = stopped.await;
            };
            server.run(stop).await.expect("a good end");
        });
        let (key_id, key) = make_key(&state, &Scope::ALL).await;
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { address, state, key, key_id, http, stop: Some(stop), running, dir, database }
    }

    /// Stops it in good order and starts it again on the same data.
    pub async fn restart(mut self, configure: impl FnOnce(&mut Config)) -> Self {
        self.stop.take();
        within(&mut self.running).await.expect("a good end");
        let Self { dir, database, state, .. } = self;
        drop(state);
        Self::launch(dir, database, configure, Parts::default()).await
    }

    /// Stops it in good order.
    pub async fn stop(mut self) {
        self.stop.take();
        within(self.running).await.expect("a good end");
    }

    /// Tells the rooms what is to be told by then, if nobody does anything before.
    pub async fn tell_presence(&self, after: Duration) {
        let now = self.state.clock.now().plus(after);
        workers::tell_presence(&self.state, now).await.expect("told");
    }

    /// As a server of the application.
    pub fn api(&self) -> Api {
        self.caller(Some(self.key.clone()))
    }

    /// As this user.
    pub fn user(&self, id: &str) -> Api {
        self.caller(Some(self.token(id)))
    }

    pub fn nobody(&self) -> Api {
        self.caller(None)
    }

    pub fn caller(&self, token: Option<String>) -> Api {
        let origin = format!("http://{}", self.address);
        Api { http: self.http.clone(), origin, prefix: "/api/v1", token }
    }

    /// Where it stores, if that is on PostgreSQL and the tests' own choice.
    pub fn database_url(&self) -> Option<String> {
        self.database.as_ref().map(|database| database.url())
    }

    /// Where it stores on SQLite.
    pub fn database_file(&self) -> std::path::PathBuf {
        self.state.config.data_dir.join("tidings.db")
    }

    /// A page outside the API.
    pub async fn page(&self, path: &str) -> Answer {
        Answer::of(self.http.get(format!("http://{}{path}", self.address))).await
    }

    /// The sum of a metric's series that have this label; zero if there are none.
    pub async fn metric(&self, name: &str, label: &str) -> u64 {
        let text = self.page("/metrics").await.text;
        let series = format!("{name}{{");
        let lines = text.lines().filter(|line| line.starts_with(&series) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    pub fn token(&self, user: &str) -> String {
        sign(&claims(user))
    }

    /// Another API key, and its id.
    pub async fn key_with(&self, scopes: &[Scope]) -> (String, String) {
        let (id, key) = make_key(&self.state, scopes).await;
        (key, id)
    }

    /// A device of this user that has been told everything.
    pub async fn connect(&self, user: &str) -> Client {
        let mut client = Client::open(self.address).await;
        client.join(json!({ "token": self.token(user) })).await;
        client.wait("connected").await;
        client.wait("notifications:pending").await;
        client
    }

    /// A device of this user that says more in its CONNECT; nothing is read yet.
    pub async fn connect_with(&self, user: &str, mut auth: serde_json::Value) -> Client {
        auth["token"] = self.token(user).into();
        let mut client = Client::open(self.address).await;
        client.join(auth).await;
        client
    }
}

async fn make_key(state: &AppState, scopes: &[Scope]) -> (String, String) {
    let key = format_key(random_bytes());
    let record = ApiKey {
        id: format!("key_{}", random_hex::<6>()),
        name: "test".to_owned(),
        hash: hash_key(&key),
        scopes: scopes.to_vec(),
        created_at: state.clock.now(),
        revoked_at: None,
    };
    let id = record.id.clone();
    state.store.create_api_key(record).await.expect("a key");
    (id, key)
}
