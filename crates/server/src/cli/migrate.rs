//! `tidings migrate`

use clap::{Args, Subcommand};
use tidings_store_sqlite::migrations::{self, Down};

use super::{Global, say};
use crate::data_dir::DataDir;

#[derive(Args)]
pub(super) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Apply every migration that is missing (`serve` does so by itself)
    Up,
    /// Take back the newest migrations. What they stored is lost
    Down {
        /// How many
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Show which migrations are applied
    Status,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let config = global.load()?;
        let path = config.database_path();
        if let Action::Status = self.action {
            for migration in migrations::status(&path)? {
                let state = if migration.applied { "applied" } else { "missing" };
                say(format_args!("{:04} {:<32} {state}", migration.version, migration.name));
            }
            return Ok(());
        }
        let _lock = DataDir::lock(&config.data_dir)?;
        let changed = match self.action {
            Action::Up => migrations::up(&path)?,
            Action::Down { steps } => migrations::down(&path, Down::Steps(steps))?,
            Action::Status => Vec::new(),
        };
        if changed.is_empty() {
            say("Nothing to do.");
        }
        for migration in changed {
            say(format_args!("{:04} {}", migration.version, migration.name));
        }
        Ok(())
    }
}
