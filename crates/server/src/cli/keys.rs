//! `tidings keys`

use clap::{Args, Subcommand};
use tidings_core::api_key::Scope;

use super::{Global, block_on, say};
use crate::admin::{Answer, Request, ask};

#[derive(Args)]
pub(super) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key; it is shown this once and never again
    Create {
        /// What the key is for
        #[arg(long)]
        name: String,
        /// Rights of the key, with commas between them [default: all]
        #[arg(long, value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// Print the key alone
        #[arg(long)]
        quiet: bool,
    },
    /// List the keys
    List,
    /// Revoke a key, at once
    Revoke {
        /// As in the list
        id: String,
    },
}

impl Command {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let config = global.load()?;
        let quiet = matches!(self.action, Action::Create { quiet: true, .. });
        let request = match self.action {
            Action::Create { name, scopes, .. } => {
                let scopes = if scopes.is_empty() { Scope::ALL.to_vec() } else { scopes };
                Request::CreateKey { name, scopes }
            }
            Action::List => Request::ListKeys,
            Action::Revoke { id } => Request::RevokeKey { id },
        };
        show(block_on(ask(&config, request))?, quiet);
        Ok(())
    }
}

fn show(answer: Answer, quiet: bool) {
    match answer {
        Answer::Created { key, .. } if quiet => say(key),
        Answer::Created { id, key } => {
            say(format_args!("{key}"));
            say(format_args!("This is key {id}. Keep it: it is not shown again."));
        }
        Answer::Keys(keys) => {
            say(format_args!(
                "{:<18} {:<20} {:<24} {:<24} SCOPES",
                "ID", "NAME", "CREATED", "REVOKED"
            ));
            for key in keys {
                let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
                let revoked = key.revoked_at.map_or("-".to_owned(), |at| at.to_string());
                say(format_args!(
                    "{:<18} {:<20} {:<24} {revoked:<24} {}",
                    key.id,
                    key.name,
                    key.created_at.to_string(),
                    scopes.join(",")
                ));
            }
        }
        Answer::Revoked => say("The key is revoked."),
        Answer::Sent { .. } | Answer::Audit(_) | Answer::Failed(_) => {}
    }
}
