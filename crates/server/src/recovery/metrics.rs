//! What is counted about clients that come back on other nodes.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

#[derive(Clone, Default)]
pub struct RecoveryMetrics {
    parked: Counter,
    not_parked: Counter,
    arrived: Counter,
    began_anew: Counter,
}

impl RecoveryMetrics {
    pub(crate) fn register(&self, r: &mut Registry) {
        let parked = "Sessions left for other nodes to go on with";
        r.register("tidings_recovery_parked", parked, self.parked.clone());
        let not_parked = "Sessions that could not be left for other nodes";
        r.register("tidings_recovery_not_parked", not_parked, self.not_parked.clone());
        let arrived = "Clients that went on here with a session of another node";
        r.register("tidings_recovery_arrived", arrived, self.arrived.clone());
        let anew = "Clients of other nodes that had to begin anew";
        r.register("tidings_recovery_began_anew", anew, self.began_anew.clone());
    }

    pub(super) fn parked(&self) {
        self.parked.inc();
    }

    pub(super) fn not_parked(&self) {
        self.not_parked.inc();
    }

    pub(crate) fn arrived(&self, recovered: bool) {
        let counter = if recovered { &self.arrived } else { &self.began_anew };
        counter.inc();
    }
}
