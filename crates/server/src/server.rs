//! Puts the server together and runs it until it is told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use axum::Router;
use rand::Rng as _;
use tidings_core::{
    ids::NodeId,
    notification_type::TypeCatalog,
    ports::{Clock, Store},
    room::RoomCatalog,
};
use tidings_gateway::Gateway;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    address_limits::AddressLimits,
    admin, api,
    audit::Audit,
    auth::{KnownKeys, Revocations, Tickets, TokenVerifier},
    breaker::Breakers,
    bus::{self, Departures, JoinBus, Missed, NodeSink, Redises},
    certificate::Certificate,
    clock::SystemClock,
    cluster::{self, Cluster, Common},
    config::{Config, Place},
    connections::{Archive, ConnectionHistory},
    data_dir::{self, DataDir},
    files, gateway,
    guard::Door,
    guarded_store::GuardedStore,
    inbox::{InboxHub, events, publisher_channel},
    ingest::Ingest,
    interop::Interop,
    lifecycle::{Lifecycle, Phase},
    limiter::Limiters,
    metrics::Metrics,
    playground,
    presence::PresenceHub,
    recovery::Recovery,
    rooms::{Application, EventLog, EventTypes, RoomHub},
    secret,
    spool::Spool,
    state::{AppState, Shared},
    store::OwnStore,
    workers,
};

/// Longest that background work may take to end.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Between two looks at whether they are done.
const LOOK: Duration = Duration::from_millis(5);

/// A server that is ready to run.
pub struct Server {
    state: AppState,
    /// `None`: another server of this process owns it.
    store: Option<OwnStore>,
    gateway: Gateway,
    router: Router,
    listener: TcpListener,
    background: JoinSet<()>,
    publisher: Option<tokio::task::JoinHandle<()>>,
    api_key: Option<String>,
    _data_dir: DataDir,
}

/// What a server can be given instead of making its own: several nodes in one process have
/// these in common, and tests put faulty ones in their place.
#[derive(Default)]
pub struct Parts {
    /// A store that another server opened; that one publishes its changes and closes it.
    pub store: Option<Arc<dyn Store>>,
    pub bus: Option<JoinBus>,
    /// The system's, if left out.
    pub clock: Option<Arc<dyn Clock>>,
    /// What the nodes have in common beside; that of Redis, if left out with the bus.
    pub common: Option<Common>,
}

