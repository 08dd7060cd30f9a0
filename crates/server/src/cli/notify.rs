//! `tidings notify`

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::{Global, block_on, say};
use crate::admin::{Answer, Request, ask};

#[derive(Args)]
pub(super) struct Notify {
    /// A user's id; may be given several times
    #[arg(long, required_unless_present = "all")]
    to: Vec<String>,
    /// To everybody
    #[arg(long, conflicts_with = "to")]
    all: bool,
    /// Such as like, comment or system
    #[arg(long = "type", default_value = "system")]
    kind: String,
    /// What it says [default: a sentence of the type]
    #[arg(long)]
    message: Option<String>,
    #[arg(long)]
    title: Option<String>,
    /// Who did it: a user's id
    #[arg(long)]
    actor: Option<String>,
    #[arg(long)]
    entity_type: Option<String>,
    #[arg(long)]
    entity_id: Option<String>,
    /// A JSON object of the application's own
    #[arg(long)]
    data: Option<String>,
}

impl Notify {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let config = global.load()?;
        let answer = block_on(ask(&config, Request::Notify { draft: self.draft()? }))?;
        if let Answer::Sent { id, recipients, announced } = answer {
            let verb = if announced { "is being announced to" } else { "was sent to" };
            let users = if recipients == 1 { "user" } else { "users" };
            say(format_args!("{id} {verb} {recipients} {users}"));
        }
        Ok(())
    }

    fn draft(self) -> anyhow::Result<Value> {
        let to = if self.all { json!({ "all": true }) } else { json!({ "users": self.to }) };
        let data: Option<Value> = match self.data {
            Some(text) => Some(serde_json::from_str(&text).context("--data is not JSON")?),
            None => None,
        };
        let fallback = || format!("You have a notification: {}", self.kind);
        let mut draft = json!({
            "to": to,
            "type": self.kind,
            "message": self.message.clone().unwrap_or_else(fallback),
        });
        let optional = [
            ("title", self.title.map(Value::from)),
            ("actorId", self.actor.map(Value::from)),
            ("entityType", self.entity_type.map(Value::from)),
            ("entityId", self.entity_id.map(Value::from)),
            ("data", data),
        ];
        if let Some(object) = draft.as_object_mut() {
            for (name, value) in optional {
                object.extend(value.map(|value| (name.to_owned(), value)));
            }
        }
        Ok(draft)
    }
}
