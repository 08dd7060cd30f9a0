//! `tidings migrate`

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{Global, block_on, say};
use crate::{
    config::{Config, Place},
    data_dir::DataDir,
    store::migrations,
};

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
        let place = config.place().map_err(|problem| anyhow!("database_url: {problem}"))?;
        block_on(self.action.run(&config, &place))
    }
}

impl Action {
    async fn run(self, config: &Config, place: &Place) -> anyhow::Result<()> {
        if let Self::Status = self {
            for step in migrations::status(place).await? {
                let state = if step.applied { "applied" } else { "missing" };
                say(format_args!("{:04} {:<32} {state}", step.version, step.name));
            }
            return Ok(());
        }
        // A file is this directory's own; on PostgreSQL one migrates while servers run.
        let _lock = match place {
            Place::Sqlite(_) => Some(DataDir::lock(&config.data_dir)?),
            Place::Postgres(_) => None,
        };
        let changed = match self {
            Self::Up => migrations::up(place).await?,
            Self::Down { steps } => migrations::down(place, steps).await?,
            Self::Status => Vec::new(),
        };
        if changed.is_empty() {
            say("Nothing to do.");
        }
        for step in changed {
            say(format_args!("{:04} {}", step.version, step.name));
        }
        Ok(())
    }
}
