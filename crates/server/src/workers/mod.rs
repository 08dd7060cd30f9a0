//! Background work: one file for each loop. Each has a `tick` that does one round and can be
//! called on its own.

mod announcements;
mod api_keys;
mod audit;
mod bus;
mod certificate;
mod cluster;
mod connection_archive;
mod connections;
mod departures;
mod erasures;
mod expiry;
mod gaps;
mod ingest;
mod interop;
mod outbox;
mod presence;
mod recovery;
mod retention;
mod retractions;
mod revocations;
mod rooms;
mod sessions;
mod spool;

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use crate::{lifecycle::Phase, state::AppState};
use tidings_core::{ids::UserId, room::RoomSignal};
use tidings_store_postgres::PostgresStore;

pub(crate) use api_keys::tick as know_api_keys;
pub use cluster::settle as settle_cluster;
pub(crate) use connections::close_previous as close_previous_connections;
pub use connections::heartbeat;
pub(crate) use ingest::start as take_ingest;
pub(crate) use interop::start as join_socketio;
pub use spool::tick as replay_spool;

pub use presence::{sweep as sweep_presence, tick as tell_presence};
pub(crate) use revocations::load as load_revocations;
pub use revocations::reload as reload_revocations;
pub use rooms::tick as look_at_memberships;

/// Users whose devices miss something.
pub type Gaps = mpsc::UnboundedReceiver<UserId>;
/// Memberships that were taken away.
pub type Lost = mpsc::Receiver<Arc<RoomSignal>>;

/// Starts all loops that this node has to do. They end when the server stops.
pub fn start(state: &AppState, gaps: Gaps, lost: Lost) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    if state.config.role.works() {
        work_for_all(&mut loops, state);
    }
    look_after_node(&mut loops, state);
    look_after_connections(&mut loops, state, gaps, lost);
    loops
}

/// What has to be done once for all nodes. Any number of them may do it.
fn work_for_all(loops: &mut JoinSet<()>, state: &AppState) {
    let upkeep = state.config.retention.interval;
    let pause = announcements::pause(&state.config);
    every_or_when(loops, state, pause, |state| Some(&state.announced), announcements::tick);
    every(loops, state, Duration::from_secs(1), retractions::tick);
    every(loops, state, Duration::from_secs(1), expiry::tick);
    every_or_when(loops, state, erasures::PAUSE, |s| Some(&s.erasing), erasures::tick);
    every(loops, state, upkeep, retention::tick);
    if state.connections.is_kept() {
        every(loops, state, upkeep, connection_archive::tick);
    }
}

/// What each node does for itself.
fn look_after_node(loops: &mut JoinSet<()>, state: &AppState) {
    every(loops, state, api_keys::PAUSE, api_keys::tick);
    every(loops, state, state.config.spool.interval, spool::tick);
    every_or_when(loops, state, audit::PAUSE, |s| Some(&s.audit.recorded), audit::tick);
    if state.connections.is_kept() {
        every_or_when(
            loops,
            state,
            connections::PAUSE,
            |state| Some(&state.connections.noted),
            connections::tick,
        );
        every(loops, state, state.config.connections.heartbeat, |state| async move {
            connections::heartbeat(&state, state.clock.now()).await
        });
    }
    if state.certificate.is_some() {
        every_or_when(
            loops,
            state,
            state.config.tls.watch,
            |state| state.certificate.as_ref().map(|certificate| &certificate.reload),
            certificate::tick,
        );
    }
    cluster::start(loops, state);
}

fn look_after_connections(loops: &mut JoinSet<()>, state: &AppState, gaps: Gaps, lost: Lost) {
    let times = &state.config.presence;
    every(loops, state, Duration::from_secs(1), sessions::tick);
    every(loops, state, rooms::PAUSE, rooms::tick);
    every(loops, state, times.tick, |state| async move {
        presence::tick(&state, state.clock.now()).await
    });
    every(loops, state, times.sweep, |state| async move {
        presence::sweep(&state, state.clock.now()).await
    });
    loops.spawn(presence::write(state.clone()));
    every(loops, state, revocations::PAUSE, revocations::reload);
    every_or_when(
        loops,
        state,
        revocations::PAUSE,
        |state| Some(&state.revocations.added),
        revocations::tick,
    );
    loops.spawn(bus::run(state.clone()));
    loops.spawn(departures::run(state.clone()));
    loops.spawn(recovery::run(state.clone()));
    let room_state = state.clone();
    loops.spawn(async move { rooms::run(room_state, lost).await });
    let gap_state = state.clone();
    loops.spawn(async move { gaps::run(gap_state, gaps).await });
}

/// Starts what carries out the entries of the outbox.
pub fn take_outbox(loops: &mut JoinSet<()>, state: &AppState, store: &PostgresStore) {
    if state.config.database.outbox_notify {
        loops.spawn(outbox::listen(state.clone(), store.clone()));
    }
    let store = store.clone();
    let pause = state.config.database.outbox_pause;
    every_or_when(
        loops,
        state,
        pause,
        |state| Some(&state.published),
        move |state| outbox::tick(state, store.clone()),
    );
}

/// Calls `tick` again and again, with `pause` in between, until the server stops.
fn every<F, T>(loops: &mut JoinSet<()>, state: &AppState, pause: Duration, tick: F)
where
    F: Fn(AppState) -> T + Send + 'static,
    T: Future<Output = anyhow::Result<()>> + Send,
{
    every_or_when(loops, state, pause, |_| None, tick);
}

/// The same, and at once when it is notified.
fn every_or_when<F, T>(
    loops: &mut JoinSet<()>,
    state: &AppState,
    pause: Duration,
    wake: fn(&AppState) -> Option<&Notify>,
    tick: F,
) where
    F: Fn(AppState) -> T + Send + 'static,
    T: Future<Output = anyhow::Result<()>> + Send,
{
    let state = state.clone();
    loops.spawn(async move {
        loop {
            let woken = async {
                match wake(&state) {
                    Some(notify) => notify.notified().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = woken => {}
                () = state.lifecycle.reached(Phase::Stopping) => return,
            }
            if let Some(Err(problem)) = guarded(tick(state.clone())).await {
                let problem = format!("{problem:#}");
                tracing::warn!(problem, "a round of upkeep failed; it is tried again");
            }
        }
    });
}

/// One round of something that goes on for ever: a panic in it is a bug, but not one that may end it for good.
async fn guarded<T>(round: impl Future<Output = T>) -> Option<T> {
    let done = AssertUnwindSafe(round).catch_unwind().await;
    if done.is_err() {
        tracing::error!("a round of upkeep panicked; it is tried again");
    }
    done.ok()
}
