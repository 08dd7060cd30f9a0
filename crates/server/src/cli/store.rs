//! `tidings store`

mod copy;
mod progress;
mod rows;

use clap::{Args, Subcommand};

use super::Global;

#[derive(Args)]
pub(super) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Copy a SQLite database, row by row, into an empty PostgreSQL database. What was cut off
    /// goes on when the same command is given again
    Copy(copy::Copy),
}

impl Command {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self.action {
            Action::Copy(copy) => copy.run(global),
        }
    }
}
