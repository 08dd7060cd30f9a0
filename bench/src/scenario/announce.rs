//! One announcement to everybody who is connected.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{draft, row, users};
use crate::{
    client::{Board, Crowd, Door, Pool},
    options::Plan,
    process::{Server, Stage},
    report::{Section, Table, ratio},
    stats::Samples,
};

/// Longest that the last receipt is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Outcome {
    first: Samples,
    last: Samples,
    received: usize,
    wanted: usize,
    cpu: f64,
}

pub async fn announce(stage: &Stage, plan: &Plan) -> anyhow::Result<Section> {
    let columns =
        ["server", "received", "first, p50 ms", "last, p50 ms", "p95", "p99", "CPU µs per receipt"];
    let mut table = Table::new(&columns);
    let names = users("user", plan.connections);
    let server = stage.tidings().await?;
    let (tidings, bytes) = posted(&server, &names, plan).await?;
    server.stop().await?;
    table.row(tidings.row("Tidings (stored in each inbox)"));
    if let Some(server) = stage.peer().await? {
        let (peer, _) = posted(&server, &names, plan).await?;
        table.row(peer.row("Socket.IO on Node.js (not stored)"));
        table.row(tidings.ratios("ratio (÷ Node.js)", &peer));
        server.stop().await?;
    }
    let floor = floor(stage, plan, bytes).await?;
    table.row(floor.row("floor: bare write loop"));
    table.row(tidings.ratios("ratio (÷ floor)", &floor));
    let notes = vec![
        format!(
            "{} announcements, one at a time; from the POST (floor: from a word on a socket) to the first and to the last of {} receipts. A notification's frame has {bytes} bytes.",
            plan.announcements, plan.connections
        ),
        "Tidings commits one inbox item per user before it sends, and follows each notification with `notification:count`; the peer and the floor send the one frame.".into(),
    ];
    let title = format!("One announcement to {} connected users", plan.connections);
    Ok(Section { title, table, notes })
}

async fn posted(
    server: &Server,
    names: &[String],
    plan: &Plan,
) -> anyhow::Result<(Outcome, usize)> {
    let crowd = Crowd::gather(server.door(), names).await?;
    let pool = Pool::new(server.address, &server.key);
    let mut outcome = Outcome::default();
    let before = server.cpu()?;
    for number in 0..plan.announcements as u64 {
        rest(number).await;
        let body = draft(r#"{"all":true}"#, number);
        // The receipts may come before the answer.
        let (answer, received) =
            tokio::join!(pool.post(&body), crowd.board.wait_received(names.len(), PATIENCE));
        let (answer, ()) = (answer?, received);
        anyhow::ensure!(answer.status < 300, "the API answered {}", answer.status);
        outcome.note(&crowd.board, answer.sent, names.len());
    }
    outcome.cpu = server.cpu()? - before;
    Ok((outcome, crowd.board.frame_bytes.get()))
}

async fn floor(stage: &Stage, plan: &Plan, bytes: usize) -> anyhow::Result<Outcome> {
    let server = stage.floor(plan.connections, bytes).await?;
    let names = users("member", plan.connections);
    let crowd = Crowd::gather(Door::Bare(server.address), &names).await?;
    let mut control = TcpStream::connect(server.address).await?;
    control.set_nodelay(true)?;
    let mut outcome = Outcome::default();
    let before = server.cpu()?;
    for number in 0..plan.announcements as u64 {
        rest(number).await;
        let sent = Instant::now();
        control.write_all(&number.to_le_bytes()).await?;
        crowd.board.wait_received(names.len(), PATIENCE).await;
        outcome.note(&crowd.board, sent, names.len());
    }
    outcome.cpu = server.cpu()? - before;
    server.stop().await?;
    Ok(outcome)
}

/// Not in step with any loop of a server.
async fn rest(number: u64) {
    tokio::time::sleep(Duration::from_millis(150 + number * 37 % 100)).await;
}

impl Outcome {
    fn note(&mut self, board: &Board, sent: Instant, wanted: usize) {
        let receipts = board.take_receipts();
        self.received += receipts.len();
        self.wanted += wanted;
        let times = || receipts.iter().map(|receipt| receipt.at);
        if let (Some(first), Some(last)) = (times().min(), times().max()) {
            self.first.add(first - sent);
            self.last.add(last - sent);
        }
    }

    fn figures(&self) -> [f64; 5] {
        let [first, ..] = self.first.summary();
        let [p50, p95, p99] = self.last.summary();
        [first, p50, p95, p99, self.cpu * 1e6 / self.received as f64]
    }

    fn row(&self, name: &str) -> Vec<String> {
        let mut row = row(name, self.figures());
        row.insert(1, format!("{}/{}", self.received, self.wanted));
        row
    }

    fn ratios(&self, name: &str, other: &Self) -> Vec<String> {
        let pairs = self.figures().into_iter().zip(other.figures());
        let ratios = pairs.map(|(a, b)| ratio(a, b));
        [name.to_owned(), String::new()].into_iter().chain(ratios).collect()
    }
}
