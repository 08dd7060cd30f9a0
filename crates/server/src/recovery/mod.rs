//! Clients that come back on another node.
//!
//! What is said in rooms is kept in Redis for a while ([`Recovery::memory`]), each event with its place in its room. A node
//! that loses a client writes down what another has to know: who it is, its rooms, and which places it was told by which
//! of its offsets ([`record`]). Whoever the client comes to takes that, once, and asks Redis for the rest ([`arrive`]). A node
//! that has not noticed yet that the client is gone is asked to let it go ([`NodeSignal::Release`]). If anything is in
//! doubt the client begins anew, and is told so.

mod arrive;
mod metrics;
mod park;
mod record;

use std::{
    collections::HashMap,
    sync::{
        Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tidings_core::{
    ids::{NodeId, UserId},
    room::History,
    signal::NodeSignal,
};
use tidings_gateway::SavedSession;
use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use crate::rooms::Held;
pub(crate) use arrive::{arrive, take_back};
pub(crate) use metrics::RecoveryMetrics;
pub(crate) use park::carry_out;

use crate::{config::Config, inbox::InboxSession, state::AppState};

/// Jobs that may wait. What is more can be recovered on this node only.
const MOST_JOBS: usize = 65_536;
/// Events that are kept of one room.
const EVENTS: usize = 1_000;
/// Clocks of nodes, and of what notices that a client is gone, differ.
const SLACK: Duration = Duration::from_secs(60);
/// A node that did not answer is not asked for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// Nodes of which that is known, at most.
const MOST_SILENT: usize = 1_024;

/// What there is to do for clients that have gone.
pub(crate) enum Job {
    /// Another node may want it.
    Park(Weak<SavedSession>),
    /// Another node wants it now.
    Release { pid: String, user: UserId, to: NodeId },
}

pub struct Recovery {
    /// How long what is said in rooms is kept; `None`: clients are recovered on their own node only.
    memory: Option<History>,
    jobs: mpsc::Sender<Job>,
    waiting: Mutex<Option<mpsc::Receiver<Job>>>,
    /// Jobs that are not done.
    undone: AtomicUsize,
    done: Notify,
    /// Clients of other nodes, by their pids, that we asked to be let go.
    asked: Mutex<HashMap<String, oneshot::Sender<bool>>>,
    /// Nodes, by the names of their logs, that did not answer.
    silent: Mutex<HashMap<String, Instant>>,
    pub(crate) metrics: RecoveryMetrics,
}

impl Recovery {
    /// `is_shared`: there may be other nodes.
    pub fn new(config: &Config, is_shared: bool) -> Self {
        let gateway = &config.gateway;
        // Socket.IO servers of others speak to each node by themselves: what they say is nowhere kept.
        let is_on = is_shared && gateway.recovery_elsewhere && !config.socketio.enabled;
        let away = gateway.recovery + gateway.ping_interval + gateway.ping_timeout;
        let memory = History { messages: EVENTS, age: away + SLACK };
        let (jobs, waiting) = mpsc::channel(MOST_JOBS);
        Self {
            memory: (is_on && !gateway.recovery.is_zero()).then_some(memory),
            jobs,
            waiting: Mutex::new(Some(waiting)),
            undone: AtomicUsize::new(0),
            done: Notify::new(),
            asked: Mutex::default(),
            silent: Mutex::default(),
            metrics: RecoveryMetrics::default(),
        }
    }

    pub(crate) fn memory(&self) -> Option<History> {
        self.memory
    }

    /// For who does the jobs.
    pub(crate) fn jobs(&self) -> Option<mpsc::Receiver<Job>> {
        self.waiting.lock().take().filter(|_| self.memory.is_some())
    }

    /// A client has gone and may come back elsewhere.
    pub(crate) fn park(&self, session: Weak<SavedSession>) {
        if self.memory.is_some() {
            self.ask_for(Job::Park(session));
        }
    }

    /// Another node has a client that may have been here.
    pub(crate) fn release(&self, pid: &str, user: &UserId, to: &NodeId) {
        if self.memory.is_some() {
            let (pid, user, to) = (pid.to_owned(), user.clone(), to.clone());
            self.ask_for(Job::Release { pid, user, to });
        }
    }

    fn ask_for(&self, job: Job) {
        self.undone.fetch_add(1, Ordering::AcqRel);
        if self.jobs.try_send(job).is_err() {
            self.metrics.not_parked();
            self.is_done();
        }
    }

    pub(crate) fn is_done(&self) {
        if self.undone.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }

    /// Returns when all that there was to do is done.
    pub async fn settled(&self) {
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            if self.undone.load(Ordering::Acquire) == 0 {
                return;
            }
            done.await;
        }
    }

    /// A client of another node is in its rooms here. `false`: more was said meanwhile than was kept for it.
    pub(crate) fn welcome(&self, session: &InboxSession, held: Held) -> bool {
        self.metrics.arrived(true);
        held.release(session)
    }

    /// A node has answered.
    pub(crate) fn released(&self, pid: &str, parked: bool) -> u64 {
        let asked = self.asked.lock().remove(pid);
        asked.is_some_and(|asked| asked.send(parked).is_ok()).into()
    }

    /// Asks the node whose log has this name for a client. Whether its session can be taken now.
    async fn ask(&self, state: &AppState, log: &str, pid: &str, user: &UserId) -> bool {
        let now = Instant::now();
        if self.silent.lock().get(log).is_some_and(|until| *until > now) {
            return false;
        }
        let Ok(to) = NodeId::new(&state.node_id) else { return false };
        let (sender, answer) = oneshot::channel();
        // Of two who claim the same session the later is answered.
        self.asked.lock().insert(pid.to_owned(), sender);
        let (log, pid) = (log.to_owned(), pid.to_owned());
        let question =
            NodeSignal::Release { log: log.clone(), pid: pid.clone(), user: user.clone(), to };
        let said = state.bus.publish_to_nodes(&std::sync::Arc::new(question)).await;
        if said.is_err() {
            self.asked.lock().remove(&pid);
            return false;
        }
        let answered = tokio::time::timeout(state.config.cluster.patience, answer).await;
        if answered.is_err() {
            self.asked.lock().remove(&pid);
            let mut silent = self.silent.lock();
            silent.retain(|_, until| *until > now);
            if silent.len() < MOST_SILENT {
                silent.insert(log, Instant::now() + SILENCE);
            }
        }
        matches!(answered, Ok(Ok(true)))
    }
}

/// Where a session is left. Nobody finds it without the secret, or as somebody else.
fn key(pid: &str, user: &UserId) -> String {
    let digest = Sha256::digest(format!("{pid}\n{user}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
