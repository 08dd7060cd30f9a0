//! Latency under a load that a server is meant for: its percentiles and its share of a core.

use std::time::Duration;

use tidings_load::Pace;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    chart,
    crowd::{Crowd, To, faults},
    process::{Server, Stage},
};

/// A sample takes longer than elsewhere: there are few messages.
const LONGER: f64 = 3.0;

pub async fn latency(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let mut columns = Vec::new();
    for (connections, rate) in &sizes.loads {
        columns.push(format!("{connections} conn., {rate}/s: p50, ms"));
        columns.extend(["p95", "p99", "CPU %"].map(|name| format!("{name} ({rate}/s)")));
    }
    let grid = |title: &str| Grid::new(title, columns.clone());
    let mut inbox = grid("Notifications to random users: from due to receipt");
    inbox.note("Posted at fixed times. Tidings commits each to disk before it is sent; the peer stores nothing.");
    let mut all = grid("Events to everybody: from due until the last member has it");
    all.note(format!("{:.0} s each.", sizes.seconds * LONGER));
    for contender in [Contender::Tidings, Contender::Bare, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        for (to, grid) in [(To::All, &mut all), (To::Inbox, &mut inbox)] {
            if server.is_bare && to == To::Inbox {
                continue;
            }
            let (figures, found) = measure(&server, sizes, to)?;
            grid.row(server.name, figures.into_iter().map(|figure| vec![figure]).collect());
            for fault in found {
                grid.note(format!("{}: {fault}", server.name));
            }
        }
        server.stop().await?;
    }
    let data = serde_json::json!([all.data(), inbox.data()]);
    let sections = vec![all.section(), inbox.section()];
    let pictures = vec![
        ("latency-all".to_owned(), picture(&all)),
        ("latency-inbox".to_owned(), picture(&inbox)),
    ];
    Ok(Measured { sections, data, pictures })
}

/// The percentiles; the processor's share is another unit.
fn picture(grid: &Grid) -> String {
    let is_time = |at: &usize| at % 4 != 3;
    let times = |cells: &[f64]| -> Vec<f64> {
        cells.iter().enumerate().filter(|(at, _)| is_time(at)).map(|(_, cell)| *cell).collect()
    };
    let columns = grid.columns.iter().enumerate().filter(|(at, _)| is_time(at));
    let columns: Vec<String> = columns.map(|(_, name)| name.clone()).collect();
    let rows: Vec<_> =
        grid.medians().iter().map(|(name, cells)| (name.clone(), times(cells))).collect();
    chart::bars(&format!("{}, ms", grid.title), &columns, &rows)
}

fn measure(server: &Server, sizes: &Sizes, to: To) -> anyhow::Result<(Vec<f64>, Vec<String>)> {
    let mut crowd = Crowd::new(server, to == To::All)?;
    let (mut figures, mut found) = (Vec::new(), Vec::new());
    for (connections, rate) in &sizes.loads {
        crowd.grow(*connections)?;
        // What is left to do of their coming, and of others' going, is no share of this load.
        crowd.engine.idle(Duration::from_secs_f64(sizes.settle))?;
        let before = server.cpu()?;
        let seconds = sizes.seconds * LONGER;
        let tally = crowd.send(&[(to, Pace::Rate(*rate))], seconds)?;
        let cpu = (server.cpu()? - before) / tally.elapsed * 100.0;
        let times = if to == To::All { &tally.broadcast.last } else { &tally.unicast.latency };
        figures.extend([50.0, 95.0, 99.0].map(|percent| times.percentile(percent)));
        figures.push(cpu);
        found.extend(faults(&tally));
    }
    crowd.leave();
    Ok((figures, found))
}
