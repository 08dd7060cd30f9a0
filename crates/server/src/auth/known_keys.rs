//! The API keys that hold, as the store said lately: who may send is known also while the database is away.
//!
//! All of them are read every minute. A key that is revoked while the database is away could not be revoked at all,
//! and one revoked just before holds until the database is back.

use std::collections::HashMap;

use parking_lot::RwLock;
use tidings_core::api_key::ApiKey;

#[derive(Default)]
pub struct KnownKeys(RwLock<HashMap<[u8; 32], ApiKey>>);

impl KnownKeys {
    /// These are all.
    pub fn replace(&self, keys: Vec<ApiKey>) {
        let standing = keys.into_iter().filter(|key| key.revoked_at.is_none());
        *self.0.write() = standing.map(|key| (key.hash, key)).collect();
    }

    /// The store has said that this one holds.
    pub fn learn(&self, key: &ApiKey) {
        if !self.0.read().contains_key(&key.hash) {
            self.0.write().insert(key.hash, key.clone());
        }
    }

    /// The store has said that there is no such key.
    pub fn forget(&self, hash: &[u8; 32]) {
        if self.0.read().contains_key(hash) {
            self.0.write().remove(hash);
        }
    }

    pub fn find(&self, hash: &[u8; 32]) -> Option<ApiKey> {
        self.0.read().get(hash).cloned()
    }
}
