//! `tidings config`

use clap::{Args, Subcommand};
use tidings_core::ports::Clock as _;

use super::{Global, say};
use crate::{
    clock::SystemClock,
    config::{check, warnings},
};

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
                for warning in warnings(&config, SystemClock.now()) {
                    say(format_args!("Warning: {warning}"));
                }
            }
        }
        Ok(())
    }
}
