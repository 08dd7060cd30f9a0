//! A steady stream of notifications, each to one of many who are connected.

use tidings_load::Pace;

use crate::{
    crowd::{Crowd, To, faults},
    floor::DiskWatch,
    gateway::{Contender, Grid, Measured},
    options::Plan,
    process::{Server, Stage},
    stats::millis,
};

pub async fn steady(stage: &Stage, plan: &Plan) -> anyhow::Result<Measured> {
    let columns = ["received", "p50, ms", "p95", "p99", "max", "POST p50, ms", "CPU % of its core"];
    let mut grid = Grid::new(
        format!(
            "{} connections, {} notifications/s to random users",
            plan.connections, plan.steady_rate
        ),
        columns.map(str::to_owned).to_vec(),
    );
    grid.note(format!(
        "{} s, POSTs at fixed times whatever the server does; from when one was due to the receipt on the user's socket. \"POST\" is the time to its answer. The peer stores nothing.",
        plan.steady_seconds
    ));
    grid.note("The disk: a write of 4 KB with fdatasync every 20 ms while Tidings is measured. If it stalls, so does everything that has to be durable.");
    for contender in [Contender::Tidings, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let watch = match contender {
            Contender::Tidings => Some(DiskWatch::start(&stage.dir)?),
            _ => None,
        };
        let (figures, fault) = measure(&server, plan)?;
        grid.row(server.name, figures.map(|figure| vec![figure]).to_vec());
        if let Some(watch) = watch {
            let disk = watch.stop();
            let [p50, p95, p99] = disk.summary();
            let cells = [disk.len() as f64, p50, p95, p99, millis(disk.max())];
            grid.row("the disk meanwhile", cells.map(|figure| vec![figure]).to_vec());
        }
        if let Some(fault) = fault {
            grid.note(format!("{}: {fault}", server.name));
        }
        server.stop().await?;
    }
    Ok(grid.into())
}

fn measure(server: &Server, plan: &Plan) -> anyhow::Result<([f64; 7], Option<String>)> {
    let mut crowd = Crowd::new(server, false)?;
    crowd.grow(plan.connections)?;
    let before = server.cpu()?;
    let pace = Pace::Rate(plan.steady_rate as f64);
    let tally = crowd.send(&[(To::Inbox, pace)], plan.steady_seconds as f64)?;
    let cpu = (server.cpu()? - before) / tally.elapsed * 100.0;
    crowd.leave();
    let times = &tally.unicast.latency;
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| times.percentile(percent));
    let received = tally.unicast.bill.received as f64;
    let answer = tally.answers.percentile(50.0);
    Ok(([received, p50, p95, p99, times.max(), answer, cpu], faults(&tally)))
}
