//! One room with thousands in it, where people come and go and things happen.

use std::time::Duration;

use tidings_load::Pace;

use crate::{
    crowd::{Crowd, To, faults},
    gateway::{Grid, Measured},
    options::Plan,
    process::{Server, Stage},
};

const ROOM: &str = "post:bench";
/// Of so many members one comes each second, and goes again: 50 for 5,000.
const MEMBERS_PER_MOVE: usize = 100;
/// Events a second.
const EVENTS: f64 = 20.0;
/// Until everybody has been told of everybody.
const SETTLE: Duration = Duration::from_secs(3);

pub async fn room(stage: &Stage, plan: &Plan) -> anyhow::Result<Measured> {
    let columns = [
        "presence/s",
        "… each",
        "events/s",
        "… each ",
        "MB/s",
        "event p50, ms",
        "p95",
        "p99",
        "CPU %",
        "RSS, MB",
        "told one by one, presence/s",
    ];
    let moves = moves(plan.room_members);
    let mut grid = Grid::new(
        format!("A room of {}, where {moves} a second come and go", plan.room_members),
        columns.map(str::to_owned).to_vec(),
    );
    grid.note(format!(
        "WebSockets with a token of a user each, all in one room. For {} s a hundredth as many come, join and go each second, and the application sends {EVENTS} events a second; counted is what those who stay received: events, and everything else that is no event is presence.",
        plan.room_seconds
    ));
    grid.note("What each member gets stays the same, so that all grows with the members. If each coming and going were told to each, presence alone would grow with their square: the last column.");
    grid.note("Events: from when one was due to the receipt. CPU is the server's share of its core, RSS what the process held in the end.");
    for members in [plan.room_members, plan.room_members / 2, plan.room_members / 4] {
        let server = stage.tidings().await?;
        let (figures, fault) = measure(&server, members, plan)?;
        grid.row(&format!("{members} members"), figures.map(|figure| vec![figure]).to_vec());
        if let Some(fault) = fault {
            grid.note(format!("{members} members: {fault}"));
        }
        server.stop().await?;
    }
    Ok(grid.into())
}

/// Comings a second, and as many goings.
fn moves(members: usize) -> usize {
    (members / MEMBERS_PER_MOVE).max(1)
}

fn measure(
    server: &Server,
    members: usize,
    plan: &Plan,
) -> anyhow::Result<([f64; 11], Option<String>)> {
    let mut crowd = Crowd::in_room(server, ROOM)?;
    crowd.grow(members)?;
    crowd.engine.idle(SETTLE)?;
    let before = server.cpu()?;
    let seconds = plan.room_seconds as f64;
    let moves = moves(members) as f64;
    let tally = crowd.send_while(&[(To::All, Pace::Rate(EVENTS))], Some(moves), seconds)?;
    let cpu = (server.cpu()? - before) / tally.elapsed * 100.0;
    let rss = server.rss()? / f64::from(1 << 20);
    crowd.leave();
    let per_second = |count: u64| count as f64 / tally.elapsed;
    let each = |count: u64| per_second(count) / members as f64;
    let (events, presence) = (tally.broadcast.bill.received, tally.unmarked);
    let times = &tally.broadcast.latency;
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| times.percentile(percent));
    let figures = [
        per_second(presence),
        each(presence),
        per_second(events),
        each(events),
        per_second(tally.bytes) / 1e6,
        p50,
        p95,
        p99,
        cpu,
        rss,
        2.0 * moves * members as f64,
    ];
    Ok((figures, faults(&tally)))
}
