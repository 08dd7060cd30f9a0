//! This node among others: what it says of its connections, and what it knows of theirs.
//!
//! Nothing here stands in the way of a connection. What changes is noted ([`Cluster::touch`]) and
//! written a moment later, in batches, each user as it is then; what comes back tells which
//! connections are too many, and goes on to the nodes that have to know (`announce.rs`). A room
//! that gets its first member here is read from the registry (`follow.rs`). While the registry
//! is away, everything is as if this node were alone, and nobody is declared offline (`lease.rs`).

mod announce;
mod ask;
mod follow;
mod lease;
mod metrics;
mod parking;
mod reap;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tidings_bus::redis::{Redis, RedisParking, RedisQuotas, RedisRegistry};
use tidings_core::{
    ids::UserId,
    ports::{Parking, Quotas, Registry, RegistryError, Seated, Taken},
    registry::{Incarnation, Peers, Seats, Verdict},
    room::RoomName,
    time::Timestamp,
};
use tokio::sync::Notify;

pub(crate) use announce::announce;
pub(crate) use ask::{room_presence, room_view, users};
pub(crate) use follow::follow;
pub(crate) use lease::{heartbeat, leave};
pub use metrics::ClusterMetrics;
pub(crate) use reap::reap;

use crate::{
    bus::JoinBus,
    config::{self, Config},
    data_dir::DataDir,
};

/// Longest that work waits for the registry that nobody waits for.
const LONG_PATIENCE: Duration = Duration::from_secs(5);
/// After a question without an answer nobody waits for one for so long.
const LEFT_ALONE: Duration = Duration::from_secs(1);

pub struct Cluster {
    /// `None`: this node is alone.
    common: Option<Common>,
    /// Until then nobody waits for an answer: there was none just now.
    alone_until: Mutex<Option<Instant>>,
    node: String,
    times: config::Cluster,
    started: Instant,
    lease: Mutex<Lease>,
    peers: RwLock<Peers>,
    noted: Mutex<Noted>,
    /// Held while something is written, or read: what was noted later is not overtaken by it.
    writing: tokio::sync::Mutex<()>,
    reading: tokio::sync::Mutex<()>,
    /// What there is to be cleared away.
    verdict: Mutex<Verdict>,
    pub metrics: ClusterMetrics,
    /// There is something to be written.
    pub(crate) touched: Notify,
    /// Something was written.
    written: Notify,
    /// There are rooms to be read.
    pub(crate) unread: Notify,
    /// There is somebody to be cleared away.
    pub(crate) dead: Notify,
}

#[derive(Default)]
struct Lease {
    /// The last run of this node that the registry knew.
    me: Option<Incarnation>,
    /// Until then it counts, whatever happens to the registry.
    until: Option<Instant>,
}

/// What changed and was not written yet.
#[derive(Default)]
struct Noted {
    users: HashMap<UserId, Touch>,
    /// They are being written.
    under_way: HashSet<UserId>,
    seats: HashSet<(RoomName, UserId)>,
}

#[derive(Default)]
struct Touch {
    /// Others see a difference.
    is_news: bool,
    /// Rooms that the user may be in no more.
    left: Vec<RoomName>,
}

/// As many users of the cluster are in the room as its kind allows.
pub(crate) struct Full;

/// What the nodes have in common; without it a node is alone.
#[derive(Clone)]
pub struct Common {
    pub registry: Arc<dyn Registry>,
    pub quotas: Arc<dyn Quotas>,
    pub parking: Arc<dyn Parking>,
}

/// What is given, or what goes with the bus: that of Redis, unless the bus is another.
pub(crate) fn common(
    given: Option<Common>,
    bus: Option<&JoinBus>,
    redis: Option<&Redis>,
) -> Option<Common> {
    let of_redis = |redis: &Redis| Common {
        registry: Arc::new(RedisRegistry::new(redis.clone())),
        quotas: Arc::new(RedisQuotas::new(redis.clone())),
        parking: Arc::new(RedisParking::new(redis.clone())),
    };
    given.or_else(|| redis.filter(|_| bus.is_none()).map(of_redis))
}

/// Makes this node one of the cluster, if there is one.
pub(crate) async fn begin(
    common: Option<Common>,
    config: &Config,
    data_dir: &DataDir,
) -> anyhow::Result<Arc<Cluster>> {
    let node = config.node_id.as_deref().unwrap_or_default();
    let cluster = Arc::new(Cluster::new(common, node, &config.cluster));
    data_dir.keep_run(cluster.begin(data_dir.last_run()).await?)?;
    Ok(cluster)
}

impl Cluster {
    /// A node that has not begun yet.
    pub fn new(common: Option<Common>, node: &str, times: &config::Cluster) -> Self {
        Self {
            common,
            alone_until: Mutex::default(),
            node: node.to_owned(),
            times: times.clone(),
            started: Instant::now(),
            lease: Mutex::default(),
            peers: RwLock::new(Peers::new(times.timeout)),
            noted: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            verdict: Mutex::default(),
            metrics: ClusterMetrics::default(),
            touched: Notify::new(),
            written: Notify::new(),
            unread: Notify::new(),
            dead: Notify::new(),
        }
    }

