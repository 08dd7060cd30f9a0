//! `tidings config`

use clap::{Args, Subcommand};

use super::{Global, say};
use crate::config::check;

#[derive(Args)]
pub(super) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say whether the configuration is valid, and if not, why
    Check,
    /// Show the configuration that would be used, without secrets
    Show,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let config = global.load()?;
        match self.action {
            Action::Show => say(toml::to_string_pretty(&config)?),
            Action::Check => {
                let problems = check(&config);
                anyhow::ensure!(
                    problems.is_empty(),
                    "the configuration is not valid:\n  {}",
                    problems.join("\n  ")
                );
                say("The configuration is valid.");
            }
        }
        Ok(())
    }
}
