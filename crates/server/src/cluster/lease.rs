//! The lease by which other nodes know that this one lives, and what it learns of them.

use std::time::{Duration, Instant};

use anyhow::bail;
use tidings_core::{
    ports::{Enlisted, Registry, RegistryError},
    registry::Incarnation,
};

use super::{Cluster, LONG_PATIENCE, within};
use crate::state::AppState;

/// Between two looks at whether a node of the same id lives.
const LOOK: Duration = Duration::from_millis(200);
/// Longest that the end waits for the registry.
const LAST_WORDS: Duration = Duration::from_secs(3);

impl Cluster {
    /// Takes the lease before anything is served. Fails if a node of this id lives. `before`: the
    /// run before this one, which is over because its data directory is ours.
    pub async fn begin(&self, before: Option<Incarnation>) -> anyhow::Result<Option<Incarnation>> {
        let Some(registry) = self.registry() else { return Ok(None) };
        let mut seen: Option<(Incarnation, Duration)> = None;
        loop {
            match self.enlist(registry, before).await {
                Ok(Enlisted::As(me)) => return Ok(Some(me)),
                Ok(Enlisted::Taken { by, left }) => {
                    // A lease that gets longer is of one that lives. That of a dead one runs out.
                    let lives = seen.is_some_and(|(other, before)| other != by || left > before);
                    if lives {
                        bail!(
                            "another node with the id {} is running; give each node an id of its own (node_id), or none",
                            self.node
                        );
                    }
                    if seen.is_none() {
                        tracing::info!(
                            "waiting until the lease of the node that had this id before has run out"
                        );
                    }
                    seen = Some((by, left));
                    tokio::time::sleep(LOOK.min(left)).await;
                }
                Err(problem) => {
                    tracing::warn!(%problem, "the registry of nodes does not answer; this node serves by itself until it does");
                    return Ok(None);
                }
            }
        }
    }

    async fn enlist(
        &self,
        registry: &dyn Registry,
        before: Option<Incarnation>,
    ) -> Result<Enlisted, RegistryError> {
        let asked = Instant::now();
        let lease = self.times.timeout;
        let enlisted = within(LONG_PATIENCE, registry.enlist(&self.node, before, lease)).await?;
        if let Enlisted::As(me) = enlisted {
            tracing::info!(event = "cluster.joined", incarnation = me.0);
            let mut held = self.lease.lock();
            held.me = Some(me);
            held.until = Some(asked + lease);
        }
        Ok(enlisted)
    }

    /// Whether the lease has run out, as far as this node can tell.
    fn has_run_out(&self) -> bool {
        self.lease.lock().until.is_none_or(|until| until <= Instant::now())
    }

    /// What was noted is of no use: everything will be said anew.
    fn forget_noted(&self) {
        *self.noted.lock() = super::Noted::default();
    }
}

/// Gives a sign of life, and looks who else does.
pub(crate) async fn heartbeat(state: &AppState) -> anyhow::Result<()> {
    let cluster = &state.cluster;
    let Some(registry) = cluster.registry() else { return Ok(()) };
    let before = cluster.lease.lock().me;
    if let Some(me) = before {
        let asked = Instant::now();
        let lease = cluster.times.timeout;
        match within(lease.min(LONG_PATIENCE), registry.renew(me, lease)).await {
            Ok(Some(roster)) => {
                cluster.lease.lock().until = Some(asked + lease);
                learn(state, roster);
                return Ok(());
            }
            Ok(None) => tracing::warn!("the lease of this node has run out; it begins anew"),
            Err(problem) => {
                cluster.metrics.failed();
                if cluster.has_run_out() {
                    cluster.forget_noted();
                }
                return Err(problem.into());
            }
        }
    }
    cluster.lease.lock().until = None;
    cluster.forget_noted();
    match cluster.enlist(registry, before).await? {
        Enlisted::As(_) => say_everything(state),
        Enlisted::Taken { .. } => {
            tracing::error!(
                node_id = cluster.node,
                "another node has the id of this one: this one serves by itself; give each an id of its own"
            );
        }
    }
    Ok(())
}

fn learn(state: &AppState, roster: tidings_core::registry::Roster) {
    let cluster = &state.cluster;
    let (verdict, live) = {
        let mut peers = cluster.peers.write();
        let verdict = peers.learn(roster, cluster.uptime());
        (verdict, peers.live().count())
    };
    for node in &verdict.lost {
        tracing::warn!(event = "cluster.node_lost", incarnation = node.0);
        cluster.metrics.lost();
        state.presence.lost(*node, state.clock.now());
    }
    if !verdict.lost.is_empty() {
        // What it stored last, or stores without Redis, nobody may have been told of.
        state.missed.lost_a_node(state.clock.now());
    }
    cluster.metrics.seen(live, state.presence.elsewhere());
    if !verdict.to_reap.is_empty() {
        *cluster.verdict.lock() = verdict;
        cluster.dead.notify_one();
    }
}

/// After a break: nobody knows what this node holds, nor it what others do.
fn say_everything(state: &AppState) {
    for session in state.hub.sessions_where(|_| true) {
        state.cluster.touch(&session.user);
        for (room, _) in session.rooms.all() {
            state.cluster.touch_seats(&room, &session.user);
        }
    }
    state.presence.read_again();
}

/// Says goodbye, after the last connection has ended.
pub(crate) async fn leave(state: &AppState) {
    let Some((registry, me)) = state.cluster.open() else { return };
    let last = async {
        super::announce::write_all(state).await?;
        registry.quit(me).await?;
        anyhow::Ok(())
    };
    match tokio::time::timeout(LAST_WORDS, last).await {
        Ok(Ok(())) => state.cluster.lease.lock().until = None,
        Ok(Err(problem)) => tracing::debug!(%problem, "other nodes were not told of the end"),
        Err(_) => tracing::debug!("other nodes were not told of the end in time"),
    }
}
