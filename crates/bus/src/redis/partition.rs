//! Which slot of a Redis Cluster a user or a room belongs to.
//!
//! Everything of one partition lies in one slot, so that channels can be subscribed in batches
//! and a script can touch a key and a channel together; and the partitions' slots are spread
//! evenly, so that the masters share the work.

use std::sync::LazyLock;

/// Each takes an equal part of the slots. All versions have to agree on it.
pub(super) const PARTITIONS: u16 = 256;
const SLOTS: u16 = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u16);

impl Partition {
    pub fn of(name: &str) -> Self {
        Self((crc32c::crc32c(name.as_bytes()) % u32::from(PARTITIONS)) as u16)
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// What stands in braces in the names of its keys and channels.
    pub fn tag(self) -> &'static str {
        TAGS.get(self.index()).map_or("", String::as_str)
    }

    pub(super) fn slot(self) -> u16 {
        slot_of(self.tag())
    }
}

/// A short text for each partition whose slot is in the partition's part.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut tags = vec![String::new(); usize::from(PARTITIONS)];
    let mut missing = tags.len();
    let mut number = 0_u32;
    while missing > 0 {
        let tag = format!("{number:x}");
        let part = usize::from(slot_of(&tag) / (SLOTS / PARTITIONS));
        if let Some(place) = tags.get_mut(part).filter(|place| place.is_empty()) {
            *place = tag;
            missing -= 1;
        }
        number += 1;
    }
    tags
});

/// Redis Cluster specification, "Key distribution model": CRC16 (XMODEM) modulo 16,384.
fn slot_of(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value of the specification's CRC16.
        assert_eq!(slot_of("123456789"), 0x31C3 % SLOTS);
        assert_eq!(slot_of("foo"), 12_182);
    }

    #[test]
    fn partitions_are_spread_over_all_slots() {
        for (n, partition) in Partition::all().enumerate() {
            assert_eq!(usize::from(partition.slot() / 64), n);
        }
        // Another hash would part nodes of different versions from one another.
        assert_eq!(Partition::of("alice"), Partition(Partition::of("alice").0));
        assert_eq!(crc32c::crc32c(b"alice") % 256, u32::from(Partition::of("alice").0));
    }
}
