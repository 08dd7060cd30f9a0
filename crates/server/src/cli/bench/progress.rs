//! One line on the terminal that says how it goes.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tidings_load::Ledger;

pub(super) const TICK: Duration = Duration::from_millis(500);

pub(super) struct Progress {
    wanted: usize,
    /// Nobody watches.
    quiet: bool,
    shown: usize,
}

impl Progress {
    pub(super) fn new(wanted: usize, quiet: bool) -> Self {
        Self { wanted, quiet: quiet || !std::io::stderr().is_terminal(), shown: 0 }
    }

    pub(super) fn show(&mut self, ledger: &Ledger) {
        if self.quiet {
            return;
        }
        let line = line(ledger, self.wanted);
        let width = line.chars().count();
        // Spaces over what the last line left behind.
        let rest = " ".repeat(self.shown.saturating_sub(width));
        write(&format!("\r{line}{rest}"));
        self.shown = width;
    }

    pub(super) fn clear(&mut self) {
        if self.shown > 0 {
            write(&format!("\r{}\r", " ".repeat(self.shown)));
        }
    }
}

fn line(ledger: &Ledger, wanted: usize) -> String {
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    let mut line = format!("{} of {wanted} connected", count(&ledger.members));
    for (counter, name) in [(&ledger.failed, "failed"), (&ledger.closed, "ended")] {
        if count(counter) > 0 {
            line.push_str(&format!(", {} {name}", count(counter)));
        }
    }
    if count(&ledger.sent) > 0 {
        let [p50, p99] = ledger.so_far.each_ref().map(|so_far| count(so_far) as f64 / 1e3);
        line.push_str(&format!(
            " · {} sent, {} received · p50 {p50:.1} ms, p99 {p99:.1} ms",
            count(&ledger.sent),
            count(&ledger.delivered)
        ));
    }
    line
}

fn write(text: &str) {
    let mut terminal = std::io::stderr().lock();
    // Without a terminal there is nobody to tell.
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
