//! Redis as everything but pub/sub sees it: commands with keys, wherever the master is now.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{Cmd, ConnectionInfo, FromRedisValue, Script, ScriptInvocation};
use tidings_core::ports::BusError;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    certificates,
    channel::Names,
    connection::{Commands, Connection},
    settings::{Backoff, Settings},
    topology::{Scout, Topology, Unknown},
};

/// Why a server cannot be started with this Redis. One that is only away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum RefusedByRedis {
    #[error("{address} refuses: {problem}; check user name and password")]
    Credentials { address: String, problem: String },
    #[error(
        "{address}, over TLS: {problem}; check the certificates that the address names, and Redis's own"
    )]
    Tls { address: String, problem: String },
}

/// A handle of Redis; cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    settings: Settings,
    names: Names,
    topology: watch::Receiver<Option<Arc<Topology>>>,
    /// Wakes the scout.
    doubts: Arc<tokio::sync::Notify>,
    commands: Commands,
    scout: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(scout) = self.scout.lock().take() {
            scout.abort();
        }
    }
}

impl Redis {
    /// Looks for Redis, and goes on looking if it is away. What it refuses for good is an error.
    pub async fn connect(settings: Settings) -> Result<Self, RefusedByRedis> {
        settings.address.certificates().map_err(|problem| untrusted(&settings, &problem))?;
        let mut scout = Scout::new(settings.clone());
        let commands = Commands::default();
        let first = match scout.look().await {
            Ok(topology) => Some(Arc::new(topology)),
            Err(Unknown::Redis(problem)) if is_refusal(&problem) => {
                return Err(refusal(&settings, &problem));
            }
            Err(Unknown::Redis(problem)) if certificates::are_refused(&problem) => {
                return Err(untrusted(&settings, &problem));
            }
            Err(problem) => {
                tracing::warn!(%problem, address = %settings.address, "Redis is not found; it is looked for");
                None
            }
        };
        let (sender, topology) = watch::channel(first);
        let doubts = Arc::new(tokio::sync::Notify::new());
        let names = settings.address.names(&settings.prefix);
        let inner = Inner {
            names,
            topology,
            doubts: Arc::clone(&doubts),
            commands: commands.clone(),
            scout: Mutex::default(),
            settings: settings.clone(),
        };
        let redis = Self(Arc::new(inner));
        let task = tokio::spawn(keep_looking(scout, sender, doubts, commands, settings));
        *redis.0.scout.lock() = Some(task);
        Ok(redis)
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub fn names(&self) -> &Names {
        &self.0.names
    }

    pub(super) fn topology(&self) -> Option<Arc<Topology>> {
        self.0.topology.borrow().clone()
    }

    /// Tells of every change.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Arc<Topology>>> {
        self.0.topology.clone()
    }

    /// Something went wrong that may mean that the master is another one.
    pub(super) fn doubt(&self) {
        self.0.doubts.notify_one();
    }

    /// A connection for commands with keys. Use it for one thing and drop it: the next may be
    /// another. What went wrong with it goes to [`judge`](Self::judge).
    pub async fn connection(&self) -> Result<Connection, BusError> {
        let single = self.master()?;
        self.0.commands.connection(&self.0.settings, single).await
    }

    /// A connection of its own, for commands that block and for subscriptions that are not the
    /// bus's; on a Cluster to any of the masters.
    pub async fn own_connection(
        &self,
        response_timeout: Duration,
        ear: impl redis::aio::AsyncPushSender,
    ) -> Result<redis::aio::MultiplexedConnection, BusError> {
        let away = || BusError("Redis is away".to_owned());
        let topology = self.topology().ok_or_else(away)?;
        let server = topology.masters.first().ok_or_else(away)?;
        let info = self.0.settings.address.of_server(server).map_err(super::connection::failed)?;
        let settings = Settings { response_timeout, ..self.0.settings.clone() };
        super::connection::open_to_listen(info, &settings, ear)
            .await
            .map_err(super::connection::failed)
    }

    /// The master, unless there are several.
    fn master(&self) -> Result<Option<ConnectionInfo>, BusError> {
        if self.0.names.cluster {
            return Ok(None);
        }
        let away = || BusError("Redis is away".to_owned());
        let topology = self.topology().ok_or_else(away)?;
        let master = topology.masters.first().ok_or_else(away)?;
        let info = self.0.settings.address.of_server(master);
        info.map(Some).map_err(super::connection::failed)
    }

    /// Carries out one command.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BusError> {
        let mut connection = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        self.judge(answer).await
    }

    /// Carries out a script in one round trip, once Redis knows it.
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        prepare: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T, BusError> {
        let mut connection = self.connection().await?;
        let mut invocation = script.prepare_invoke();
        prepare(&mut invocation);
        let answer = invocation.invoke_async(&mut connection).await;
        self.judge(answer).await
    }

    /// What a command answered shows how Redis is.
    pub async fn judge<T>(&self, answer: redis::RedisResult<T>) -> Result<T, BusError> {
        let judged = self.0.commands.judge(answer).await;
        if judged.is_err() {
            self.doubt();
        }
        judged
    }
}

fn is_refusal(problem: &redis::RedisError) -> bool {
    problem.kind() == redis::ErrorKind::AuthenticationFailed
        || problem.code().is_some_and(|code| matches!(code, "NOAUTH" | "WRONGPASS" | "NOPERM"))
}

fn refusal(settings: &Settings, problem: &redis::RedisError) -> RefusedByRedis {
    RefusedByRedis::Credentials {
        address: settings.address.to_string(),
        problem: problem.to_string(),
    }
}

fn untrusted(settings: &Settings, problem: &redis::RedisError) -> RefusedByRedis {
    RefusedByRedis::Tls { address: settings.address.to_string(), problem: problem.to_string() }
}

async fn keep_looking(
    mut scout: Scout,
    found: watch::Sender<Option<Arc<Topology>>>,
    doubts: Arc<tokio::sync::Notify>,
    commands: Commands,
    settings: Settings,
) {
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(settings.probe_interval) => {}
            () = doubts.notified() => tokio::time::sleep(backoff.pause()).await,
        }
        match scout.look().await {
            Ok(topology) => {
                backoff.reset();
                let changed = found.send_if_modified(|known| {
                    let same = known.as_deref() == Some(&topology);
                    if !same {
                        *known = Some(Arc::new(topology));
                    }
                    !same
                });
                if changed {
                    commands.forget().await;
                    tracing::info!(event = "redis.masters", masters = ?found.borrow().as_ref().map(|t| t.masters.clone()));
                }
            }
            Err(problem) => tracing::debug!(%problem, "nobody says who the master is"),
        }
    }
}
