//! The gateway itself: its parts, its limits, and how it is built.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{Ending, Registry, Session};
use crate::handshake::{Guard, Open};
use crate::hub::{Flusher, Hub, Recipients, Target};
use crate::layer::{Engine, Layer};
use crate::metrics::{Metrics, Silent};
use crate::namespace::{Namespace, Unserved};
use crate::plain::Plain;
use crate::reason::DisconnectReason;
use crate::recovery::SavedSession;
use crate::socketio::Socket;
use crate::wheel::{TICK, Wheel};

/// How long closing connections may take to say goodbye.
pub(crate) const GOODBYE: Duration = Duration::from_secs(5);
/// A node whose buffers were full closes its largest until they have fallen to this share.
const RELIEVED: (usize, usize) = (9, 10);

/// A Socket.IO (or bare Engine.IO) endpoint. Cloning shares it.
#[derive(Clone)]
pub struct Gateway(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) path: Arc<str>,
    pub(crate) ping_interval: u64,
    pub(crate) ping_timeout: u64,
    pub(crate) layer: Layer,
    pub(crate) plain: Option<Arc<dyn Plain>>,
    pub(crate) guard: Arc<dyn Guard>,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) clock: Clock,
    pub(crate) sessions: Registry,
    pub(crate) wheel: Arc<Wheel<Session>>,
    pub(crate) flusher: Flusher,
    runtime: Arc<OnceLock<Handle>>,
    count: AtomicUsize,
    buffered: AtomicUsize,
    refusing: AtomicBool,
    relieving: AtomicBool,
    closing: AtomicBool,
    /// Closed connections that still say goodbye.
    pub(crate) lingering: AtomicUsize,
}

/// Puts a [`Gateway`] together.
pub struct Builder {
    config: Config,
    hubs: Vec<Arc<Hub>>,
    engine: Option<Arc<dyn Engine>>,
    plain: Option<Arc<dyn Plain>>,
    guard: Arc<dyn Guard>,
    metrics: Arc<dyn Metrics>,
}

impl Builder {
    /// Serves a namespace; a second handler for the same name replaces the first.
    #[must_use]
    pub fn namespace(mut self, name: &str, handler: Arc<dyn Namespace>) -> Self {
        self.hubs.retain(|hub| *hub.name != *name);
        self.hubs.push(Arc::new(Hub::new(name, handler, &self.config)));
        self
    }

    /// Serves bare Engine.IO instead of Socket.IO.
    #[must_use]
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Serves plain WebSockets at [`Config::plain_path`], in the rooms of the namespace `/`. Not beside bare Engine.IO.
    #[must_use]
    pub fn plain(mut self, plain: Arc<dyn Plain>) -> Self {
        self.plain = Some(plain);
        self
    }

    #[must_use]
    pub fn guard(mut self, guard: Arc<dyn Guard>) -> Self {
        self.guard = guard;
        self
    }

    #[must_use]
    pub fn metrics(mut self, metrics: Arc<dyn Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    pub fn build(mut self) -> Gateway {
        if self.engine.is_some() {
            self.plain = None;
        }
        if self.plain.is_some() && !self.hubs.iter().any(|hub| *hub.name == *"/") {
            self.hubs.push(Arc::new(Hub::new("/", Arc::new(Unserved), &self.config)));
        }
        let runtime = Arc::new(OnceLock::new());
        Gateway(Arc::new(Inner {
            path: self.config.path.as_str().into(),
            ping_interval: self.config.ping_interval.as_millis() as u64,
            ping_timeout: self.config.ping_timeout.as_millis() as u64,
            layer: match self.engine {
                Some(engine) => Layer::Engine(engine),
                None => Layer::SocketIo(self.hubs),
            },
            config: self.config,
            plain: self.plain,
            guard: self.guard,
            metrics: self.metrics,
            clock: Clock::start(),
            sessions: Registry::new(),
            wheel: Arc::new(Wheel::new()),
            flusher: Flusher::new(runtime.clone()),
            runtime,
            count: AtomicUsize::new(0),
            buffered: AtomicUsize::new(0),
            refusing: AtomicBool::new(false),
            relieving: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            lingering: AtomicUsize::new(0),
        }))
    }
}

impl Gateway {
    pub fn builder(config: Config) -> Builder {
        Builder {
            config,
            hubs: Vec::new(),
            engine: None,
            plain: None,
            guard: Arc::new(Open),
            metrics: Arc::new(Silent),
        }
    }

    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Some or all sockets of a namespace.
    pub fn to<'a>(&'a self, namespace: &str, target: Target<'a>) -> Recipients<'a> {
        Recipients { gateway: &self.0, hub: self.0.hub(namespace), target, volatile: false }
    }

