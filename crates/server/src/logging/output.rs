//! Where lines wait to be written.
//!
//! Whoever has a line does not wait for the disk or the pipe behind standard error, and many lines leave in one write. A
//! thread takes the first at once and then what gathered, every [`PAUSE`]. Warnings and errors are written
//! before their caller goes on, and so is everything when [`MOST`] bytes wait: no line is dropped.

use std::{
    io::{self, Write as _},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Between two writes of the thread; so old is a line at most that a killed process takes with it.
const PAUSE: Duration = Duration::from_millis(10);
/// Bytes that wait at most.
const MOST: usize = 256 << 10;

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Held while something is written, so that it stays in order.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    ended: bool,
}

impl Shared {
    fn add(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.waiting.lock();
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        let now = urgent || waiting.ended || waiting.lines.len() >= MOST;
        drop(waiting);
        if now {
            self.flush();
        } else if first {
            self.changed.notify_one();
        }
    }

    fn flush(&self) {
        let _turn = self.turn.lock();
        let lines = std::mem::take(&mut self.waiting.lock().lines);
        // There is nobody left to tell that the log cannot be written.
        let _ = io::stderr().write_all(&lines);
    }

    /// The thread's work; ends with the log.
    #[allow(clippy::disallowed_methods, reason = "the thread is its own")]
    fn write(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.lines.is_empty() && !waiting.ended {
                self.changed.wait(&mut waiting);
            }
            let ended = waiting.ended;
            drop(waiting);
            self.flush();
            if ended {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Hands lines over.
pub(super) struct Output(Arc<Shared>);

impl Output {
    /// Takes a whole line.
    pub(super) fn add(&self, line: &[u8], level: Level) {
        self.0.add(line, is_urgent(level));
    }
}

fn is_urgent(level: Level) -> bool {
    level <= Level::WARN
}

/// Takes one event's line, in one piece or several.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    urgent: bool,
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.add(bytes, self.urgent);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, urgent: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, urgent: is_urgent(*metadata.level()) }
    }
}

/// Writes what waits when it is dropped; later lines are written by whoever has them.
#[must_use]
pub struct Flush {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.shared.waiting.lock().ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; and what it did not write is written below.
            let _ = thread.join();
        }
        self.shared.flush();
    }
}

pub(super) fn start() -> (Output, Flush) {
    let shared = Arc::new(Shared::default());
    let writing = Arc::clone(&shared);
    let thread = thread::Builder::new().name("log".to_owned()).spawn(move || writing.write()).ok();
    // Without the thread every line is urgent.
    shared.waiting.lock().ended = thread.is_none();
    (Output(Arc::clone(&shared)), Flush { shared, thread })
}
