//! How many notifications a second the API accepts, each durable when answered.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tidings_load::Dice;

use crate::{
    floor,
    http::Http,
    options::Plan,
    process::{Server, Stage},
    report::{Section, Table, figure, ratio},
    stats::Samples,
};

/// Users whom the notifications go to; none of them is connected.
const USERS: usize = 10_000;
const POSTERS: [usize; 3] = [1, 16, 64];
const BATCHES: [usize; 2] = [1, 100];

#[derive(Default)]
struct Outcome {
    items: usize,
    refused: usize,
    answers: Samples,
    seconds: f64,
    cpu: f64,
}

pub async fn accept(stage: &Stage, plan: &Plan) -> anyhow::Result<Section> {
    let columns = [
        "what",
        "notifications/s",
        "POSTs/s",
        "p50, ms",
        "p95",
        "p99",
        "CPU µs each",
        "per sync of the floor",
    ];
    let mut table = Table::new(&columns);
    let appended = floor::sync_rate(&stage.dir, plan.syncs, false)?;
    let reused = floor::sync_rate(&stage.dir, plan.syncs, true)?;
    let rate = |samples: &Samples| 1e3 / samples.summary()[0];
    let floor_rate = rate(&reused);
    for (name, samples) in [
        ("floor: write + fdatasync 4 KB, appending", &appended),
        ("floor: the same, within a file", &reused),
    ] {
        let mut cells = vec![name.to_owned(), "–".into(), figure(rate(samples))];
        cells.extend(samples.summary().map(figure));
        table.row(cells);
    }
    let server = stage.tidings().await?;
    let mut refused = 0;
    for batch in BATCHES {
        for posters in POSTERS {
            let outcome = flood(&server, posters, batch, plan.accept_seconds).await?;
            refused += outcome.refused;
            table.row(outcome.row(posters, batch, floor_rate));
        }
    }
    server.stop().await?;
    let notes = vec![
        format!(
            "Each row {} s. Every poster waits for its answer before it posts again; every answer means that the notification is committed and synced (`synchronous=FULL`). Recipients are {USERS} users, none of them connected. Other answers than 201: {refused}.",
            plan.accept_seconds
        ),
        "The floor is one caller that syncs one write at a time, as often as the disk lets it (under \"POSTs/s\"); the last column is how many notifications are accepted in the time of one such sync.".into(),
    ];
    let title = "Durable notifications through the API".into();
    Ok(Section { title, table, notes })
}

async fn flood(
    server: &Server,
    posters: usize,
    batch: usize,
    seconds: u64,
) -> anyhow::Result<Outcome> {
    let mut connections = Vec::new();
    for _ in 0..posters {
        connections.push(Http::connect(server.address).await?);
    }
    let before = server.cpu()?;
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds);
    let mut tasks = tokio::task::JoinSet::new();
    let sum = Rc::new(std::cell::RefCell::new(Outcome::default()));
    for (n, mut http) in connections.into_iter().enumerate() {
        let sum = Rc::clone(&sum);
        let head = format!(
            "POST /api/v1/notifications HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\nContent-Length: ",
            server.address, server.key
        );
        tasks.spawn_local(async move {
            let mut dice = Dice::new(0x5eed + n as u64);
            while Instant::now() < until {
                let body = body(&mut dice, batch);
                let answer = http.ask(&format!("{head}{}\r\n\r\n{body}", body.len())).await?;
                let mut sum = sum.borrow_mut();
                if answer.status == 201 && stored(&answer.body) == batch {
                    sum.items += batch;
                    sum.answers.add(answer.took);
                } else {
                    sum.refused += 1;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let mut outcome = sum.take();
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome.cpu = server.cpu()? - before;
    Ok(outcome)
}

fn body(dice: &mut Dice, batch: usize) -> String {
    let mut one = || draft(&format!("user-{}", dice.below(USERS)));
    if batch == 1 {
        return one();
    }
    let drafts: Vec<String> = (0..batch).map(|_| one()).collect();
    format!("[{}]", drafts.join(","))
}

/// How many notifications an answer says are stored.
fn stored(answer: &[u8]) -> usize {
    const MARK: &[u8] = b"\"stored\":\"committed\"";
    answer.windows(MARK.len()).filter(|window| *window == MARK).count()
}

impl Outcome {
    fn row(&self, posters: usize, batch: usize, floor: f64) -> Vec<String> {
        let what = if batch == 1 { "one each".to_owned() } else { format!("arrays of {batch}") };
        let posts = self.answers.len() as f64 / self.seconds;
        let mut cells = vec![
            format!("Tidings, {posters} at a time, {what}"),
            figure(self.items as f64 / self.seconds),
            figure(posts),
        ];
        cells.extend(self.answers.summary().map(figure));
        cells.push(figure(self.cpu * 1e6 / self.items as f64));
        cells.push(ratio(self.items as f64 / self.seconds, floor));
        cells
    }
}

/// A notification with about 100 bytes of content, as JSON.
fn draft(to: &str) -> String {
    format!(
        r##"{{"to":"{to}","type":"like","actorId":"bob","entityType":"post","entityId":"post-1","message":"Bob liked your post","data":{{"postId":"post-1","url":"/posts/1"}}}}"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        let one = br#"{"id":"x","stored":"committed"}"#;
        assert_eq!(stored(one), 1);
        assert_eq!(stored(br#"{"title":"no"}"#), 0);
    }

    #[test]
    fn bodies_are_json() {
        let mut dice = Dice::new(1);
        let one: serde_json::Value = serde_json::from_str(&body(&mut dice, 1)).unwrap();
        assert!(one["to"].as_str().unwrap().starts_with("user-"));
        let many: serde_json::Value = serde_json::from_str(&body(&mut dice, 100)).unwrap();
        assert_eq!(many.as_array().unwrap().len(), 100);
    }
}
