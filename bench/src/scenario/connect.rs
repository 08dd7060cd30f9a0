//! Scenario 1: everybody connects at the same moment.

use std::time::Duration;

use super::{median, row, users};
use crate::{
    client::Crowd,
    options::Plan,
    process::{Server, Stage},
    report::{Section, Table, ratio},
    stats::{Samples, millis},
};

/// For a server to notice that a crowd has left.
const REST: Duration = Duration::from_millis(500);

/// All rounds of one server.
#[derive(Default)]
struct Outcome {
    wanted: usize,
    established: usize,
    last: Vec<f64>,
    /// 101 and the open packet, the namespace, `connected`.
    upgraded: Samples,
    joined: Samples,
    connected: Samples,
    cpu: f64,
    failures: Vec<String>,
}

pub async fn connect(stage: &Stage, plan: &Plan) -> anyhow::Result<Section> {
    let columns = [
        "server",
        "established",
        "last, ms",
        "p50",
        "p95",
        "p99",
        "connects/s",
        "CPU ms each",
        "p50 of 101",
        "of CONNECT",
    ];
    let mut table = Table::new(&columns);
    let count = plan.connections;
    let tidings = stage.tidings().await?;
    let first = rounds(&tidings, plan, |round| users(&format!("new{round}"), count)).await?;
    let again = rounds(&tidings, plan, |_| users("new0", count)).await?;
    tidings.stop().await?;
    table.row(first.row("Tidings, users new to it"));
    table.row(again.row("Tidings, users it knows"));
    let mut failures = [first.failures.as_slice(), &again.failures].concat();
    if let Some(server) = stage.peer().await? {
        let peer = rounds(&server, plan, |_| users("user", count)).await?;
        table.row(peer.row(server.name));
        table.row(again.ratios("ratio (known users ÷ Node.js)", &peer));
        failures.extend(peer.failures);
        server.stop().await?;
    }
    let mut notes = vec![
        format!(
            "{} rounds each; every connection is a WebSocket with a token of its own user, from the first SYN to the event `connected`. Medians of the rounds for \"last\", all connections together for percentiles (ms).",
            plan.connect_rounds
        ),
        "Tidings stores each new user and reads each inbox before `connected`; the peer stores and reads nothing.".into(),
        "The last two columns say when (p50, ms) the WebSocket was open, and when the namespace let the client in.".into(),
    ];
    notes.extend(failures.first().map(|failure| format!("First failure: {failure}")));
    Ok(Section { title: format!("1. {count} connections at once"), table, notes })
}

async fn rounds(
    server: &Server,
    plan: &Plan,
    names: impl Fn(usize) -> Vec<String>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for round in 0..plan.connect_rounds {
        let names = names(round);
        let before = server.cpu()?;
        let crowd = Crowd::storm(server.door(), &names).await?;
        outcome.cpu += server.cpu()? - before;
        let opened = crowd.board.opened.take();
        outcome.wanted += names.len();
        outcome.established += opened.connected.len();
        outcome.last.push(millis(opened.connected.max()));
        outcome.upgraded.extend(opened.upgraded);
        outcome.joined.extend(opened.joined);
        outcome.connected.extend(opened.connected);
        outcome.failures.extend(crowd.board.failures.take());
        drop(crowd);
        tokio::time::sleep(REST).await;
    }
    Ok(outcome)
}

impl Outcome {
    fn figures(&self) -> [f64; 8] {
        let [p50, p95, p99] = self.connected.summary();
        let last = median(self.last.clone());
        let established = self.established as f64;
        let per_second = established / self.last.len() as f64 / last * 1e3;
        let cpu = self.cpu * 1e3 / established;
        let [upgraded, ..] = self.upgraded.summary();
        let [joined, ..] = self.joined.summary();
        [last, p50, p95, p99, per_second, cpu, upgraded, joined]
    }

    fn row(&self, name: &str) -> Vec<String> {
        let mut row = row(name, self.figures());
        row.insert(1, format!("{}/{}", self.established, self.wanted));
        row
    }

    fn ratios(&self, name: &str, other: &Self) -> Vec<String> {
        let pairs = self.figures().into_iter().zip(other.figures());
        let ratios = pairs.map(|(a, b)| ratio(a, b));
        [name.to_owned(), String::new()].into_iter().chain(ratios).collect()
    }
}
