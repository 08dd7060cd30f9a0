//! From the POST to the client: 64 publishers, each notification committed when answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    BATCHES, PUBLISHERS, Sizes,
    listeners::{Listeners, mark},
};
use crate::{
    gateway::{Grid, Measured},
    http::Http,
    options::Scenario,
    process::{Server, Stage},
    stats::Samples,
};

/// For the last ones to arrive.
const GRACE: Duration = Duration::from_secs(10);

struct Outcome {
    /// Committed and received, per second until the last one arrived.
    rate: f64,
    missing: u64,
    refused: u64,
    answers: Samples,
    receipts: Samples,
}

pub async fn measure(
    stage: &Stage,
    sizes: &Sizes,
    url: &str,
) -> anyhow::Result<(Scenario, Measured)> {
    let columns = [
        "received/s",
        "half of it: received/s",
        "POST p50, ms",
        "POST p99",
        "receipt p50",
        "receipt p99",
    ];
    let mut grid = Grid::new(
        format!("Durable notifications, from {PUBLISHERS} publishers to connected clients"),
        columns.map(str::to_owned).to_vec(),
    );
    for (name, variables) in
        [("SQLite", vec![]), ("PostgreSQL", vec![("TIDINGS_DATABASE_URL", url)])]
    {
        let server = match stage.tidings_with(&variables).await {
            Ok(server) => server,
            Err(problem) => {
                grid.note(format!("{name}: the server did not start ({problem:#})."));
                continue;
            }
        };
        for batch in BATCHES {
            let most = flood(&server, batch, sizes.each, None).await?;
            let half = flood(&server, batch, sizes.each, Some(most.rate / 2.0)).await?;
            let [post_50, _, post_99] = half.answers.summary();
            let [receipt_50, _, receipt_99] = half.receipts.summary();
            let figures = [most.rate, half.rate, post_50, post_99, receipt_50, receipt_99];
            grid.row(
                &format!("{name}, {batch} per request"),
                figures.map(|one| vec![one]).to_vec(),
            );
            let (missing, refused) = (most.missing + half.missing, most.refused + half.refused);
            if missing + refused > 0 {
                grid.note(format!("{name}, {batch} per request: {missing} did not arrive, {refused} requests were refused."));
            }
        }
        server.stop().await?;
    }
    grid.note(format!(
        "Each row {:.1} s twice: as fast as answers come, then at half of that, where times count from when a request was due. Every notification is to one of {PUBLISHERS} connected users; answered means committed and synced. Server, clients and database share all cores.",
        sizes.each.as_secs_f64()
    ));
    Ok((Scenario::StoreEnds, grid.into()))
}

#[derive(Default)]
struct Tally {
    committed: AtomicU64,
    refused: AtomicU64,
}

async fn flood(
    server: &Server,
    batch: usize,
    each: Duration,
    rate: Option<f64>,
) -> anyhow::Result<Outcome> {
    // New users: what earlier ones still have waiting is theirs.
    static ROUND: AtomicU64 = AtomicU64::new(0);
    let round = ROUND.fetch_add(1, Relaxed);
    let users: Vec<_> = (0..PUBLISHERS).map(|n| format!("client-{round}-{n}")).collect();
    let listeners = Listeners::connect(server, &users).await?;
    let (tally, users) = (Arc::<Tally>::default(), Arc::new(users));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..PUBLISHERS {
        let http = Http::connect(server.address).await?;
        let head = format!(
            "POST /api/v1/notifications HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\nContent-Length: ",
            server.address, server.key
        );
        let pause = rate.map(|rate| Duration::from_secs_f64((PUBLISHERS * batch) as f64 / rate));
        let publisher =
            Publisher { http, head, batch, number, users: users.clone(), tally: tally.clone() };
        tasks.spawn(publisher.run(start, each, pause));
    }
    let mut answers = Samples::default();
    while let Some(done) = tasks.join_next().await {
        answers.extend(done??);
    }
    let (committed, mut last) = (tally.committed.load(Relaxed), Instant::now());
    let (mut seen, until) = (0, Instant::now() + GRACE);
    while seen < committed && Instant::now() < until {
        let now = listeners.received.load(Relaxed);
        if now > seen {
            (seen, last) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rate = seen as f64 / last.duration_since(start).as_secs_f64();
    let refused = tally.refused.load(Relaxed);
    let receipts = listeners.leave();
    Ok(Outcome { rate, missing: committed.saturating_sub(seen), refused, answers, receipts })
}

struct Publisher {
    http: Http,
    head: String,
    batch: usize,
    number: usize,
    users: Arc<Vec<String>>,
    tally: Arc<Tally>,
}

impl Publisher {
    async fn run(
        mut self,
        start: Instant,
        each: Duration,
        pause: Option<Duration>,
    ) -> anyhow::Result<Samples> {
        let mut answers = Samples::default();
        // Not all at once.
        let mut due =
            start + pause.unwrap_or_default().mul_f64(self.number as f64 / PUBLISHERS as f64);
        let mut n = self.number * 7;
        loop {
            match pause {
                Some(_) => tokio::time::sleep_until(due.into()).await,
                None => due = Instant::now(),
            }
            if due.duration_since(start) >= each {
                return Ok(answers);
            }
            let body = self.body(&mut n, due);
            let answer =
                self.http.ask(&format!("{}{}\r\n\r\n{body}", self.head, body.len())).await?;
            if answer.status == 201 {
                self.tally.committed.fetch_add(self.batch as u64, Relaxed);
                answers.add(due.elapsed());
            } else {
                self.tally.refused.fetch_add(1, Relaxed);
            }
            due += pause.unwrap_or_default();
        }
    }

    fn body(&self, n: &mut usize, due: Instant) -> String {
        let text = mark(due);
        let mut one = || {
            *n += 1;
            let user = self.users.get(*n % self.users.len().max(1)).map_or("", String::as_str);
            format!(
                r#"{{"to":"{user}","type":"like","entityType":"post","entityId":"post-1","message":"{text}","data":{{"postId":"post-1"}}}}"#
            )
        };
        if self.batch == 1 {
            return one();
        }
        let drafts: Vec<_> = (0..self.batch).map(|_| one()).collect();
        format!("[{}]", drafts.join(","))
    }
}
