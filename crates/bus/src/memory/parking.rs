//! What the nodes of one process leave for one another.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_core::ports::{Parking, RegistryError};

/// From so many on, those that nobody came for are forgotten.
const MANY: usize = 10_000;

#[derive(Default)]
pub struct MemoryParking(Mutex<HashMap<String, (Instant, String)>>);

#[async_trait]
impl Parking for MemoryParking {
    async fn park(&self, key: &str, text: &str, keep: Duration) -> Result<(), RegistryError> {
        let now = Instant::now();
        let mut all = self.0.lock();
        if all.len() >= MANY {
            all.retain(|_, (until, _)| *until > now);
        }
        all.insert(key.to_owned(), (now + keep, text.to_owned()));
        Ok(())
    }

    async fn take(&self, key: &str) -> Result<Option<String>, RegistryError> {
        let found = self.0.lock().remove(key);
        Ok(found.filter(|(until, _)| *until > Instant::now()).map(|(_, text)| text))
    }

    async fn withdraw(&self, key: &str, text: &str) -> Result<(), RegistryError> {
        let mut all = self.0.lock();
        if all.get(key).is_some_and(|(_, there)| there == text) {
            all.remove(key);
        }
        Ok(())
    }
}
