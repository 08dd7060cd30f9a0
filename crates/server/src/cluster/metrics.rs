//! What is counted about other nodes.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Default)]
pub struct ClusterMetrics {
    live: Gauge,
    elsewhere: Gauge,
    lost: Counter,
    reaped: Counter,
    failed: Counter,
}

impl ClusterMetrics {
    pub(crate) fn register(&self, r: &mut Registry) {
        let live = "Nodes that give signs of life, this one included";
        r.register("tidings_cluster_nodes", live, self.live.clone());
        let elsewhere = "Connections of other nodes that are seen in rooms of this one";
        r.register("tidings_cluster_remote_connections", elsewhere, self.elsewhere.clone());
        r.register("tidings_cluster_nodes_lost", "Nodes taken for dead", self.lost.clone());
        let reaped = "Users and places in rooms that dead nodes left behind and this one took away";
        r.register("tidings_cluster_reaped", reaped, self.reaped.clone());
        let failed = "Questions that the registry did not answer, or not in time";
        r.register("tidings_cluster_registry_failures", failed, self.failed.clone());
    }

    pub(super) fn seen(&self, live: usize, elsewhere: usize) {
        self.live.set(i64::try_from(live).unwrap_or(i64::MAX));
        self.elsewhere.set(i64::try_from(elsewhere).unwrap_or(i64::MAX));
    }

    pub(super) fn lost(&self) {
        self.lost.inc();
    }

    pub(super) fn reaped(&self, count: usize) {
        self.reaped.inc_by(count as u64);
    }

    pub(super) fn failed(&self) {
        self.failed.inc();
    }
}
