//! Events for one user each, posted by HTTP: how many, and how fast each arrives.

use tidings_load::Pace;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    chart,
    crowd::{Crowd, To, faults},
    process::{Server, Stage},
};

/// Slower than this is not kept up with.
const SLOW: f64 = 50.0;
/// Nor is this worth to go on from.
const HOPELESS: f64 = 1_000.0;

pub async fn unicast(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let mut columns =
        vec![format!("most/s with p99 < {SLOW} ms"), "CPU µs each, at the lowest rate".to_owned()];
    columns.extend(sizes.rates.iter().map(|rate| format!("p99 at {rate}/s, ms")));
    let mut grid = Grid::new(
        format!("Events for one user each by HTTP, {} connections", sizes.crowd),
        columns,
    );
    grid.note(format!(
        "At fixed times, on 16 connections with up to 32 requests on their way each; from when an event was due until its receipt. {} s a rate. –: not tried, the rate before was hopeless.",
        sizes.seconds
    ));
    let mut curves = Vec::new();
    for contender in [Contender::Tidings, Contender::Bare, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let (figures, found) = measure(&server, sizes)?;
        let times = figures.iter().skip(2).copied();
        curves.push((server.name.to_owned(), sizes.rates.iter().copied().zip(times).collect()));
        grid.row(server.name, figures.into_iter().map(|figure| vec![figure]).collect());
        for fault in found {
            grid.note(format!("{}: {fault}", server.name));
        }
        server.stop().await?;
    }
    let picture = chart::lines(&grid.title, "events a second", "p99, ms", &curves);
    let mut measured = Measured::from(grid);
    measured.pictures.push(("unicast-latency".to_owned(), picture));
    Ok(measured)
}

fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<(Vec<f64>, Vec<String>)> {
    let mut crowd = Crowd::new(server, false)?;
    crowd.grow(sizes.crowd)?;
    // Warms up caches on both sides.
    crowd.send(&[(To::One, Pace::InFlight(16))], sizes.seconds / 2.0)?;
    let mut found = Vec::new();
    let mut figures = vec![0.0, f64::NAN];
    let mut hopeless = false;
    for (turn, rate) in sizes.rates.iter().enumerate() {
        if hopeless {
            figures.push(f64::NAN);
            continue;
        }
        let before = server.cpu()?;
        let tally = crowd.send(&[(To::One, Pace::Rate(*rate))], sizes.seconds)?;
        let each = (server.cpu()? - before) * 1e6 / tally.unicast.bill.received as f64;
        let p99 = tally.unicast.latency.percentile(99.0);
        figures.push(p99);
        hopeless = p99 > HOPELESS || tally.unsent > 0;
        if turn == 0
            && let Some(cell) = figures.get_mut(1)
        {
            *cell = each;
        }
        if p99 < SLOW
            && tally.unsent == 0
            && let Some(most) = figures.first_mut()
        {
            *most = most.max(*rate);
        }
        found.extend(faults(&tally).filter(|_| !hopeless));
        let busiest = tally.cpu.iter().copied().fold(0.0, f64::max);
        if busiest > 0.9 {
            found.push(format!(
                "at {rate}/s the generator was at its limit ({:.0} %)",
                busiest * 100.0
            ));
        }
    }
    crowd.leave();
    Ok((figures, found))
}
