//! One announcement to everybody who is connected.

use tidings_load::Pace;

use crate::{
    crowd::{Crowd, To, faults},
    gateway::{Contender, Grid, Measured},
    options::Plan,
    process::{Server, Stage},
};

/// Announcements a second: each has long arrived when the next one is due, and they are in step with no loop of a server.
const RATE: f64 = 4.7;

pub async fn announce(stage: &Stage, plan: &Plan) -> anyhow::Result<Measured> {
    let columns =
        ["receipts", "p50 of all, ms", "last, p50 ms", "p95", "p99", "CPU µs per receipt"];
    let mut grid = Grid::new(
        format!("One announcement to {} connected users", plan.connections),
        columns.map(str::to_owned).to_vec(),
    );
    grid.note(format!(
        "{} announcements, {RATE} a second; from when it was due to be posted to each receipt, and to the last.",
        plan.announcements
    ));
    grid.note("Tidings commits one inbox item per user before it sends, and follows each notification with `notification:count`; the bare loop and the peer send one frame and store nothing.");
    for contender in [Contender::Tidings, Contender::Bare, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let (figures, fault) = measure(&server, plan)?;
        grid.row(server.name, figures.map(|figure| vec![figure]).to_vec());
        if let Some(fault) = fault {
            grid.note(format!("{}: {fault}", server.name));
        }
        server.stop().await?;
    }
    Ok(grid.into())
}

fn measure(server: &Server, plan: &Plan) -> anyhow::Result<([f64; 6], Option<String>)> {
    // The bare loop knows no other way to reach all.
    let mut crowd = Crowd::new(server, server.is_bare)?;
    crowd.grow(plan.connections)?;
    let before = server.cpu()?;
    let seconds = plan.announcements as f64 / RATE;
    let tally = crowd.send(&[(To::Users, Pace::Rate(RATE))], seconds)?;
    let cpu = server.cpu()? - before;
    crowd.leave();
    let received = tally.broadcast.bill.received as f64;
    let last = &tally.broadcast.last;
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| last.percentile(percent));
    let all = tally.broadcast.latency.percentile(50.0);
    Ok(([received, all, p50, p95, p99, cpu * 1e6 / received], faults(&tally)))
}
