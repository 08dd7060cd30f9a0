//! Connections for commands.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, Value,
    aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use tidings_core::ports::BusError;

use super::settings::Settings;

/// After a failure nobody waits for Redis for so long.
const LEFT_ALONE: Duration = Duration::from_millis(500);

pub(super) async fn open(
    info: ConnectionInfo,
    settings: &Settings,
) -> RedisResult<MultiplexedConnection> {
    open_with(info, settings, config(settings)).await
}

/// A connection that tells what it hears.
pub(super) async fn open_to_listen(
    info: ConnectionInfo,
    settings: &Settings,
    ear: impl AsyncPushSender,
) -> RedisResult<MultiplexedConnection> {
    open_with(info, settings, config(settings).set_push_sender(ear)).await
}

async fn open_with(
    info: ConnectionInfo,
    settings: &Settings,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let client = match settings.address.certificates()? {
        Some(certificates) => Client::build_with_tls(info, certificates)?,
        None => Client::open(info)?,
    };
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn config(settings: &Settings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.response_timeout))
}

pub(super) fn failed(problem: RedisError) -> BusError {
    BusError(problem.to_string())
}

/// For commands with keys: one that knows where each key is.
#[derive(Clone)]
pub enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// The connection for commands: opened when it is needed, again after it broke, and left alone
/// for a moment after that failed, so that nobody waits for what is away.
#[derive(Clone, Default)]
pub(super) struct Commands(Arc<State>);

#[derive(Default)]
struct State {
    /// Locked while it is opened: one tries for all.
    open: tokio::sync::Mutex<Option<Connection>>,
    alone_until: Mutex<Option<Instant>>,
}

impl Commands {
    /// `single`: the master, unless it is a Cluster.
    pub(super) async fn connection(
        &self,
        settings: &Settings,
        single: Option<ConnectionInfo>,
    ) -> Result<Connection, BusError> {
        if self.is_left_alone() {
            return Err(BusError("Redis is away".to_owned()));
        }
        let mut open = self.0.open.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        if self.is_left_alone() {
            // Whoever was here first has just tried.
            return Err(BusError("Redis is away".to_owned()));
        }
        let opened = match single {
            Some(info) => self::open(info, settings).await.map(Connection::Single),
            None => open_cluster(settings).await.map(Connection::Cluster),
        };
        match opened {
            Ok(connection) => Ok(open.insert(connection).clone()),
            Err(problem) => {
                self.leave_alone();
                Err(failed(problem))
            }
        }
    }

    fn is_left_alone(&self) -> bool {
        self.0.alone_until.lock().is_some_and(|until| Instant::now() < until)
    }

    fn leave_alone(&self) {
        *self.0.alone_until.lock() = Some(Instant::now() + LEFT_ALONE);
    }

    /// The master is another one.
    pub(super) async fn forget(&self) {
        *self.0.open.lock().await = None;
        *self.0.alone_until.lock() = None;
    }

    /// What a command answered shows how the connection is.
    pub(super) async fn judge<T>(&self, answer: RedisResult<T>) -> Result<T, BusError> {
        let problem = match answer {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        if problem.is_unrecoverable_error() || problem.is_timeout() || problem.is_io_error() {
            *self.0.open.lock().await = None;
            self.leave_alone();
        } else if is_demoted(&problem) {
            *self.0.open.lock().await = None;
        }
        Err(failed(problem))
    }
}

/// It was a master when it was asked for.
fn is_demoted(problem: &RedisError) -> bool {
    problem.code().is_some_and(|code| matches!(code, "READONLY" | "MASTERDOWN" | "LOADING"))
}

async fn open_cluster(settings: &Settings) -> RedisResult<ClusterConnection> {
    let super::address::Deployment::Cluster { seeds } = &settings.address.deployment else {
        return Err(RedisError::from((redis::ErrorKind::InvalidClientConfig, "no Cluster")));
    };
    let seeds: RedisResult<Vec<ConnectionInfo>> =
        seeds.iter().map(|seed| settings.address.of_server(seed)).collect();
    let mut builder = ClusterClient::builder(seeds?)
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.response_timeout)
        .retries(3);
    if let Some(certificates) = settings.address.certificates()? {
        builder = builder.certs(certificates);
    }
    builder.build()?.get_async_connection().await
}
