//! `tidings audit`

use std::net::IpAddr;

use clap::{Args, Subcommand};
use tidings_core::{
    audit::{AuditEntry, AuditFilter, EventName},
    ids::{RoomId, UserId},
    time::Timestamp,
};

use super::{Global, block_on, say};
use crate::admin::{Answer, Request, ask};

#[derive(Args)]
pub(super) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the entries, newest first
    List(List),
}

#[derive(Args)]
struct List {
    /// Such as token.refused
    #[arg(long)]
    event: Option<EventName>,
    /// Whom it is about
    #[arg(long)]
    user: Option<UserId>,
    /// From which address
    #[arg(long)]
    ip: Option<IpAddr>,
    /// In which room
    #[arg(long)]
    room: Option<RoomId>,
    /// From this instant on (RFC 3339)
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this instant
    #[arg(long)]
    until: Option<Timestamp>,
    /// Entries, 1 to 1000
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// A JSON object for each entry
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let config = global.load()?;
        let Action::List(List { event, user, ip, room, since, until, limit, json }) = self.action;
        let filter = AuditFilter { event, user, ip, room, since, until };
        let answer = block_on(ask(&config, Request::ListAudit { filter, limit }))?;
        if let Answer::Audit(entries) = answer {
            for entry in entries {
                if json {
                    say(serde_json::to_string(&entry)?);
                } else {
                    say(line(&entry));
                }
            }
        }
        Ok(())
    }
}

/// As `name=value`, like the log.
fn line(entry: &AuditEntry) -> String {
    let mut line = format!("{} {} actor={}", entry.at, entry.event.as_str(), entry.actor.kind());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Quoted: some of it is a stranger's, who must not write lines of ours.
            line.push_str(&format!(" {name}={value:?}"));
        }
    };
    add("id", entry.actor.id().map(str::to_owned));
    add("ip", entry.ip.map(|ip| ip.to_string()));
    add("user", entry.user.as_ref().map(ToString::to_string));
    add("room", entry.room.as_ref().map(ToString::to_string));
    add("target", entry.target.clone());
    for (name, value) in &entry.detail {
        add(name, Some(value.clone()));
    }
    if entry.count > 1 {
        line.push_str(&format!(" count={} last={}", entry.count, entry.last_at));
    }
    line
}
