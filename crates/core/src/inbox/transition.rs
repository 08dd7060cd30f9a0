//! What an operation makes of one item; `None` means that nothing changes.

use crate::{notification::Item, time::Timestamp};

pub type Transition = fn(&Item, Timestamp) -> Option<Item>;

/// Reading a notification also means that it was seen.
pub fn read(item: &Item, now: Timestamp) -> Option<Item> {
    let changes = item.read_at.is_none();
    changes.then(|| Item {
        read_at: Some(now),
        seen_at: item.seen_at.or(Some(now)),
        ..item.clone()
    })
}

/// It stays seen: nobody can unsee.
pub fn unread(item: &Item, _now: Timestamp) -> Option<Item> {
    let changes = item.read_at.is_some();
    changes.then(|| Item { read_at: None, ..item.clone() })
}

pub fn seen(item: &Item, now: Timestamp) -> Option<Item> {
    let changes = item.seen_at.is_none();
    changes.then(|| Item { seen_at: Some(now), ..item.clone() })
}

pub fn archive(item: &Item, now: Timestamp) -> Option<Item> {
    let changes = item.archived_at.is_none();
    changes.then(|| Item { archived_at: Some(now), ..item.clone() })
}

pub fn unarchive(item: &Item, _now: Timestamp) -> Option<Item> {
    let changes = item.archived_at.is_some();
    changes.then(|| Item { archived_at: None, ..item.clone() })
}
