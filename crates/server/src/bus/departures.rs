//! Connections that are to go to other nodes.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// So many connections go, spread over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    pub connections: u64,
    pub over: Duration,
}

/// What was asked for last and has not begun.
#[derive(Default)]
pub struct Departures {
    asked: Mutex<Option<Departure>>,
    changed: Notify,
}

impl Departures {
    /// Takes the place of one that has not begun. Gives how many were asked to go.
    pub fn ask(&self, departure: Departure) -> u64 {
        *self.asked.lock() = Some(departure);
        self.changed.notify_one();
        departure.connections
    }

    pub(crate) async fn next(&self) -> Departure {
        loop {
            let asked = self.asked.lock().take();
            match asked {
                Some(departure) => return departure,
                None => self.changed.notified().await,
            }
        }
    }
}
