//! Segments: files of records, only ever appended to.
//!
//! A file begins with [`MAGIC`]. A record is its length, a CRC-32C (RFC 3720) and the version of what follows, then
//! that. The checksum covers the segment's own random number, which stands in the file's name, so that neither
//! what lies on the disk from another file nor a payload that looks like a record is taken for one.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The format of the file.
const MAGIC: &[u8; 8] = b"TDSPOOL1";
/// Where the first record stands.
pub(super) const START: u64 = MAGIC.len() as u64;
/// Length, checksum, version.
const HEAD: usize = 9;
/// The version of payloads that this code writes.
pub(super) const VERSION: u8 = 1;
/// Largest payload.
pub(super) const MAX_PAYLOAD: usize = 64 << 20;

/// The name of a segment: its place among the others, and a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId {
    pub(super) number: u64,
    pub(super) salt: u64,
}

impl SegmentId {
    pub(super) fn new(number: u64) -> Self {
        Self { number, salt: rand::random() }
    }

    pub(super) fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (number, salt) = name.strip_suffix(".seg")?.split_once('-')?;
        let hex = |text: &str| (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok())?;
        Some(Self { number: hex(number)?, salt: hex(salt)? })
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}.seg", self.number, self.salt)
    }
}

/// A record as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) version: u8,
    pub(super) payload: Vec<u8>,
    /// Where the next one begins.
    pub(super) end: u64,
}

/// What a record of this payload takes.
pub(super) fn size(payload: usize) -> u64 {
    (HEAD + payload) as u64
}

/// Appends a record to `out`.
pub(super) fn encode(id: SegmentId, version: u8, payload: &[u8], out: &mut Vec<u8>) {
    // Checked by whoever takes payloads in; one that is too long would not be read again.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(id, length, version, payload).to_le_bytes());
    out.push(version);
    out.extend_from_slice(payload);
}

fn checksum(id: SegmentId, length: [u8; 4], version: u8, payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&id.salt.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &length);
    let sum = crc32c::crc32c_append(sum, &[version]);
    crc32c::crc32c_append(sum, payload)
}

struct Head {
    length: [u8; 4],
    sum: u32,
    version: u8,
}

impl Head {
    fn read(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, d, e, f, g, h, version] = bytes;
        Self { length: [a, b, c, d], sum: u32::from_le_bytes([e, f, g, h]), version }
    }

    /// `None`: no record is as long as this.
    fn payload(&self) -> Option<usize> {
        let length = usize::try_from(u32::from_le_bytes(self.length)).ok()?;
        (1..=MAX_PAYLOAD).contains(&length).then_some(length)
    }

    fn fits(&self, id: SegmentId, payload: &[u8]) -> bool {
        checksum(id, self.length, self.version, payload) == self.sum
    }
}

/// Reads the record at `at`, if there is a whole and sound one that ends by `end`.
pub(super) fn read(file: &File, id: SegmentId, at: u64, end: u64) -> io::Result<Option<Raw>> {
    let mut head = [0; HEAD];
    if end.saturating_sub(at) < HEAD as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut head, at)?;
    let head = Head::read(head);
    let Some(length) = head.payload().filter(|length| size(*length) <= end - at) else {
        return Ok(None);
    };
    let mut payload = vec![0; length];
    file.read_exact_at(&mut payload, at + HEAD as u64)?;
    let sound = head.fits(id, &payload);
    let end = at + size(length);
    Ok(sound.then_some(Raw { version: head.version, payload, end }))
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Every record that can be read, in order.
    pub(super) records: Vec<Range<usize>>,
    /// Where the last of them ends. What follows is no record: it was being written when the end came.
    pub(super) sound_to: usize,
    /// Something before that is no record: it was written, and is not what was written.
    pub(super) damaged: bool,
}

/// Finds all records, also those behind a damaged place.
pub(super) fn scan(id: SegmentId, bytes: &[u8]) -> Scan {
    let start = MAGIC.len().min(bytes.len());
    let mut scan = Scan { records: Vec::new(), sound_to: start, damaged: false };
    let mut at = start;
    // A first block that is gone says nothing about the records behind it: each proves itself.
    let odd_start = bytes.get(..MAGIC.len()).is_some_and(|magic| magic != MAGIC);
    loop {
        let next = match record_at(id, bytes, at) {
            Some(end) => Some(at..end),
            None => (at + 1..bytes.len()).find_map(|at| Some(at..record_at(id, bytes, at)?)),
        };
        let Some(record) = next else { break };
        scan.damaged |= record.start != at || odd_start;
        (at, scan.sound_to) = (record.end, record.end);
        scan.records.push(record);
    }
    scan
}

/// Where the record at `at` ends, if one stands there.
fn record_at(id: SegmentId, bytes: &[u8], at: usize) -> Option<usize> {
    let head = Head::read(bytes.get(at..at + HEAD)?.try_into().ok()?);
    let end = at + HEAD + head.payload()?;
    let payload = bytes.get(at + HEAD..end)?;
    head.fits(id, payload).then_some(end)
}

/// The payload of a record that [`scan`] found, and its version.
pub(super) fn payload<'a>(bytes: &'a [u8], record: &Range<usize>) -> (u8, &'a [u8]) {
    let record = bytes.get(record.clone()).unwrap_or_default();
    let version = record.get(HEAD - 1).copied().unwrap_or_default();
    (version, record.get(HEAD..).unwrap_or_default())
}

/// Makes a new, empty segment that survives a power cut.
pub(super) fn create(dir: &Path, id: SegmentId) -> io::Result<File> {
    let path = id.path(dir);
    let mut file =
        OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(&path)?;
    let made = file.write_all(MAGIC).and_then(|()| file.sync_all()).and_then(|()| sync_dir(dir));
    if let Err(problem) = made {
        // A full disk: nothing is to be left of it.
        let _ = fs::remove_file(&path);
        return Err(problem);
    }
    Ok(file)
}

/// Which files there are is a matter of the directory, which has to be synced on its own.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
