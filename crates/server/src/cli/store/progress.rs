//! How far a long work on rows is: a bar on a terminal, else a line now and then.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// How often a bar moves, and how often a line comes.
const BAR: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(10);
const WIDTH: usize = 30;

pub(super) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    /// What was done before this began.
    before: u64,
    began: Instant,
    shown: Instant,
    on_terminal: bool,
    table: &'static str,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: u64, before: u64) -> Self {
        let (began, on_terminal) = (Instant::now(), std::io::stderr().is_terminal());
        let (done, shown) = (before, began);
        Self { what, total, done, before, began, shown, on_terminal, table: "" }
    }

    pub(super) fn add(&mut self, table: &'static str, rows: u64) {
        self.done += rows;
        self.table = table;
        if self.shown.elapsed() >= if self.on_terminal { BAR } else { LINE } {
            self.show();
        }
    }

    /// The last word on it.
    pub(super) fn end(&mut self) {
        self.table = "";
        self.show();
        if self.on_terminal {
            eprintln!();
        }
    }

    fn show(&mut self) {
        self.shown = Instant::now();
        let told = self.line(self.began.elapsed());
        if self.on_terminal {
            // Over what stood there before. Whoever reads it no more is no reason to stop.
            let bar = bar(self.done, self.total);
            let _ = write!(std::io::stderr(), "\r\x1b[K{bar} {told}");
        } else {
            let _ = writeln!(std::io::stderr(), "{told}");
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let Self { what, total, done, before, table, .. } = self;
        let speed = (done - before) as f64 / elapsed.as_secs_f64().max(0.001);
        let mut line = format!("{} of {} rows {what}", grouped(*done), grouped(*total));
        line.push_str(&format!(", {} rows/s", grouped(speed as u64)));
        let left = total.saturating_sub(*done) as f64 / speed.max(1.0);
        if done < total && done > before {
            line.push_str(&format!(", {} left", clock(left as u64)));
        }
        if !table.is_empty() {
            line.push_str(&format!(" ({table})"));
        }
        line
    }
}

fn bar(done: u64, total: u64) -> String {
    let part = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (part * WIDTH as f64) as usize;
    format!("[{}{}] {:3.0} %", "#".repeat(full), "-".repeat(WIDTH - full), (part * 100.0).floor())
}

fn clock(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        _ => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// A number that people can read.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up() {
        assert_eq!(bar(0, 10), format!("[{}]   0 %", "-".repeat(30)));
        assert_eq!(bar(5, 10), format!("[{}{}]  50 %", "#".repeat(15), "-".repeat(15)));
        assert_eq!(bar(999, 1_000), format!("[{}-]  99 %", "#".repeat(29)));
        assert_eq!(bar(0, 0), format!("[{}] 100 %", "#".repeat(30)));
    }

    #[test]
    fn a_line_says_how_fast_it_goes_and_how_long_it_takes() {
        let mut progress = Progress::new("copied", 1_000_000, 400_000);
        progress.done = 600_000;
        progress.table = "messages";
        let line = progress.line(Duration::from_secs(10));
        assert_eq!(line, "600,000 of 1,000,000 rows copied, 20,000 rows/s, 0:20 left (messages)");
        progress.total = 200_600_000;
        assert!(progress.line(Duration::from_secs(10)).contains(", 2:46:40 left"));
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