    /// Whether other nodes know that this one lives.
    pub fn has_lease(&self) -> bool {
        self.me().is_some()
    }

    /// Whether there may be other nodes.
    pub fn is_shared(&self) -> bool {
        self.common.is_some()
    }

    /// `None`: nothing can be said or asked now.
    fn open(&self) -> Option<(&dyn Registry, Incarnation)> {
        let lease = self.lease.lock();
        let me = lease.me.filter(|_| lease.until.is_some_and(|until| until > Instant::now()))?;
        Some((self.registry()?, me))
    }

    fn registry(&self) -> Option<&dyn Registry> {
        self.common.as_ref().map(|common| &*common.registry)
    }

    /// Asks something that somebody waits for. `None`: there is no answer, or none in time.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, RegistryError>>) -> Option<T> {
        if self.is_left_alone() {
            return None;
        }
        match within(self.times.patience, question).await {
            Ok(answer) => Some(answer),
            Err(problem) => {
                self.got_no_answer();
                tracing::debug!(%problem, "this node answers by what it knows itself");
                None
            }
        }
    }

    fn got_no_answer(&self) {
        *self.alone_until.lock() = Some(Instant::now() + LEFT_ALONE);
        self.metrics.failed();
        self.written.notify_waiters();
    }

    fn is_left_alone(&self) -> bool {
        self.alone_until.lock().is_some_and(|until| until > Instant::now())
    }

    /// Takes one from a quota that holds for all nodes. `None`: nobody can tell.
    pub(crate) async fn take(&self, key: &str, limit: u32, period: Duration) -> Option<Taken> {
        let common = self.common.as_ref()?;
        self.ask(common.quotas.take(key, limit, period)).await
    }

    /// Returns when what was noted of a user until now has been written, and what the others
    /// know of it is known here; or when that takes too long.
    pub(crate) async fn settled(&self, user: &UserId) {
        let settled = async {
            loop {
                let written = self.written.notified();
                tokio::pin!(written);
                written.as_mut().enable();
                let waits = {
                    let noted = self.noted.lock();
                    noted.users.contains_key(user) || noted.under_way.contains(user)
                };
                if !waits || self.me().is_none() || self.is_left_alone() {
                    return;
                }
                written.await;
            }
        };
        // Too long: others may see for a moment what another node would have hidden.
        let _ = tokio::time::timeout(self.times.patience, settled).await;
    }

    pub(crate) fn me(&self) -> Option<Incarnation> {
        self.open().map(|(_, me)| me)
    }

    pub(crate) fn lives(&self, at: Incarnation) -> bool {
        self.peers.read().lives(at)
    }

    /// A clock that nobody sets: nodes are judged by it.
    fn uptime(&self) -> Timestamp {
        Timestamp::EPOCH.plus(self.started.elapsed())
    }

    /// Something about a user's connections here has changed that others see.
    pub(crate) fn touch(&self, user: &UserId) {
        self.note(user, |touch| touch.is_news = true);
    }

    /// The same, and a connection is not in the room any more.
    pub(crate) fn touch_left(&self, user: &UserId, room: &RoomName) {
        self.note(user, |touch| {
            touch.is_news = true;
            touch.left.push(room.clone());
        });
    }

    /// What others find out by themselves has changed.
    pub(crate) fn touch_quietly(&self, user: &UserId) {
        self.note(user, |_| {});
    }

    fn note(&self, user: &UserId, change: impl FnOnce(&mut Touch)) {
        // While it has no lease nothing is gathered: it says everything when it has one again.
        if self.me().is_some() {
            let mut noted = self.noted.lock();
            change(noted.users.entry(user.clone()).or_default());
            drop(noted);
            self.touched.notify_one();
        }
    }

    /// The number of a user's connections in a room has changed.
    pub(crate) fn touch_seats(&self, room: &RoomName, user: &UserId) {
        if self.me().is_some() {
            self.noted.lock().seats.insert((room.clone(), user.clone()));
            self.touched.notify_one();
        }
    }

    /// Takes places in a room for a user, of whom so many connections will be there. `Ok(false)`:
    /// the registry did not answer, and the limit holds for this node only.
    pub(crate) async fn seat(
        &self,
        room: &RoomName,
        user: &UserId,
        connections: usize,
        most: usize,
    ) -> Result<bool, Full> {
        let Some((registry, me)) = self.open() else { return Ok(false) };
        let seats = Seats { room: room.clone(), user: user.clone(), connections };
        match self.ask(registry.seat(me, &seats, most)).await {
            Some(Seated::Yes { .. }) => Ok(true),
            Some(Seated::Full) => Err(Full),
            None => Ok(false),
        }
    }
}

/// Waits for the registry, but not for ever.
async fn within<T>(
    patience: Duration,
    question: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    let answer = tokio::time::timeout(patience, question).await;
    answer.unwrap_or_else(|_| Err(RegistryError(format!("no answer within {patience:?}"))))
}
