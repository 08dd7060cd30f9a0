//! From ready to gone.
//!
//! On SIGTERM: the node says "not ready" so that load balancers turn away; a little later it
//! refuses new connections, tells its clients and closes them one by one; then it ends.

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Ready,
    /// Serves as before, but asks for no new clients.
    Unready,
    /// Refuses new clients and sends the others away.
    Draining,
    /// Ends.
    Stopping,
}

/// Where the server is in its life; cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifecycle(watch::Sender<Phase>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Ready))
    }
}

impl Lifecycle {
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let forward = phase > *current;
            if forward {
                *current = phase;
            }
            forward
        });
    }

    /// Returns when this phase, or a later one, has come.
    pub async fn reached(&self, phase: Phase) {
        let mut phases = self.0.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = phases.wait_for(|current| *current >= phase).await;
    }
}
