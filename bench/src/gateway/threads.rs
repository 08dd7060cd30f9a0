//! What a second worker thread brings.

use tidings_load::Pace;

use super::{Grid, Measured, Sizes};
use crate::{
    crowd::{Crowd, To, faults},
    process::Stage,
};

pub async fn threads(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let members = sizes.crowd / 2;
    let columns = ["deliveries/s", "CPU-s per million", "server's CPU, % of a core", "generator's"];
    let mut grid = Grid::new(
        format!("Worker threads: a room of {members}, 8 broadcasts in flight"),
        columns.map(str::to_owned).to_vec(),
    );
    grid.note("On all cores of the machine, which the generator shares: with two cores, a second thread has only what the generator leaves of the second core.");
    for (count, name) in [("2", "two threads"), ("1", "one thread")] {
        let server = stage.on_all_cores().tidings_with(&[("TOKIO_WORKER_THREADS", count)]).await?;
        let mut crowd = Crowd::new(&server, true)?;
        crowd.grow(members)?;
        let mut samples = vec![Vec::new(); 4];
        for _ in 0..sizes.rounds {
            let before = server.cpu()?;
            let tally = crowd.send(&[(To::All, Pace::InFlight(8))], sizes.seconds)?;
            let used = server.cpu()? - before;
            let deliveries = tally.broadcast.bill.received as f64;
            let generator = tally.cpu.iter().sum::<f64>();
            let figures = [
                deliveries / tally.seconds,
                used * 1e6 / deliveries,
                used / tally.seconds * 100.0,
                generator * 100.0,
            ];
            for (cell, figure) in samples.iter_mut().zip(figures) {
                cell.push(figure);
            }
            grid.notes.extend(faults(&tally));
        }
        crowd.leave();
        grid.row(name, samples);
        server.stop().await?;
    }
    Ok(grid.into())
}
