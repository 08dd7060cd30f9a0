//! The floor of durable work: what the disk charges for it without a server.

use std::{
    fs::{self, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::stats::Samples;

/// Bytes of one synced write: a page of the database's log.
const PAGE: usize = 4096;

/// The disk: `count` writes of a page, each synced before the next. `grown` is the file's size
/// at first: writes within it do not move its end, as in a log that is used again.
pub fn sync_rate(dir: &Path, count: usize, grown: bool) -> anyhow::Result<Samples> {
    let path = dir.join("sync-floor");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let page = [0x5a; PAGE];
    if grown {
        for _ in 0..count {
            file.write_all(&page)?;
        }
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
    }
    let mut samples = Samples::default();
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        samples.add(start.elapsed());
    }
    fs::remove_file(path)?;
    Ok(samples)
}

/// Pause between two writes of a [`DiskWatch`].
const WATCH: Duration = Duration::from_millis(20);

/// Syncs a page now and then while something else is measured: when the disk stalls, and with
/// it every durable write, it shows here.
pub struct DiskWatch {
    stop: mpsc::Sender<()>,
    watching: JoinHandle<Samples>,
}

impl DiskWatch {
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("disk-watch");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        file.write_all(&[0x5a; PAGE])?;
        file.sync_all()?;
        let (stop, stopped) = mpsc::channel();
        let watching = std::thread::spawn(move || {
            let mut samples = Samples::default();
            while stopped.recv_timeout(WATCH) == Err(RecvTimeoutError::Timeout) {
                let start = Instant::now();
                let synced = file.write_all_at(&[0xa5; PAGE], 0).and_then(|()| file.sync_data());
                if synced.is_err() {
                    break;
                }
                samples.add(start.elapsed());
            }
            samples
        });
        Ok(Self { stop, watching })
    }

    pub fn stop(self) -> Samples {
        drop(self.stop);
        // Of a watch that broke nothing is known.
        self.watching.join().unwrap_or_default()
    }
}