impl Server {
    /// Opens the data directory and the port. Nothing is served yet.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_with(config, Parts::default()).await
    }

    pub async fn start_with(mut config: Config, parts: Parts) -> anyhow::Result<Self> {
        let sockets = files::raise_limit(config.limits.connections)?;
        let data_dir = DataDir::lock(&config.data_dir)?;
        let secret = signing_secret(&config)?;
        if config.dev {
            // Somebody waits at a terminal: no load balancer has to be told first.
            config.lifecycle.unready = Duration::ZERO;
            config.lifecycle.drain = config.lifecycle.drain.min(Duration::from_millis(500));
        }
        let (own, shared, publisher) = match parts.store {
            Some(shared) => (None, shared, None),
            None => {
                let (sink, publisher) = publisher_channel();
                let own = OwnStore::open(&config, sink).await?;
                let shared = own.shared();
                (Some(own), shared, Some(publisher))
            }
        };
        let redis = bus::connect(&config).await?;
        config.node_id.get_or_insert_with(new_node_id);
        let common = cluster::common(parts.common, parts.bus.as_ref(), redis.own.as_ref());
        let cluster = cluster::begin(common, &config, &data_dir).await?;
        let listener = tidings_gateway::bind(SocketAddr::new(config.host, config.port))
            .with_context(|| format!("cannot listen on {}:{}", config.host, config.port))?;
        let clock = parts.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let parts = (parts.bus, redis, cluster);
        let (state, gaps, lost) = state(config, shared, parts, clock, secret)?;
        if let Some(own) = &own {
            own.measure(&state.metrics);
        }
        let publisher = publisher.map(|publisher| {
            tokio::spawn(publisher.run(Arc::clone(&state.bus), Arc::clone(&state.metrics)))
        });
        workers::load_revocations(&state).await?;
        workers::close_previous_connections(&state).await?;
        workers::know_api_keys(state.clone()).await?;
        let mut background = workers::start(&state, gaps, lost);
        if let Some(OwnStore::Postgres(store)) = &own
            && state.config.database.outbox
            && state.config.role.works()
        {
            workers::take_outbox(&mut background, &state, store);
        }
        let admin_socket = data_dir.admin_socket();
        let admin = admin::bind(&admin_socket)?;
        background.spawn(admin::listen(state.clone(), admin, admin_socket));
        let door = Arc::new(Door::new(&state.config, Arc::clone(&state.audit)));
        let gateway = gateway::gateway(&state, Arc::clone(&door), sockets);
        if !state.config.role.serves() {
            gateway.refuse_new();
        }
        state.rooms.attach(gateway.clone());
        workers::join_socketio(&mut background, &state);
        workers::take_ingest(&mut background, &state);
        let mut router = api::router(&state);
        let mut api_key = None;
        if state.config.dev {
            playground::prepare(&state).await?;
            let key = playground::key(&state, &data_dir).await?;
            router = router
                .merge(playground::router(state.clone(), key.clone()))
                .fallback(playground::fallback);
            api_key = Some(key);
        }
        let router = api::surround(router, &state, door);
        Ok(Self {
            state,
            store: own,
            gateway,
            router,
            listener,
            background,
            publisher,
            api_key,
            _data_dir: data_dir,
        })
    }

    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// The key that the playground sends with, in `--dev`.
    pub fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref()
    }

    /// Serves until `stop` resolves, then drains and ends.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let lifecycle = self.state.lifecycle.clone();
        let draining = {
            let lifecycle = lifecycle.clone();
            async move { lifecycle.reached(Phase::Draining).await }
        };
        let (listener, gateway, router) = (self.listener, self.gateway.clone(), self.router);
        let tls = self.state.certificate.as_ref().map(Certificate::tls);
        let serving =
            tokio::spawn(tidings_gateway::serve(listener, tls, gateway, router, draining));
        stop.await;
        drain(&self.state, &self.gateway).await;
        let abort = serving.abort_handle();
        let served = tokio::time::timeout(LAST_WORDS, serving).await;
        if served.is_err() {
            tracing::warn!("requests that did not end in time are cut off");
            abort.abort();
        }
        // What other nodes need of the clients that went.
        if tokio::time::timeout(LAST_WORDS, self.state.recovery.settled()).await.is_err() {
            tracing::warn!("not every session could be left for other nodes");
        }
        lifecycle.enter(Phase::Stopping);
        self.state.rooms.detach();
        let mut background = self.background;
        let ended = async { while background.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, ended).await.is_err() {
            tracing::warn!("background work did not end in time");
        }
        cluster::leave(&self.state).await;
        if let Err(problem) = self.state.audit.close(&*self.state.store).await {
            tracing::warn!(%problem, "the last entries of the audit log were not stored");
        }
        if let Err(problem) = self.state.connections.flush(&*self.state.store).await {
            tracing::warn!(%problem, "the last of the history of connections was not stored");
        }
        if self.state.spool.is_some() {
            let state = self.state.clone();
            let close = move || state.spool.iter().for_each(Spool::close);
            tokio::task::spawn_blocking(close).await?;
        }
        if let Some(store) = self.store {
            store.close().await?;
        }
        // With the store ends what it publishes; the rest is said before the others are told that this node goes.
        let said = async {
            if let Some(publisher) = self.publisher {
                let _ = publisher.await;
            }
            self.state.bus.leave().await;
        };
        if tokio::time::timeout(LAST_WORDS, said).await.is_err() {
            tracing::warn!("not everything was said to the other nodes in time");
        }
        if let Ok(ended) = served {
            ended.context("the listener failed")??;
        }
        tracing::info!(event = "server.stopped");
        Ok(())
    }
}

