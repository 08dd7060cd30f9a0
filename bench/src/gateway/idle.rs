//! What a connection costs in memory while nothing happens on it.

use std::time::Duration;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    crowd::Crowd,
    process::{Server, Stage},
};

/// A small crowd comes and goes first: what every server needs for its first clients.
const EARLY: usize = 50;

pub async fn idle(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let mut columns = vec!["at rest, MB".to_owned()];
    columns.extend(sizes.idle.iter().map(|size| format!("KB each at {size}")));
    columns.push("MB left when all have gone".to_owned());
    let mut grid = Grid::new("Memory of an idle connection", columns);
    grid.note(format!(
        "Resident memory, {} s after the last connection was made, less that of the server after {EARLY} had come and gone; divided by the connections. The kernel's memory for sockets is not in it. The last column is what is left of that {} s after all went (a client that may come back is kept for two minutes).",
        sizes.settle, sizes.settle
    ));
    for contender in [Contender::Tidings, Contender::Bare, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let figures = measure(&server, sizes)?;
        grid.row(server.name, figures.into_iter().map(|figure| vec![figure]).collect());
        server.stop().await?;
    }
    Ok(grid.into())
}

fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<Vec<f64>> {
    let settle = Duration::from_secs_f64(sizes.settle);
    let mut crowd = Crowd::new(server, false)?;
    crowd.grow(EARLY)?;
    crowd.leave();
    crowd.engine.idle(settle)?;
    let rest = server.rss()?;
    let megabytes = |bytes: f64| bytes / f64::from(1 << 20);
    let mut figures = vec![megabytes(rest)];
    for size in &sizes.idle {
        crowd.grow(*size)?;
        crowd.engine.idle(settle)?;
        figures.push((server.rss()? - rest) / 1024.0 / *size as f64);
    }
    crowd.leave();
    crowd.engine.idle(settle)?;
    figures.push(megabytes(server.rss()? - rest));
    Ok(figures)
}
