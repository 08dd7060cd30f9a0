//! `tidings backup`

use std::{io::IsTerminal as _, path::PathBuf};

use clap::Args;
use tidings_store_sqlite::backup::{self, BackupProgress};

use super::{Global, say};
use crate::config::Place;

#[derive(Args)]
pub(super) struct Backup {
    /// Where the copy goes
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

impl Backup {
    /// Reads the database file itself: a server that runs goes on, and need not be asked.
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let config = global.load()?;
        let mut bar = Bar { on: std::io::stderr().is_terminal(), shown: None };
        let Place::Sqlite(from) = config.place().map_err(anyhow::Error::msg)? else {
            anyhow::bail!("this database is PostgreSQL: use pg_dump");
        };
        backup::backup(&from, &self.file, self.force, |progress| bar.show(progress))?;
        bar.end();
        let size = std::fs::metadata(&self.file)?.len();
        say(format_args!("{} ({size} bytes) is complete and checked.", self.file.display()));
        Ok(())
    }
}

/// Per cent, on a terminal only: a script sees the last line.
struct Bar {
    on: bool,
    shown: Option<u64>,
}

impl Bar {
    fn show(&mut self, progress: BackupProgress) {
        let percent = progress.copied * 100 / progress.total.max(1);
        if self.on && self.shown != Some(percent) {
            self.shown = Some(percent);
            eprint!("\r{percent:>3} % of {} pages", progress.total);
        }
    }

    fn end(&self) {
        if self.on {
            eprintln!("\r\x1b[KChecked and synced.");
        }
    }
}
