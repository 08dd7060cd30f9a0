//! A hash table of things that know their own key: an entry takes a pointer and a byte, where a map would keep a copy of
//! the key beside it.

use std::hash::{BuildHasher as _, Hash, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Something that stands in a [`Table`].
pub trait Keyed {
    type Key: ?Sized + Hash + Eq;

    fn with_key<R>(&self, f: impl FnOnce(&Self::Key) -> R) -> R;
}

pub struct Table<T> {
    hasher: RandomState,
    entries: HashTable<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), entries: HashTable::new() }
    }
}

impl<T: Keyed> Table<T> {
    pub fn get(&self, key: &T::Key) -> Option<&T> {
        self.entries.find(self.hasher.hash_one(key), |entry| is(entry, key))
    }

    /// The key has to stay what it is.
    pub fn get_mut(&mut self, key: &T::Key) -> Option<&mut T> {
        self.entries.find_mut(self.hasher.hash_one(key), |entry| is(entry, key))
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the place of what had the same key.
    pub fn insert(&mut self, value: T) {
        let hasher = &self.hasher;
        let rehash = |entry: &T| entry.with_key(|key| hasher.hash_one(key));
        let hash = rehash(&value);
        let entry = value.with_key(|key| self.entries.entry(hash, |other| is(other, key), rehash));
        match entry {
            Entry::Occupied(mut same) => *same.get_mut() = value,
            Entry::Vacant(place) => drop(place.insert(value)),
        }
    }

    pub fn remove(&mut self, key: &T::Key) {
        let hasher = &self.hasher;
        if let Ok(found) = self.entries.find_entry(hasher.hash_one(key), |entry| is(entry, key)) {
            found.remove();
        }
        // A crowd that has gone must not leave its tables behind.
        let (len, capacity) = (self.entries.len(), self.entries.capacity());
        if capacity > 64 && len < capacity / 8 {
            self.entries.shrink_to(len * 2, |entry| entry.with_key(|key| hasher.hash_one(key)));
        }
    }
}

fn is<T: Keyed>(entry: &T, key: &T::Key) -> bool {
    entry.with_key(|other| other == key)
}