    /// The connected socket with this id.
    pub fn socket(&self, namespace: &str, id: &str) -> Option<Arc<Socket>> {
        self.0.hub(namespace)?.socket(id)
    }

    /// All connected sockets of a namespace, without order.
    pub fn sockets(&self, namespace: &str) -> Vec<Arc<Socket>> {
        self.0.hub(namespace).map(|hub| hub.all()).unwrap_or_default()
    }

    /// Number of connected sockets of a namespace.
    pub fn socket_count(&self, namespace: &str) -> usize {
        self.0.hub(namespace).map_or(0, |hub| hub.len())
    }

    /// The members of a room, without order.
    pub fn members(&self, namespace: &str, room: &str) -> Vec<Arc<Socket>> {
        self.0.hub(namespace).map(|hub| hub.members(room)).unwrap_or_default()
    }

    /// Number of members of a room.
    pub fn member_count(&self, namespace: &str, room: &str) -> usize {
        self.0.hub(namespace).map_or(0, |hub| hub.room_len(room))
    }

    /// Number of rooms of a namespace that have members.
    pub fn room_count(&self, namespace: &str) -> usize {
        self.0.hub(namespace).map_or(0, |hub| hub.room_count())
    }

    /// The rooms of a namespace that have members, without order; the ids of sockets are not among them.
    pub fn rooms(&self, namespace: &str) -> Vec<String> {
        self.0.hub(namespace).map(|hub| hub.room_names()).unwrap_or_default()
    }

    /// Whether somebody may hear what is said to a room or socket: members, or clients that may come back.
    pub fn may_reach(&self, namespace: &str, room: &str) -> bool {
        self.0.hub(namespace).is_some_and(|hub| hub.may_reach(room))
    }

    /// The name of a namespace's log, which offsets begin with; `None`: its clients cannot be recovered.
    pub fn log(&self, namespace: &str) -> Option<String> {
        Some(self.0.hub(namespace)?.past.as_ref()?.name())
    }

    /// The session with this pid, for a client that has come back on another node. If we still have it for connected, and
    /// `may` says that it is this client, it is no longer.
    pub fn release(
        &self,
        namespace: &str,
        pid: &str,
        may: impl FnOnce(&Arc<Socket>) -> bool,
    ) -> Option<Arc<SavedSession>> {
        self.0.hub(namespace)?.past.as_ref()?.release(pid, may)
    }

