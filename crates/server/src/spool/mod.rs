//! The spool: requests that were accepted while the database was away, on the disk of this node until it is back.
//!
//! A request is answered after its record is synced, many sharing one sync. Records are carried out in their order
//! by `workers/spool.rs`; while any waits, new requests stand behind it ([`Gate`]). What was carried out and not yet
//! crossed off when a crash came is carried out again, and the store knows it by its key.

mod cursor;
mod dead;
mod ledger;
pub mod metrics;
mod record;
mod recover;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use parking_lot::Mutex;
use tidings_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use cursor::Cursor;
use dead::Dead;
use ledger::{Ledger, Place};
use writer::{Append, Job, Writer};

pub use dead::Reason;
pub use ledger::Bounds;
pub use record::Record;
pub use state::{Gate, Held, Level, SpoolError, Unreadable, Waiting};

use crate::config::Config;

/// Requests that wait for the writer.
const QUEUE: usize = 4_096;
/// A segment that has grown to this is left for a new one.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Most that is read at once to be carried out.
const FRONT_RECORDS: usize = 512;
const FRONT_BYTES: usize = 8 << 20;
/// Said of the database while something waits that has to come first.
pub const STORED_FIRST: &str = "what was accepted before it went away is stored first";
/// How long a request waits for the end of a replay before it joins the spool.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Spool {
    dir: PathBuf,
    bounds: Bounds,
    ledger: Arc<Mutex<Ledger>>,
    gate: watch::Sender<Gate>,
    cursor: Cursor,
    dead: Dead,
    /// The first record, and how often the store has failed on it.
    failed: Mutex<Option<(Place, u32)>>,
    /// How many records are carried out together next.
    pace: AtomicUsize,
    /// `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Spool {
    /// The spool in the data directory, which is this process's alone; `None` where nothing is to be spooled.
    pub fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let dir = config.data_dir.join("spool");
        // What waits from before is carried out in any case.
        if config.spool.require_store && !dir.exists() {
            return Ok(None);
        }
        let bounds = Bounds { bytes: config.spool.max_bytes, records: config.spool.max_records };
        Self::open(dir, bounds).map(Some)
    }

    /// Opens the spool in this directory, which one process at a time may have.
    pub fn open(dir: PathBuf, bounds: Bounds) -> anyhow::Result<Self> {
        Self::open_with(dir, bounds, SEGMENT_BYTES)
    }

    /// How many requests wait in a data directory that no server uses.
    pub fn waiting_in(data_dir: &std::path::Path) -> anyhow::Result<u64> {
        let dir = data_dir.join("spool");
        if !dir.exists() {
            return Ok(0);
        }
        let bounds = Bounds { bytes: u64::MAX, records: u64::MAX };
        Ok(Self::open(dir, bounds)?.level().records)
    }

    fn open_with(dir: PathBuf, bounds: Bounds, segment_bytes: u64) -> anyhow::Result<Self> {
        let what = || format!("cannot open the spool in {}", dir.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).with_context(what)?;
        let (cursor, place) = Cursor::open(&dir).with_context(what)?;
        let mut ledger = Ledger::default();
        let next = recover::recover(&dir, place, &mut ledger).with_context(what)?;
        let dead = Dead::open(&dir).with_context(what)?;
        // Both the directory and what was made in it are to survive a power cut.
        segment::sync_dir(&dir).with_context(what)?;
        segment::sync_dir(dir.parent().unwrap_or(&dir)).with_context(what)?;
        ledger.take(dead.bytes() + recover::set_aside(&dir).with_context(what)?);
        let records = ledger.waiting();
        if records > 0 {
            tracing::warn!(event = "spool.found", records, "requests wait to be carried out");
        }
        let gate = watch::Sender::new(if records > 0 { Gate::Shut } else { Gate::Open });
        let ledger = Arc::new(Mutex::new(ledger));
        let (sender, queue) = mpsc::channel(QUEUE);
        let writer = Writer {
            dir: dir.clone(),
            queue,
            ledger: Arc::clone(&ledger),
            gate: gate.clone(),
            segment_bytes,
            next,
            active: None,
        };
        let thread = std::thread::Builder::new()
            .name("tidings-spool".into())
            .spawn(move || writer.run())
            .with_context(what)?;
        Ok(Self {
            dir,
            bounds,
            ledger,
            gate,
            cursor,
            dead,
            failed: Mutex::default(),
            pace: AtomicUsize::new(1),
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Keeps a request: returns once it is on the disk.
    pub async fn append(&self, record: &Record) -> Result<Held, SpoolError> {
        let payload = record.encode();
        if payload.is_empty() || payload.len() > segment::MAX_PAYLOAD {
            return Err(SpoolError::Failed("the request is too large for a record".into()));
        }
        let size = segment::size(payload.len());
        let claim = {
            let mut ledger = self.ledger.lock();
            if !ledger.reserve(size, self.bounds) {
                return Err(SpoolError::Full);
            }
            record.claim().map(|claim| ledger.hash(claim))
        };
        let (reply, answer) = oneshot::channel();
        let append = Job::Append(Append { payload, claim, now: record.now(), reply });
        let queue = self.queue.lock().clone();
        if queue.is_none_or(|queue| queue.try_send(append).is_err()) {
            self.ledger.lock().release(size);
            return Err(SpoolError::Full);
        }
        answer.await.unwrap_or_else(|_| Err(SpoolError::Failed("the writer is gone".into())))
    }

    /// Whether the store may be asked; waits a moment for the end of a replay. `false`: the request belongs in the
    /// spool, or it would overtake what waits.
    pub async fn is_passable(&self) -> bool {
        if *self.gate.borrow() == Gate::Open {
            return true;
        }
        let mut gate = self.gate.subscribe();
        let decided = gate.wait_for(|gate| *gate != Gate::Draining);
        match tokio::time::timeout(PATIENCE, decided).await {
            Ok(Ok(gate)) => *gate == Gate::Open,
            // The replay takes longer.
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// The request that waits under this key.
    pub async fn find(&self, scope: &str, key: &str) -> io::Result<Option<Record>> {
        let found = {
            let ledger = self.ledger.lock();
            ledger.find(ledger.hash((scope, key)))
        };
        let Some((place, end)) = found else { return Ok(None) };
        let path = place.segment.path(&self.dir);
        let reading = move || segment::read(&fs::File::open(path)?, place.segment, place.at, end);
        let raw = match blocking(reading).await {
            // Carried out and removed since: the store knows it.
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
            raw => raw?,
        };
        let record = raw.and_then(|raw| Record::decode(raw.version, &raw.payload).ok());
        Ok(record.filter(|record| record.claim() == Some((scope, key))))
    }

    /// The records whose turn it is, in order; none if nothing waits.
    pub async fn front(&self) -> io::Result<Vec<Waiting>> {
        let Some(first) = self.ledger.lock().next() else { return Ok(Vec::new()) };
        let (dir, ledger) = (self.dir.clone(), Arc::clone(&self.ledger));
        blocking(move || read_front(&dir, &ledger, first)).await
    }

    /// How many records the store is given together: one after it failed, then more and more.
    pub fn pace(&self) -> usize {
        self.pace.load(Ordering::Relaxed)
    }

    /// Whether the store took what it was given.
    pub fn paced(&self, taken: bool) {
        let next = if taken { (self.pace() * 2).min(FRONT_RECORDS) } else { 1 };
        self.pace.store(next, Ordering::Relaxed);
    }

    /// The first record is done with.
    pub fn done(&self, waiting: &Waiting) {
        let finished = {
            let mut ledger = self.ledger.lock();
            let claim = waiting.record.as_ref().ok().and_then(Record::claim);
            let claim = claim.map(|claim| ledger.hash(claim));
            ledger.done(waiting.next, claim)
        };
        if let Err(problem) = self.cursor.set(waiting.next) {
            // Carried out again after a restart, which changes nothing.
            tracing::warn!(event = "spool.cursor_failed", %problem);
        }
        writer::remove(&self.dir, &finished);
    }

    /// Sets the first record aside for good, synced: the store will never take it.
    pub async fn bury(&self, waiting: &Waiting, reason: Reason, now: Timestamp) -> io::Result<()> {
        let bytes = self.dead.add(waiting, reason, now).await?;
        self.ledger.lock().take(bytes);
        self.done(waiting);
        Ok(())
    }

    /// The store has failed on the first record: gives how often.
    pub fn failed(&self, waiting: &Waiting) -> u32 {
        let mut failed = self.failed.lock();
        let times = match *failed {
            Some((place, times)) if place == waiting.next => times + 1,
            _ => 1,
        };
        *failed = Some((waiting.next, times));
        times
    }

    /// Says where new requests go while records wait: `draining` if the store takes them. With none left it is open,
    /// and the files are removed.
    pub async fn settle(&self, draining: bool) {
        let is_empty = {
            let ledger = self.ledger.lock();
            let gate = match (ledger.is_empty(), draining) {
                (true, _) => Gate::Open,
                (false, true) => Gate::Draining,
                (false, false) => Gate::Shut,
            };
            let changed =
                self.gate.send_if_modified(|current| std::mem::replace(current, gate) != gate);
            if changed && gate == Gate::Open {
                tracing::info!(event = "spool.emptied", "everything is stored that was spooled");
            }
            ledger.is_empty() && !ledger.segments.is_empty()
        };
        let queue = if is_empty { self.queue.lock().clone() } else { None };
        let Some(queue) = queue else { return };
        let (reply, done) = oneshot::channel();
        if queue.try_send(Job::Tidy(reply)).is_ok() {
            let _ = done.await;
        }
    }

    pub fn level(&self) -> Level {
        let ledger = self.ledger.lock();
        Level {
            records: ledger.waiting(),
            bytes: ledger.taken(),
            oldest: ledger.oldest(),
            full: !ledger.has_room(0, self.bounds),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.ledger.lock().is_empty()
    }

    /// Writes what is on its way and lets go of the files. Blocks until that is done.
    pub fn close(&self) {
        self.queue.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of its own was logged.
            let _ = thread.join();
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn read_front(
    dir: &std::path::Path,
    ledger: &Mutex<Ledger>,
    first: (Place, u64),
) -> io::Result<Vec<Waiting>> {
    let mut front = Vec::new();
    let mut file: Option<(Place, fs::File)> = None;
    let (mut next, mut bytes) = (Some(first), 0);
    while let Some((place, end)) = next.take() {
        let open = match file.take() {
            Some((opened, open)) if opened.segment == place.segment => open,
            _ => fs::File::open(place.segment.path(dir))?,
        };
        let Some(raw) = segment::read(&open, place.segment, place.at, end)? else {
            let problem = format!(
                "{} is damaged at {}; what is sound is carried out after a restart",
                place.segment, place.at
            );
            if front.is_empty() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            break;
        };
        file = Some((place, open));
        bytes += raw.payload.len();
        let following = Place { segment: place.segment, at: raw.end };
        let record = Record::decode(raw.version, &raw.payload)
            .map_err(|problem| Unreadable { problem, payload: raw.payload });
        if front.is_empty()
            && let Ok(record) = &record
        {
            ledger.lock().note_oldest(record.now());
        }
        front.push(Waiting { record, next: following });
        if front.len() < FRONT_RECORDS && bytes < FRONT_BYTES {
            next = ledger.lock().following(following);
        }
    }
    Ok(front)
}
