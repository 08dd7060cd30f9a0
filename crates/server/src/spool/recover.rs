//! What lies there when the spool is opened: what was being written is cut off, what was damaged is set aside, what
//! is sound waits to be carried out.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};

use super::{
    ledger::{Ledger, Place, Written},
    record::Brief,
    segment::{self, START, Scan, SegmentId},
    writer,
};

/// Fills the ledger with what waits in `dir`. Gives the number of the next segment.
pub(super) fn recover(
    dir: &Path,
    cursor: Option<Place>,
    ledger: &mut Ledger,
) -> anyhow::Result<u64> {
    let mut found = list(dir)?;
    found.sort_unstable();
    let done = |id: &SegmentId| cursor.is_some_and(|place| id.number < place.segment.number);
    let (finished, waiting): (Vec<_>, Vec<_>) = found.into_iter().partition(done);
    writer::remove(dir, &finished);
    let newest = waiting.last().map_or(0, |id| id.number);
    let mut next = newest.max(cursor.map_or(0, |place| place.segment.number)) + 1;
    for id in waiting {
        let from = match cursor {
            Some(place) if place.segment == id => place.at,
            _ => START,
        };
        read(dir, id, from, id.number == newest, &mut next, ledger)
            .with_context(|| format!("cannot read {}", id.path(dir).display()))?;
    }
    Ok(next)
}

fn list(dir: &Path) -> anyhow::Result<Vec<SegmentId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(id) = entry.file_name().to_str().and_then(SegmentId::parse) {
            found.push(id);
        }
    }
    Ok(found)
}

fn read(
    dir: &Path,
    id: SegmentId,
    from: u64,
    is_newest: bool,
    next: &mut u64,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let path = id.path(dir);
    let bytes = fs::read(&path)?;
    let scan = segment::scan(id, &bytes);
    let torn = bytes.len() - scan.sound_to;
    // Only the newest was being written to when the end came; to the others somebody else has done something.
    if scan.damaged || (torn > 0 && !is_newest) {
        return mend(dir, id, &bytes, &scan, next, ledger);
    }
    if torn > 0 {
        tracing::warn!(
            event = "spool.torn", segment = %id, bytes = torn,
            "the end of the spool was being written when the server ended; it is cut off"
        );
        let file = fs::OpenOptions::new().write(true).open(&path)?;
        file.set_len(scan.sound_to as u64)?;
        file.sync_all()?;
    }
    let waiting = scan.records.iter().filter(|record| record.start as u64 >= from);
    let records = waiting.map(|record| (record.start as u64, segment::payload(&bytes, record)));
    enter(id, START.min(bytes.len() as u64).max(scan.sound_to as u64), records, ledger)
}

/// Notes a segment and those of its records that wait.
fn enter<'a>(
    id: SegmentId,
    end: u64,
    records: impl Iterator<Item = (u64, (u8, &'a [u8]))>,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    ledger.add_segment(id);
    let mut entered = 0;
    for (at, (version, payload)) in records {
        // One that cannot be understood is none the less in its place; whoever carries it out sets it aside.
        let brief = Brief::read(version, payload);
        let claim = brief.as_ref().and_then(Brief::claim).map(|claim| ledger.hash(claim));
        let now = brief.map(|brief| brief.now).unwrap_or_default();
        let size = segment::size(payload.len());
        ledger.found(Written { place: Place { segment: id, at }, end: at + size, claim, now });
        entered += size;
    }
    ledger.grow_last(end, entered);
    Ok(())
}

/// Some of it is not what was written. What is sound is copied into a new segment and waits there; the file stays
/// for whoever wants to look into it.
fn mend(
    dir: &Path,
    id: SegmentId,
    bytes: &[u8],
    scan: &Scan,
    next: &mut u64,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let sound: Vec<(u8, &[u8])> =
        scan.records.iter().map(|record| segment::payload(bytes, record)).collect();
    let kept: u64 = sound.iter().map(|(_, payload)| segment::size(payload.len())).sum();
    tracing::error!(
        event = "spool.damaged", segment = %id, records = sound.len(),
        lost_bytes = bytes.len() as u64 - START.min(bytes.len() as u64) - kept,
        "a file of the spool is damaged: what can be read of it is carried out, the file is kept as .damaged"
    );
    // In the place of the old one: the same number, so that nothing overtakes.
    let copy = SegmentId::new(id.number);
    if copy == id {
        bail!("two segments of one name");
    }
    let mut out = Vec::with_capacity(bytes.len());
    for (version, payload) in &sound {
        segment::encode(copy, *version, payload, &mut out);
    }
    let path = id.path(dir);
    let made = segment::create(dir, copy).and_then(|mut file| {
        file.write_all(&out)?;
        file.sync_all()
    });
    if let Err(problem) = made {
        let _ = fs::remove_file(copy.path(dir));
        return Err(problem).context("there is no room to mend it");
    }
    // A crash in between leaves both, and all of it is carried out twice to one effect.
    fs::rename(&path, path.with_extension("damaged"))?;
    segment::sync_dir(dir)?;
    *next = (*next).max(id.number + 1);
    let mut at = START;
    let records = sound.into_iter().map(|(version, payload)| {
        let place = at;
        at += segment::size(payload.len());
        (place, (version, payload))
    });
    enter(copy, START + out.len() as u64, records, ledger)
}

/// What can be read in files that were set aside, in bytes.
pub(super) fn set_aside(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "damaged") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