    /// Number of Engine.IO sessions, those included that are about to open.
    pub fn connections(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Bytes that wait to be sent to anyone.
    pub fn send_buffered_bytes(&self) -> usize {
        self.0.buffered.load(Ordering::Relaxed)
    }

    /// From now on new sessions are answered 503.
    pub fn refuse_new(&self) {
        self.0.refusing.store(true, Ordering::Relaxed);
    }

    /// Refuses new sessions and closes the transports of all others, spread evenly over a time so that
    /// the clients do not all come back elsewhere at once. Returns when they have said goodbye.
    pub async fn close_all(&self, over: Duration) {
        self.refuse_new();
        self.0.ensure_started();
        let start = Instant::now();
        let sessions = self.0.sessions.all();
        let count = sessions.len().max(1) as u32;
        for (n, session) in sessions.into_iter().enumerate() {
            let at = start + over / count * n as u32;
            if at > Instant::now() + Duration::from_millis(TICK) {
                tokio::time::sleep_until(at).await;
            }
            session.close(DisconnectReason::Shutdown, Ending::Flush);
        }
        // Those whose upgrade was under way when we began, or still is.
        self.0.closing.store(true, Ordering::SeqCst);
        for session in self.0.sessions.all() {
            session.close(DisconnectReason::Shutdown, Ending::Flush);
        }
        let deadline = Instant::now() + GOODBYE;
        while self.0.lingering.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Inner {
    pub(crate) fn hub(&self, namespace: &str) -> Option<&Arc<Hub>> {
        match &self.layer {
            Layer::SocketIo(hubs) => hubs.iter().find(|hub| *hub.name == *namespace),
            Layer::Engine(_) => None,
        }
    }

    /// Starts what needs a runtime: on the first request, which always comes with one.
    pub(crate) fn ensure_started(self: &Arc<Self>) {
        if self.runtime.get().is_none() && self.runtime.set(Handle::current()).is_ok() {
            self.spawn(tick(self.wheel.clone(), Arc::downgrade(self)));
        }
    }

    /// Spawns on the gateway's runtime, whatever thread we are on.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            runtime.spawn(task);
        }
    }

    /// A place for one more session, if there is one.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Permit> {
        if self.refusing.load(Ordering::Relaxed) {
            return None;
        }
        let permit = Permit(Some(self.clone()));
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        (before < self.config.capacity()).then_some(permit)
    }

    /// All sessions are being closed; none may open any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(crate) fn give_back(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// A session has ended.
    pub(crate) fn release(&self, transport: &str, reason: DisconnectReason) {
        self.give_back();
        self.metrics.disconnected(transport, reason);
    }

    /// One queue went from `before` to `after` bytes.
    pub(crate) fn count_buffered(&self, before: usize, after: usize) {
        match after.cmp(&before) {
            std::cmp::Ordering::Greater => {
                self.buffered.fetch_add(after - before, Ordering::Relaxed)
            }
            std::cmp::Ordering::Less => self.buffered.fetch_sub(before - after, Ordering::Relaxed),
            std::cmp::Ordering::Equal => 0,
        };
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        self.buffered.load(Ordering::Relaxed) >= self.config.node_send_buffer
    }

    /// Closes the sessions with the largest queues until the node has air again.
    pub(crate) fn relieve(self: &Arc<Self>) {
        if self.relieving.swap(true, Ordering::AcqRel) {
            return;
        }
        let gateway = self.clone();
        self.spawn(async move {
            let (share, whole) = RELIEVED;
            let goal = gateway.config.node_send_buffer / whole * share;
            while gateway.buffered.load(Ordering::Relaxed) > goal {
                match gateway.sessions.largest() {
                    Some((bytes, session)) if bytes > 0 => {
                        session.close(DisconnectReason::NodeBufferFull, Ending::Abort)
                    }
                    _ => break,
                }
                tokio::task::yield_now().await;
            }
            gateway.relieving.store(false, Ordering::Release);
        });
    }

    fn turn(&self, due: &mut Vec<Arc<Session>>) {
        let now = self.clock.now();
        self.wheel.turn(now, due);
        for session in due.drain(..) {
            if let Some(next) = session.on_time(now) {
                // It may have been given an earlier time meanwhile, or have ended.
                self.wheel.hasten(&session, next);
                if !session.is_open() && !session.is_waiting_for_farewell() {
                    self.wheel.cancel(&session);
                }
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever turns the wheel finds nobody to turn it for.
        self.wheel.nudge();
    }
}

async fn tick(wheel: Arc<Wheel<Session>>, gateway: Weak<Inner>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut due = Vec::new();
    loop {
        wheel.filled().await;
        ticks.tick().await;
        let Some(gateway) = gateway.upgrade() else { return };
        gateway.turn(&mut due);
    }
}

/// A place among the sessions, given back if none opens.
pub(crate) struct Permit(Option<Arc<Inner>>);

impl Permit {
    /// The session that takes the place gives it back when it ends.
    pub(crate) fn spend(mut self) -> Option<Arc<Inner>> {
        self.0.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gateway) = &self.0 {
            gateway.give_back();
        }
    }
}
