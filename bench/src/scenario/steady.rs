//! A steady stream of notifications, each to one of many who are connected.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{Dice, draft, row, users};
use crate::{
    client::{Crowd, Pool, Receipt},
    floor::DiskWatch,
    options::Plan,
    process::{Server, Stage},
    report::{Section, Table, figure, ratio},
    stats::{Samples, millis},
};

/// For the last ones to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was posted: by number, when and to whom.
type Sent = HashMap<u64, (Instant, usize)>;

#[derive(Default)]
struct Outcome {
    sent: usize,
    refused: usize,
    lost: usize,
    doubled: usize,
    astray: usize,
    latency: Samples,
    answer: Samples,
    /// Share of one core.
    cpu: f64,
}

pub async fn steady(stage: &Stage, plan: &Plan) -> anyhow::Result<Section> {
    let columns = [
        "server",
        "sent",
        "lost",
        "doubled",
        "p50, ms",
        "p95",
        "p99",
        "max",
        "POST p50, ms",
        "CPU %",
    ];
    let mut table = Table::new(&columns);
    let server = stage.tidings().await?;
    let watch = DiskWatch::start(&stage.dir)?;
    let tidings = stream(&server, plan).await?;
    let disk = watch.stop();
    server.stop().await?;
    table.row(tidings.row("Tidings (each committed first)"));
    let mut cells = row("floor: the disk meanwhile", disk.summary());
    cells.splice(1..1, [disk.len().to_string(), "–".into(), "–".into()]);
    cells.push(figure(millis(disk.max())));
    table.row(cells);
    if let Some(server) = stage.peer().await? {
        let peer = stream(&server, plan).await?;
        server.stop().await?;
        table.row(peer.row("Socket.IO on Node.js (not stored)"));
        let pairs = tidings.figures().into_iter().zip(peer.figures());
        let ratios = pairs.map(|(a, b)| ratio(a, b));
        let blank = std::iter::repeat_n(String::new(), 3);
        table.row(std::iter::once("ratio (÷ Node.js)".to_owned()).chain(blank).chain(ratios));
    }
    let notes = vec![
        format!(
            "{} s, POSTs at fixed times whatever the server does, on connections that are kept; from the POST sent to the receipt on the user's socket. \"POST\" is the time to its answer.",
            plan.steady_seconds
        ),
        "The floor is a write of 4 KB with fdatasync every 20 ms while Tidings is measured: if the disk stalls, so does everything that has to be durable.".into(),
        format!(
            "Not accepted: {}; to the wrong user: {}. CPU is the server's share of its core.",
            tidings.refused, tidings.astray
        ),
    ];
    let title = format!(
        "{} connections, {} notifications/s to random users",
        plan.connections, plan.steady_rate
    );
    Ok(Section { title, table, notes })
}

async fn stream(server: &Server, plan: &Plan) -> anyhow::Result<Outcome> {
    let names = users("user", plan.connections);
    let crowd = Crowd::gather(server.door(), &names).await?;
    let pool = Rc::new(Pool::new(server.address, &server.key));
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let sent = Rc::new(RefCell::new(Sent::new()));
    let mut dice = Dice(0x5eed);
    let before = server.cpu()?;
    let start = Instant::now();
    let every = Duration::from_secs(1) / u32::try_from(plan.steady_rate)?;
    let total = plan.steady_rate * plan.steady_seconds;
    let mut posts = tokio::task::JoinSet::new();
    for number in 0..total {
        tokio::time::sleep_until((start + every * u32::try_from(number)?).into()).await;
        let to = dice.below(names.len());
        let body = draft(&format!("{:?}", names[to]), number);
        let (pool, outcome, sent) = (Rc::clone(&pool), Rc::clone(&outcome), Rc::clone(&sent));
        posts.spawn_local(async move {
            let answer = pool.post(&body).await;
            let mut outcome = outcome.borrow_mut();
            match answer {
                Ok(answer) if answer.status == 201 => {
                    outcome.answer.add(answer.took);
                    sent.borrow_mut().insert(number, (answer.sent, to));
                }
                _ => outcome.refused += 1,
            }
        });
    }
    while posts.join_next().await.is_some() {}
    let accepted = sent.borrow().len();
    crowd.board.wait_received(accepted, PATIENCE).await;
    let cpu = server.cpu()? - before;
    let mut outcome = outcome.take();
    outcome.cpu = cpu / start.elapsed().as_secs_f64() * 100.0;
    outcome.account(&sent.borrow(), &crowd.board.take_receipts());
    Ok(outcome)
}

impl Outcome {
    fn account(&mut self, sent: &Sent, receipts: &[Receipt]) {
        self.sent = sent.len();
        let mut seen = HashMap::new();
        for receipt in receipts {
            match sent.get(&receipt.number) {
                Some((at, to)) if *to == receipt.client => {
                    let times: &mut usize = seen.entry(receipt.number).or_default();
                    *times += 1;
                    if *times == 1 {
                        self.latency.add(receipt.at.saturating_duration_since(*at));
                    } else {
                        self.doubled += 1;
                    }
                }
                // Accepted, but its answer was lost: that is no fault of the delivery.
                None => {}
                Some(_) => self.astray += 1,
            }
        }
        self.lost = sent.len() - seen.len();
    }

    fn figures(&self) -> [f64; 6] {
        let [p50, p95, p99] = self.latency.summary();
        let max = millis(self.latency.max());
        let [answer, ..] = self.answer.summary();
        [p50, p95, p99, max, answer, self.cpu]
    }

    fn row(&self, name: &str) -> Vec<String> {
        let mut row = row(name, self.figures());
        let counts = [self.sent, self.lost, self.doubled].map(|count| count.to_string());
        row.splice(1..1, counts);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notification_is_accounted_for() {
        let at = Instant::now();
        let later = |ms| at + Duration::from_millis(ms);
        let sent = Sent::from([(1, (at, 10)), (2, (at, 20)), (3, (at, 30))]);
        let receipt = |number, client, ms| Receipt { number, client, at: later(ms) };
        let receipts = [receipt(1, 10, 1), receipt(2, 20, 2), receipt(2, 20, 3), receipt(3, 31, 4)];
        let mut outcome = Outcome::default();
        outcome.account(&sent, &receipts);
        assert_eq!((outcome.sent, outcome.lost, outcome.doubled, outcome.astray), (3, 1, 1, 1));
        assert_eq!(outcome.latency.max(), Duration::from_millis(2));
    }
}
