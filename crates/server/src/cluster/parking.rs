//! What nodes leave for one another.

use std::time::Duration;

use super::{Cluster, LONG_PATIENCE, within};

impl Cluster {
    /// Leaves something for whoever asks first; whether that went well.
    pub(crate) async fn park(&self, key: &str, text: &str, keep: Duration) -> bool {
        let Some(common) = &self.common else { return false };
        let parked =
            within(self.times.patience.max(LONG_PATIENCE), common.parking.park(key, text, keep))
                .await;
        if let Err(problem) = &parked {
            tracing::debug!(%problem, "nothing could be left for other nodes");
        }
        parked.is_ok()
    }

    /// Takes what was left. `None`: nobody can tell whether there is something.
    pub(crate) async fn take_parked(&self, key: &str) -> Option<Option<String>> {
        let common = self.common.as_ref()?;
        self.ask(common.parking.take(key)).await
    }

    /// Takes back what was left, if it is still there.
    pub(crate) async fn withdraw(&self, key: &str, text: &str) {
        let Some(common) = &self.common else { return };
        // Otherwise it ends by itself.
        let _ = within(LONG_PATIENCE, common.parking.withdraw(key, text)).await;
    }
}
