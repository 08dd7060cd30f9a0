//! The one that appends: a thread that writes whatever came during the last sync and syncs it together.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::Arc,
};

use parking_lot::Mutex;
use tidings_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Gate, Held, SpoolError,
    ledger::{ClaimHash, Ledger, Place, Written},
    segment::{self, SegmentId, VERSION, encode},
};

/// Most that is written at once.
const BATCH_RECORDS: usize = 1_024;
const BATCH_BYTES: usize = 8 << 20;

pub(super) enum Job {
    Append(Append),
    /// Removes the files if nothing waits.
    Tidy(oneshot::Sender<()>),
}

pub(super) struct Append {
    pub(super) payload: Vec<u8>,
    pub(super) claim: Option<ClaimHash>,
    pub(super) now: Timestamp,
    pub(super) reply: oneshot::Sender<Result<Held, SpoolError>>,
}

impl Append {
    fn size(&self) -> u64 {
        segment::size(self.payload.len())
    }
}

pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) gate: watch::Sender<Gate>,
    /// A segment that has grown to this is left for a new one.
    pub(super) segment_bytes: u64,
    /// The number of the next segment.
    pub(super) next: u64,
    pub(super) active: Option<Active>,
}

/// The segment that is appended to.
pub(super) struct Active {
    id: SegmentId,
    file: File,
    end: u64,
}

impl Writer {
    /// Runs until the last handle of the queue is gone and everything in it is done.
    pub(super) fn run(mut self) {
        while let Some(job) = self.queue.blocking_recv() {
            let mut next = Some(job);
            while let Some(job) = next.take() {
                match job {
                    Job::Append(first) => next = self.append(first),
                    Job::Tidy(done) => {
                        self.tidy();
                        let _ = done.send(());
                    }
                }
            }
        }
    }

    /// Writes this one and those that wait behind it. Gives the job that ended the batch, if one did.
    fn append(&mut self, first: Append) -> Option<Job> {
        let mut bytes = first.payload.len();
        let mut batch = vec![first];
        let mut other = None;
        while batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            match self.queue.try_recv() {
                Ok(Job::Append(append)) => {
                    bytes += append.payload.len();
                    batch.push(append);
                }
                Ok(tidy) => {
                    other = Some(tidy);
                    break;
                }
                Err(_) => break,
            }
        }
        match self.write(&batch) {
            Ok(places) => self.publish(batch, places),
            Err(problem) => {
                tracing::error!(event = "spool.write_failed", %problem, requests = batch.len());
                self.give_up(batch, &problem);
            }
        }
        other
    }

    /// All of the batch, synced. Gives where each record begins.
    fn write(&mut self, batch: &[Append]) -> io::Result<Vec<Place>> {
        if self.active.as_ref().is_none_or(|active| active.end >= self.segment_bytes) {
            // What is finished by then is removed by whoever carries out its last record.
            self.active = None;
            let id = SegmentId::new(self.next);
            let file = segment::create(&self.dir, id)?;
            self.next += 1;
            self.active = Some(Active { id, file, end: segment::START });
            self.ledger.lock().add_segment(id);
        }
        let Some(active) = &mut self.active else { return Err(io::ErrorKind::NotFound.into()) };
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(batch.len());
        for append in batch {
            places.push(Place { segment: active.id, at: active.end + bytes.len() as u64 });
            encode(active.id, VERSION, &append.payload, &mut bytes);
        }
        active.file.write_all_at(&bytes, active.end)?;
        active.file.sync_data()?;
        active.end += bytes.len() as u64;
        Ok(places)
    }

    fn publish(&mut self, batch: Vec<Append>, places: Vec<Place>) {
        let mut ledger = self.ledger.lock();
        for (append, place) in batch.iter().zip(&places) {
            let end = place.at + append.size();
            let (claim, now) = (append.claim, append.now);
            ledger.written(Written { place: *place, end, claim, now });
        }
        // Before anybody is answered: whoever asks afterwards stands behind these.
        let begun = self.gate.send_if_modified(|gate| {
            let shut = *gate == Gate::Open;
            if shut {
                *gate = Gate::Shut;
            }
            shut
        });
        drop(ledger);
        if begun {
            tracing::warn!(event = "spool.begun", "the database is away: requests are spooled");
        }
        for (append, place) in batch.into_iter().zip(places) {
            // To a sender that is gone it comes back, and is let go.
            let _ = append.reply.send(Ok(Held { ledger: Arc::clone(&self.ledger), place }));
        }
    }

    /// Nothing of the batch is kept. After a sync that failed nobody knows what is on the disk: the rest of the
    /// file is cut off, and nothing is appended to it any more.
    fn give_up(&mut self, batch: Vec<Append>, problem: &io::Error) {
        if let Some(active) = self.active.take()
            && let Err(problem) =
                active.file.set_len(active.end).and_then(|()| active.file.sync_data())
        {
            // Found at the next start and cut off then, or carried out: those who sent it know neither.
            tracing::error!(event = "spool.truncate_failed", %problem);
        }
        let mut ledger = self.ledger.lock();
        batch.iter().for_each(|append| ledger.release(append.size()));
        // A disk that stays full is not to be littered with files that hold nothing.
        let empty = ledger.drop_empty_last();
        drop(ledger);
        remove(&self.dir, empty.as_slice());
        for append in batch {
            let _ = append.reply.send(Err(SpoolError::Failed(problem.to_string())));
        }
    }

    fn tidy(&mut self) {
        let finished = self.ledger.lock().clear();
        if finished.is_empty() {
            return;
        }
        self.active = None;
        remove(&self.dir, &finished);
    }
}

/// Removes segments that were carried out. One that stays is carried out again after a restart, which changes nothing.
pub(super) fn remove(dir: &std::path::Path, segments: &[SegmentId]) {
    for id in segments {
        if let Err(problem) = fs::remove_file(id.path(dir)) {
            tracing::warn!(event = "spool.remove_failed", %problem, segment = %id);
        }
    }
}
