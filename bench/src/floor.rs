//! The floors: what the kernel and the disk charge for the same work without a server.

use std::{
    cell::RefCell,
    fs::{self, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::Path,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tidings_protocol::websocket::{self, Opcode};
use tokio::task::JoinHandle;

use crate::stats::Samples;

/// Bytes of one synced write: a page of the database's log.
const PAGE: usize = 4096;

/// Fan-out: takes `members` connections and then one more, on which each 8 bytes are the number
/// of a notification to write to all members, one `write` each.
pub fn fan_out(members: usize, bytes: usize, ready_file: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let unfinished = ready_file.with_extension("tmp");
    fs::write(&unfinished, serde_json::json!({ "address": address }).to_string())?;
    fs::rename(&unfinished, ready_file)?;
    let accept = || {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        anyhow::Ok(stream)
    };
    let mut sockets = (0..members).map(|_| accept()).collect::<Result<Vec<TcpStream>, _>>()?;
    let mut control = accept()?;
    let mut number = [0; 8];
    // Whoever tells us ends before us, and with it this loop.
    while control.read_exact(&mut number).is_ok() {
        let frame = frame(u64::from_le_bytes(number), bytes);
        for socket in &mut sockets {
            socket.write_all(&frame)?;
        }
    }
    Ok(())
}

/// A notification's frame of `bytes` bytes.
fn frame(number: u64, bytes: usize) -> bytes::Bytes {
    let mut payload = format!("42[\"notification\",{{\"message\":\"bench #{number}\"}}]");
    let filling = bytes.saturating_sub(4 + payload.len());
    payload.extend(std::iter::repeat_n(' ', filling));
    websocket::frame(Opcode::Text, payload.as_bytes())
}

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
    samples: Rc<RefCell<Samples>>,
    task: JoinHandle<()>,
}

impl DiskWatch {
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("disk-watch");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        file.write_all(&[0x5a; PAGE])?;
        file.sync_all()?;
        let samples = Rc::<RefCell<Samples>>::default();
        let (file, seen) = (Arc::new(file), Rc::clone(&samples));
        let task = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(WATCH).await;
                let file = Arc::clone(&file);
                let synced = tokio::task::spawn_blocking(move || {
                    let start = Instant::now();
                    file.write_all_at(&[0xa5; PAGE], 0).and_then(|()| file.sync_data())?;
                    std::io::Result::Ok(start.elapsed())
                });
                let Ok(Ok(took)) = synced.await else { return };
                seen.borrow_mut().add(took);
            }
        });
        Ok(Self { samples, task })
    }

    pub fn stop(self) -> Samples {
        self.task.abort();
        self.samples.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_writes_frames_of_the_size_that_is_asked_for() {
        assert_eq!(frame(7, 400).len(), 400);
        assert!(frame(7, 400).windows(2).any(|two| two == b"#7"));
    }
}
