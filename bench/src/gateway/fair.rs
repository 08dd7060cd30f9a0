//! Fairness: what a broadcast to many does to an event for one.

use tidings_load::Pace;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    crowd::{Crowd, To, faults},
    process::{Server, Stage},
};

const UNICASTS: f64 = 200.0;
const BROADCASTS: f64 = 3.0;
/// Users who get events of their own.
const FEW: usize = 50;
const LONGER: f64 = 3.0;

pub async fn fair(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let columns = ["alone: p50, ms", "p99", "max", "beside broadcasts: p50", "p99 ", "max "];
    let mut grid = Grid::new(
        format!("Events for one user beside broadcasts to {}", sizes.crowd),
        columns.map(str::to_owned).to_vec(),
    );
    grid.note(format!(
        "{UNICASTS} events a second for one of {FEW} users each, alone and while {BROADCASTS} broadcasts a second go to {} others; {:.0} s each. The few are read by a thread of their own, so that they need not wait until the receipts of a broadcast are read. The bare loop is no model here: it serves nobody else until a broadcast is written.",
        sizes.crowd,
        sizes.seconds * LONGER
    ));
    for contender in [Contender::Tidings, Contender::Bare, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let (figures, found) = measure(&server, sizes)?;
        grid.row(server.name, figures.into_iter().map(|figure| vec![figure]).collect());
        for fault in found {
            grid.note(format!("{}: {fault}", server.name));
        }
        server.stop().await?;
    }
    Ok(grid.into())
}

fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<(Vec<f64>, Vec<String>)> {
    let mut crowd = Crowd::new(server, true)?;
    crowd.grow(sizes.crowd)?;
    let mut few = Crowd::named(server, false, "one-{n}")?;
    few.grow(FEW)?;
    let (mut figures, mut found) = (Vec::new(), Vec::new());
    let seconds = sizes.seconds * LONGER;
    for broadcasts in [&[][..], &[(To::All, Pace::Rate(BROADCASTS))]] {
        let (one, all) = std::thread::scope(|scope| {
            let one = scope.spawn(|| few.send(&[(To::One, Pace::Rate(UNICASTS))], seconds));
            let all = crowd.send(broadcasts, seconds);
            (one.join(), all)
        });
        let one = one.map_err(|_| anyhow::anyhow!("the thread of the few broke"))??;
        let times = &one.unicast.latency;
        figures.extend([times.percentile(50.0), times.percentile(99.0), times.max()]);
        found.extend(faults(&one).into_iter().chain(faults(&all?)));
    }
    crowd.leave();
    few.leave();
    Ok((figures, found))
}