/// Sends everybody away, each at a moment of its own.
async fn drain(state: &AppState, gateway: &Gateway) {
    let config = &state.config.lifecycle;
    tracing::info!(event = "server.draining", connections = gateway.connections());
    state.lifecycle.enter(Phase::Unready);
    tokio::time::sleep(config.unready).await;
    state.lifecycle.enter(Phase::Draining);
    gateway.refuse_new();
    let spread = u64::try_from(config.drain.as_millis()).unwrap_or(u64::MAX).max(1);
    for session in state.hub.sessions_where(|_| true) {
        let delay = rand::rng().random_range(0..spread);
        let _ = session.socket.emit(&events::shutdown(delay));
    }
    gateway.close_all(config.drain).await;
    // The ends of the connections are handled on their own time. What is written last, for the next run and the other
    // nodes, is to know of all of them.
    let handled = async {
        while !state.hub.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(LAST_WORDS, handled).await.is_err() {
        tracing::warn!("the ends of some connections were not handled in time");
    }
}

/// The secret that tokens are signed with. A directory that `--dev` made keeps its own and is
/// for nothing else: what was tried out must not go live.
fn signing_secret(config: &Config) -> anyhow::Result<Option<String>> {
    let dir = &config.data_dir;
    let is_dev = data_dir::is_dev(dir);
    if !config.dev {
        if is_dev {
            bail!(
                "the data directory {} was made with --dev and is not for production; choose another with --data-dir",
                dir.display()
            );
        }
        return Ok(config.auth.jwt_secret.clone());
    }
    let is_used = matches!(config.place(), Ok(Place::Sqlite(path)) if path.exists());
    if !is_dev && is_used {
        bail!(
            "the data directory {} was not made with --dev; choose another with --data-dir",
            dir.display()
        );
    }
    data_dir::dev_secret(dir).map(Some)
}

/// A name for this process, new at each start.
pub fn new_node_id() -> String {
    format!("node-{}", secret::random_hex::<4>())
}

fn state(
    config: Config,
    store: Arc<dyn Store>,
    (given, redis, cluster): (Option<JoinBus>, Redises, Arc<Cluster>),
    clock: Arc<dyn Clock>,
    secret: Option<String>,
) -> anyhow::Result<(AppState, workers::Gaps, workers::Lost)> {
    let node_id = config.node_id.clone().unwrap_or_default();
    let node = NodeId::new(&node_id).context("node_id")?;
    let metrics = Arc::new(Metrics::new(&node_id));
    metrics.connections_limited(config.limits.connections);
    let (hub, gaps) =
        InboxHub::new(Arc::clone(&metrics), Arc::clone(&clock), config.limits.connections_per_user);
    let event_types = EventTypes::new(&config.events).map_err(anyhow::Error::msg)?;
    let (rooms, lost) = RoomHub::new(&event_types, Arc::clone(&cluster));
    let presence = Arc::new(PresenceHub::new(&config.presence, Arc::clone(&cluster)));
    metrics.with(|registry| cluster.metrics.register(registry));
    let revocations = Arc::new(Revocations::new(Arc::clone(&clock)));
    let application = Application::new(&config.authorization, Arc::clone(&clock))?.map(Arc::new);
    let missed = Arc::new(Missed::default());
    let departures = Arc::new(Departures::default());
    let recovery = Arc::new(Recovery::new(&config, cluster.is_shared()));
    metrics.with(|registry| recovery.metrics.register(registry));
    let sink = NodeSink {
        recovery: Arc::clone(&recovery),
        missed: Arc::clone(&missed),
        departures: Arc::clone(&departures),
        node: node.clone(),
        inboxes: Arc::clone(&hub),
        rooms: Arc::clone(&rooms),
        presence: Arc::clone(&presence),
        clock: Arc::clone(&clock),
        revocations: Arc::clone(&revocations),
        application: application.clone(),
    };
    let Redises { own: redis, socketio, ingest } = redis;
    let bus = bus::join(given, redis.as_ref(), node, Arc::new(sink), &metrics);
    let certificate = Certificate::load(&config.tls, Arc::clone(&metrics))?;
    let spool = Spool::of(&config)?;
    let breakers = Arc::new(Breakers::new(&config.breaker));
    let store = Arc::new(GuardedStore::new(store, Arc::clone(&breakers)));
    let ingest = ingest
        .map(|redis| Ingest::new(&config, redis, &node_id, Arc::clone(&metrics)))
        .transpose()?;
    let shared = Shared {
        connections: ConnectionHistory::new(
            &node_id,
            config.connections.history,
            Arc::clone(&metrics),
        ),
        node_id,
        started_at: clock.now(),
        store,
        breakers,
        spool,
        known_keys: KnownKeys::default(),
        bus,
        redis,
        missed,
        departures,
        hub,
        rooms,
        ingest,
        interop: socketio.map(|redis| Interop::new(&config.socketio, redis, Arc::clone(&metrics))),
        presence,
        recovery,
        cluster,
        room_kinds: RoomCatalog::new(config.rooms.clone(), config.dev),
        event_types,
        event_log: EventLog::new(config.log.room_events),
        tokens: TokenVerifier::new(
            &config.auth,
            secret.as_deref(),
            Arc::clone(&revocations),
            Arc::clone(&clock),
        )?,
        tickets: Tickets::new(Arc::clone(&revocations)),
        revocations,
        addresses: AddressLimits::new(&config.limits),
        certificate,
        application,
        signing_secret: secret,
        types: TypeCatalog::with_declared(config.types.clone()),
        audit: Arc::new(Audit::new(Arc::clone(&clock), Arc::clone(&metrics))),
        archive: config.connections.archive.as_deref().map(Archive::open).transpose()?,
        metrics,
        clock,
        lifecycle: Lifecycle::default(),
        announced: tokio::sync::Notify::new(),
        erasing: tokio::sync::Notify::new(),
        published: tokio::sync::Notify::new(),
        request_limits: Limiters::new(config.limits.user_requests, Duration::from_secs(60)),
        in_flight: api::InFlight::default(),
        config,
    };
    Ok((AppState::new(shared), gaps, lost))
}
