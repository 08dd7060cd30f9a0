use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tidings_bus::MemoryBroker;
use tidings_core::{
    ids::UserId,
    ports::{Enlisted, Registry, RegistryError, Seated, Store},
    registry::{Connection, Incarnation, Leftover, Record, RoomRecord, Roster, Seats},
    room::RoomName,
};
use tidings_server::{cluster::Common, config::Config, server::Parts};

use super::TestServer;

/// What the nodes of a cluster in this process have in common.
#[derive(Default)]
pub struct TestCluster {
    broker: Arc<MemoryBroker>,
    pub registry: Arc<ShakyRegistry>,
    store: Option<Arc<dyn Store>>,
}

impl TestCluster {
    /// A cluster and its first node, which has the store.
    pub async fn start() -> (Self, TestServer) {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(configure: impl FnOnce(&mut Config)) -> (Self, TestServer) {
        let mut cluster = Self::default();
        cluster.registry = Arc::new(ShakyRegistry::of(&cluster.broker));
        let first = cluster.node(configure).await;
        cluster.store = Some(Arc::clone(&first.state.store));
        (cluster, first)
    }

    pub fn parts(&self) -> Parts {
        let broker = Arc::clone(&self.broker);
        Parts {
            store: self.store.clone(),
            bus: Some(Box::new(move |node, sink| Arc::new(broker.join(node, sink)))),
            common: Some(Common {
                registry: Arc::clone(&self.registry) as Arc<dyn Registry>,
                quotas: self.broker.quotas(),
                parking: self.broker.parking(),
            }),
            clock: None,
        }
    }

    pub async fn node(&self, configure: impl FnOnce(&mut Config)) -> TestServer {
        let lively = |config: &mut Config| {
            config.cluster.heartbeat = Duration::from_millis(50);
            configure(config);
        };
        TestServer::with_parts(lively, self.parts()).await
    }

    /// A node that can be killed, and is taken for dead soon.
    pub async fn doomed(&self, configure: impl FnOnce(&mut Config) + Send + 'static) -> Doomed {
        let parts = self.parts();
        let lively = |config: &mut Config| {
            config.cluster.heartbeat = Duration::from_millis(50);
            config.cluster.timeout = SOON;
            configure(config);
        };
        Doomed::start(TestServer::with_parts(lively, parts)).await
    }
}

/// How long a lease lasts where a test waits for its end.
pub const SOON: Duration = Duration::from_secs(8);

/// A node with threads of its own.
pub struct Doomed {
    server: TestServer,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Doomed {
    pub async fn start(starting: impl Future<Output = TestServer> + Send + 'static) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let server = runtime.spawn(starting).await.expect("a server");
        Self { server, runtime: Some(runtime) }
    }

    /// Ends everything that it does, at once: it says goodbye to nobody.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        self.end();
    }
}

impl Deref for Doomed {
    type Target = TestServer;
    fn deref(&self) -> &TestServer {
        &self.server
    }
}

/// A registry that answers nothing while it is told to be away.
pub struct ShakyRegistry {
    away: AtomicBool,
    registry: Arc<dyn Registry>,
}

impl Default for ShakyRegistry {
    fn default() -> Self {
        Self::of(&Arc::default())
    }
}

impl ShakyRegistry {
    fn of(broker: &Arc<MemoryBroker>) -> Self {
        Self { away: AtomicBool::new(false), registry: broker.registry() }
    }

    pub fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn there(&self) -> Result<&dyn Registry, RegistryError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(RegistryError("it is away".into())),
            false => Ok(&*self.registry),
        }
    }
}

#[async_trait]
impl Registry for ShakyRegistry {
    async fn enlist(
        &self,
        node: &str,
        before: Option<Incarnation>,
        lease: Duration,
    ) -> Result<Enlisted, RegistryError> {
        self.there()?.enlist(node, before, lease).await
    }

    async fn renew(
        &self,
        me: Incarnation,
        lease: Duration,
    ) -> Result<Option<Roster>, RegistryError> {
        self.there()?.renew(me, lease).await
    }

    async fn quit(&self, me: Incarnation) -> Result<(), RegistryError> {
        self.there()?.quit(me).await
    }

    async fn put(
        &self,
        me: Incarnation,
        users: &[(UserId, Vec<Connection>)],
    ) -> Result<Vec<Record>, RegistryError> {
        self.there()?.put(me, users).await
    }

    async fn records(&self, users: &[UserId]) -> Result<Vec<Record>, RegistryError> {
        self.there()?.records(users).await
    }

    async fn seat(
        &self,
        me: Incarnation,
        seats: &Seats,
        most: usize,
    ) -> Result<Seated, RegistryError> {
        self.there()?.seat(me, seats, most).await
    }

    async fn put_seats(&self, me: Incarnation, seats: &[Seats]) -> Result<(), RegistryError> {
        self.there()?.put_seats(me, seats).await
    }

    async fn room(&self, room: &RoomName) -> Result<RoomRecord, RegistryError> {
        self.there()?.room(room).await
    }

    async fn claim(
        &self,
        me: Incarnation,
        dead: Incarnation,
        hold: Duration,
    ) -> Result<bool, RegistryError> {
        self.there()?.claim(me, dead, hold).await
    }

    async fn leftovers(
        &self,
        of: Incarnation,
        most: usize,
    ) -> Result<Vec<Leftover>, RegistryError> {
        self.there()?.leftovers(of, most).await
    }

    async fn bury(&self, dead: Incarnation) -> Result<(), RegistryError> {
        self.there()?.bury(dead).await
    }
}
