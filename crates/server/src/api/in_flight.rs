//! Idempotency keys of requests that are being carried out right now.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<(String, String)>>>);

/// Holds a key until the request is answered.
pub struct Flight {
    flights: InFlight,
    key: (String, String),
}

impl InFlight {
    /// `None`: another request with this key has not been answered yet.
    pub fn begin(&self, scope: &str, key: &str) -> Option<Flight> {
        let key = (scope.to_owned(), key.to_owned());
        let fresh = self.0.lock().insert(key.clone());
        fresh.then(|| Flight { flights: self.clone(), key })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.0.lock().remove(&self.key);
    }
}
