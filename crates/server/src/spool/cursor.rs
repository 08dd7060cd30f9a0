//! How far the spool was carried out: a small file beside the segments.
//!
//! It is not synced. If a power cut takes it, or a crash comes before it is written, records are carried out again,
//! which changes nothing: the store knows their keys.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{ledger::Place, segment::SegmentId};

const NAME: &str = "cursor";
/// Number, salt, position, checksum.
const LENGTH: usize = 28;

#[derive(Debug)]
pub(super) struct Cursor(File);

impl Cursor {
    /// Gives also where it stands, if that can be read.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Option<Place>)> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(dir.join(NAME))?;
        let mut bytes = [0; LENGTH];
        let place = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(&bytes),
            Err(_) => None,
        };
        Ok((Self(file), place))
    }

    pub(super) fn set(&self, place: Place) -> io::Result<()> {
        self.0.write_all_at(&encode(place), 0)
    }
}

fn encode(place: Place) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let fields = [place.segment.number, place.segment.salt, place.at];
    for (to, field) in bytes.chunks_exact_mut(8).zip(fields) {
        to.copy_from_slice(&field.to_le_bytes());
    }
    let sum = crc32c::crc32c(&bytes[..24]);
    bytes[24..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; LENGTH]) -> Option<Place> {
    let field = |n: usize| Some(u64::from_le_bytes(bytes.get(n * 8..n * 8 + 8)?.try_into().ok()?));
    let sum = u32::from_le_bytes(bytes[24..].try_into().ok()?);
    if sum != crc32c::crc32c(&bytes[..24]) {
        return None;
    }
    Some(Place { segment: SegmentId { number: field(0)?, salt: field(1)? }, at: field(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_a_torn_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { segment: SegmentId { number: 3, salt: 9 }, at: 77 };
        let (cursor, none) = Cursor::open(dir.path()).unwrap();
        assert_eq!(none, None);
        cursor.set(place).unwrap();
        assert_eq!(Cursor::open(dir.path()).unwrap().1, Some(place));
        cursor.0.write_all_at(&[1], 3).unwrap();
        assert_eq!(Cursor::open(dir.path()).unwrap().1, None);
    }
}
