//! `tidings bench`: the load generator.

mod options;
mod progress;

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use tidings_load::{Churn, Ledger, Outcome, Pace, Plan, Report, measure, raise_limit};

use tokio::signal::unix::{SignalKind, signal};

use self::options::{Clients, Messages, PASSING_USERS};
use super::{block_on, say};

const EXAMPLES: &str = "\
Examples:
  A Tidings of your own (TIDINGS_JWT_SECRET and TIDINGS_API_KEY are set):
    tidings bench connect -n 5000 --at-once --wait-for connected
    tidings bench broadcast -n 1000 --rate 50 --duration 30s
    tidings bench broadcast -n 5000 --in-flight 8
    tidings bench unicast -n 1000 --rate 2000 --json > result.json
    tidings bench mix -n 2000 --broadcast-rate 5 --unicast-rate 500 --churn-rate 50

  Any other Socket.IO server, whose clients hear what one of them says:
    tidings bench broadcast --url http://127.0.0.1:3000 --namespace /chat \\
      --join 'join=lobby' --send emit --emit 'say={\"room\":\"lobby\",\"text\":\"{mark}\"}' --rate 20

Each message carries a mark (its number and when it was due) wherever {mark} stands. Latency counts
from when a message was due, also if the server or the generator was late. Ctrl-C ends it and prints
what was measured until then.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Bench {
    #[command(subcommand)]
    action: Action,
    /// Print the figures as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Show no progress
    #[arg(long, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Connect clients and hold them
    #[command(after_help = EXAMPLES)]
    Connect {
        #[command(flatten)]
        clients: Clients,
    },
    /// Send messages to everybody
    #[command(after_help = EXAMPLES)]
    Broadcast {
        #[command(flatten)]
        clients: Clients,
        #[command(flatten)]
        messages: Messages,
        #[command(flatten)]
        pace: Paced,
    },
    /// Send messages to one client each, at random
    #[command(after_help = EXAMPLES)]
    Unicast {
        #[command(flatten)]
        clients: Clients,
        #[command(flatten)]
        messages: Messages,
        #[command(flatten)]
        pace: Paced,
    },
    /// Both together, while clients come and go
    #[command(after_help = EXAMPLES)]
    Mix {
        #[command(flatten)]
        clients: Clients,
        #[command(flatten)]
        messages: Messages,
        /// Messages to everybody, a second
        #[arg(long, default_value_t = 1.0, value_name = "RATE")]
        broadcast_rate: f64,
        /// Messages to one client each, a second
        #[arg(long, default_value_t = 100.0, value_name = "RATE")]
        unicast_rate: f64,
        /// Clients that come and go, a second
        #[arg(long, default_value_t = 10.0, value_name = "RATE")]
        churn_rate: f64,
    },
}

#[derive(Args)]
struct Paced {
    /// Messages a second, at fixed times
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Instead: always so many on their way, as fast as the server goes
    #[arg(long, conflicts_with = "rate", value_name = "COUNT")]
    in_flight: Option<u64>,
}

impl Paced {
    fn pace(&self) -> anyhow::Result<Pace> {
        match self.in_flight {
            Some(count) => Ok(Pace::InFlight(count.max(1))),
            None => rate(self.rate, "--rate"),
        }
    }
}

fn rate(rate: f64, flag: &str) -> anyhow::Result<Pace> {
    ensure!(rate > 0.0 && rate <= 1e7, "{flag} is more than 0 and at most ten million");
    Ok(Pace::Rate(rate))
}

impl Bench {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let plan = self.action.plan()?;
        let target = &plan.hellos.target;
        if !target.is_loopback() {
            eprintln!(
                "tidings: {} is not this machine. Put load only on servers that are yours to load.",
                target.host
            );
        }
        raise_limit(plan.files())?;
        let url = self.action.clients().url.clone();
        let (outcome, interrupted) = block_on(measured(plan, self.quiet))?;
        let report = Report::new(&url, &outcome, interrupted);
        if self.json {
            say(serde_json::to_string_pretty(&report)?);
        } else {
            say(report.to_string().trim_end());
        }
        Ok(())
    }
}

/// Measures in a thread, while this one shows how it goes and listens for Ctrl-C.
async fn measured(plan: Plan, quiet: bool) -> anyhow::Result<(Outcome, bool)> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let ledger = Arc::new(Ledger::new(plan.connections));
    let watched = Arc::clone(&ledger);
    let wanted = plan.connections;
    let mut measuring = tokio::task::spawn_blocking(move || measure(&plan, &ledger));
    let mut progress = progress::Progress::new(wanted, quiet);
    let mut tick = tokio::time::interval(progress::TICK);
    loop {
        tokio::select! {
            outcome = &mut measuring => {
                progress.clear();
                let outcome = outcome.context("the measurement broke")??;
                return Ok((outcome, watched.is_stopped()));
            }
            _ = tick.tick() => progress.show(&watched),
            _ = interrupt.recv() => {
                if watched.is_stopped() {
                    // Asked twice: at once.
                    std::process::exit(130);
                }
                watched.stop();
            }
        }
    }
}

impl Action {
    fn clients(&self) -> &Clients {
        match self {
            Self::Connect { clients }
            | Self::Broadcast { clients, .. }
            | Self::Unicast { clients, .. }
            | Self::Mix { clients, .. } => clients,
        }
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let clients = self.clients();
        let mut plan = match self {
            Self::Connect { .. } => clients.plan("")?,
            Self::Broadcast { messages, pace, .. } => {
                let mut plan = with_room(clients, messages)?;
                plan.load.broadcast = Some(messages.flow(clients, pace.pace()?, true)?);
                plan
            }
            Self::Unicast { messages, pace, .. } => {
                let mut plan = clients.plan("")?;
                plan.senders = messages.senders();
                plan.load.unicast = Some(messages.flow(clients, pace.pace()?, false)?);
                plan
            }
            Self::Mix { messages, broadcast_rate, unicast_rate, churn_rate, .. } => {
                let mut plan = with_room(clients, messages)?;
                let broadcast = rate(*broadcast_rate, "--broadcast-rate")?;
                let unicast = rate(*unicast_rate, "--unicast-rate")?;
                plan.load.broadcast = Some(messages.flow(clients, broadcast, true)?);
                plan.load.unicast = Some(messages.flow(clients, unicast, false)?);
                ensure!(*churn_rate > 0.0, "--churn-rate is more than 0");
                let numbers = clients.connections..clients.connections + PASSING_USERS;
                let hellos = plan.hellos.clone();
                plan.load.churn = Some(Churn { rate: *churn_rate, hellos, numbers });
                plan
            }
        };
        clients.settle(&mut plan);
        Ok(plan)
    }
}

/// Clients that are in the room of broadcasts.
fn with_room(clients: &Clients, messages: &Messages) -> anyhow::Result<Plan> {
    let mut plan = clients.plan(messages.room())?;
    plan.hellos.joins.extend(messages.default_join(clients));
    plan.senders = messages.senders();
    Ok(plan)
}
