//! Fairness: what a broadcast to many does to an event for one.

use tidings_load::Pace;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    crowd::{Crowd, To, faults},
    process::{Server, Stage},
};

const UNICASTS: f64 = 200.0;
const BROADCASTS: f64 = 3.0;
const LONGER: f64 = 3.0;

pub async fn fair(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let columns = ["alone: p50, ms", "p99", "max", "beside broadcasts: p50", "p99 ", "max "];
    let mut grid = Grid::new(
        format!("Events for one user beside broadcasts to {}", sizes.crowd),
        columns.map(str::to_owned).to_vec(),
    );
    grid.note(format!(
        "{UNICASTS} events a second for one user each, alone and while {BROADCASTS} broadcasts a second go to all; {:.0} s each. A receipt waits in the generator, too, while it reads those of a broadcast: the bare loop shows how much.",
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
    let (mut figures, mut found) = (Vec::new(), Vec::new());
    let one = (To::One, Pace::Rate(UNICASTS));
    for flows in [&[one][..], &[one, (To::All, Pace::Rate(BROADCASTS))]] {
        let tally = crowd.send(flows, sizes.seconds * LONGER)?;
        let times = &tally.unicast.latency;
        figures.extend([times.percentile(50.0), times.percentile(99.0), times.max()]);
        found.extend(faults(&tally));
    }
    crowd.leave();
    Ok((figures, found))
}
