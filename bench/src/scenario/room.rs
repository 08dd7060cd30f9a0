//! One room with thousands in it, where people come and go and things happen.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{row, users};
use crate::{
    client::{Crowd, Pool, Traffic},
    options::Plan,
    process::{Server, Stage},
    report::{Section, Table, figure, ratio},
    stats::Samples,
};

const ROOM: &str = "post:bench";
/// Of so many members one joins each second, and one leaves: 50 of 5,000.
const MEMBERS_PER_MOVE: usize = 100;
/// Events a second.
const EVENTS: u32 = 20;
/// Until everybody has been told of everybody.
const SETTLE: Duration = Duration::from_secs(3);
/// Longest that joining may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Outcome {
    members: usize,
    seconds: f64,
    traffic: Traffic,
    posted: usize,
    latency: Samples,
    cpu: f64,
    rss: f64,
}

pub async fn room(stage: &Stage, plan: &Plan) -> anyhow::Result<Section> {
    let columns = [
        "members",
        "presence/s",
        "… each",
        "events/s",
        "… each",
        "all/s",
        "… each",
        "MB/s",
        "event p50, ms",
        "p95",
        "p99",
        "CPU %",
        "RSS, MB",
        "told one by one, presence/s",
    ];
    let mut table = Table::new(&columns);
    let mut outcomes = Vec::new();
    for members in [plan.room_members / 4, plan.room_members / 2, plan.room_members] {
        let server = stage.tidings().await?;
        let outcome = measure(&server, members, plan).await?;
        server.stop().await?;
        table.row(outcome.row());
        outcomes.push(outcome);
    }
    if let (Some(few), Some(many)) = (outcomes.first(), outcomes.last()) {
        let pairs = many.figures().into_iter().zip(few.figures());
        let ratios = pairs.map(|(many, few)| ratio(many, few));
        let times = many.members as f64 / few.members as f64;
        table.row(std::iter::once(format!("last ÷ first ({times:.0}× members)")).chain(ratios));
    }
    let notes = vec![
        format!(
            "WebSockets with a token of a user each, all in one room. For {} s a hundredth of them joins and as many leave a second, and the application sends {EVENTS} events a second; counted is what the clients received.",
            plan.room_seconds
        ),
        "What each member gets stays the same, so that all grows with the members. If each joining and leaving were told to each, presence alone would grow with their square: the last column.".into(),
        "Events: from the POST to the receipt, of every 16th client. CPU is the server's share of its core, RSS what the process held in the end.".into(),
    ];
    let moves = moves(plan.room_members);
    let title =
        format!("A room of {}, where {moves} a second come and {moves} go", plan.room_members);
    Ok(Section { title, table, notes })
}

/// Joins a second, and as many leaves.
fn moves(members: usize) -> u32 {
    u32::try_from(members / MEMBERS_PER_MOVE).unwrap_or(u32::MAX).max(1)
}

async fn measure(server: &Server, members: usize, plan: &Plan) -> anyhow::Result<Outcome> {
    let names = users("member", members);
    let crowd = Crowd::gather_in(server.door(), &names, ROOM).await?;
    crowd.board.wait_joined(members, PATIENCE).await;
    let joined = crowd.board.traffic().joined;
    ensure!(joined == members as u64, "{joined} of {members} joined");
    tokio::time::sleep(SETTLE).await;
    let pool =
        Rc::new(Pool::at(server.address, &server.key, &format!("/api/v1/rooms/{ROOM}/events")));
    let (before, cpu, start) = (crowd.board.traffic(), server.cpu()?, Instant::now());
    let seconds = Duration::from_secs(plan.room_seconds);
    let (posted, ()) = tokio::join!(speak(&crowd, &pool, seconds), stir(&crowd, members, seconds));
    let took = start.elapsed().as_secs_f64();
    Ok(Outcome {
        members,
        seconds: took,
        traffic: crowd.board.traffic().since(&before),
        posted: posted?,
        latency: crowd.board.take_event_latency(),
        cpu: (server.cpu()? - cpu) / took * 100.0,
        rss: server.rss()? / f64::from(1 << 20),
    })
}

/// The application speaks, at fixed times. Gives how many events were accepted.
async fn speak(crowd: &Crowd, pool: &Rc<Pool>, seconds: Duration) -> anyhow::Result<usize> {
    let (every, start) = (Duration::from_secs(1) / EVENTS, Instant::now());
    let mut posts = tokio::task::JoinSet::new();
    let total = u32::try_from(seconds.as_secs())? * EVENTS;
    for number in 0..total {
        tokio::time::sleep_until((start + every * number).into()).await;
        let body = format!(
            r##"{{"type":"task:update","data":{{"taskId":"T01","message":"bench #{number}","oldStatus":"todo","newStatus":"review"}}}}"##
        );
        crowd.board.event_sent(Instant::now());
        let pool = Rc::clone(pool);
        posts.spawn_local(async move { pool.post(&body).await.is_ok_and(|a| a.status == 202) });
    }
    let mut accepted = 0;
    while let Some(done) = posts.join_next().await {
        accepted += usize::from(done?);
    }
    Ok(accepted)
}

/// At fixed times the next member leaves, and joins again a second later: each moves once
/// before anybody does again.
async fn stir(crowd: &Crowd, members: usize, seconds: Duration) {
    let (every, start) = (Duration::from_secs(1) / moves(members), Instant::now());
    let away = moves(members) as usize;
    for turn in 0.. {
        let at = start + every * turn;
        if at - start >= seconds {
            return;
        }
        tokio::time::sleep_until(at.into()).await;
        let turn = turn as usize;
        crowd.say(turn % members, &format!(r#"42["room:leave","{ROOM}"]"#));
        if let Some(back) = turn.checked_sub(away) {
            crowd.say(back % members, &format!(r#"42["room:join","{ROOM}"]"#));
        }
    }
}

impl Outcome {
    fn figures(&self) -> [f64; 13] {
        let per_second = |count: u64| count as f64 / self.seconds;
        let each = |count: u64| per_second(count) / self.members as f64;
        let Traffic { presence, events, all, bytes, .. } = self.traffic;
        let [p50, p95, p99] = self.latency.summary();
        [
            per_second(presence),
            each(presence),
            per_second(events),
            each(events),
            per_second(all),
            each(all),
            per_second(bytes) / 1e6,
            p50,
            p95,
            p99,
            self.cpu,
            self.rss,
            f64::from(2 * moves(self.members)) * self.members as f64,
        ]
    }

    fn row(&self) -> Vec<String> {
        let members = figure(self.members as f64);
        row(&format!("{members} ({} events accepted)", self.posted), self.figures())
    }
}
