//! Arrivals: many at once, a steady stream, and a storm of those who come back.

use std::time::Duration;

use tidings_load::{Opened, Rush};

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    crowd::Crowd,
    process::{Server, Stage},
};

/// Connections that are being made at a time, in the steady stream.
const ABREAST: usize = 500;
/// Between two crowds.
const PAUSE: Duration = Duration::from_secs(1);

pub async fn arrive(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let (at_once, storm) = (sizes.at_once, sizes.storm);
    let columns = vec![
        format!("{at_once} at once: p50, ms"),
        "p99".to_owned(),
        "last".to_owned(),
        format!("connects/s, {ABREAST} abreast"),
        "CPU µs each".to_owned(),
        format!("{storm} back at once: not let in"),
        "p50, ms".to_owned(),
        "p99 ".to_owned(),
        "last ".to_owned(),
    ];
    let mut grid = Grid::new("Arrivals: from when a connection was due until `connected`", columns);
    grid.note("Every connection is a WebSocket with a token of its own user (the bare loop checks none) whom the server has seen before. Those who come back say `since`.");
    for contender in [Contender::Tidings, Contender::Bare, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let (samples, failures) = sample(&server, sizes)?;
        grid.row(server.name, samples);
        for failure in failures {
            grid.note(format!("{}: {failure}", server.name));
        }
        server.stop().await?;
    }
    Ok(grid.into())
}

fn sample(server: &Server, sizes: &Sizes) -> anyhow::Result<(Vec<Vec<f64>>, Vec<String>)> {
    let mut columns = vec![Vec::new(); 9];
    let mut failures = Vec::new();
    let mut note = |columns: &mut Vec<Vec<f64>>, first: usize, figures: &[f64], opened: &Opened| {
        for (column, figure) in columns.iter_mut().skip(first).zip(figures) {
            column.push(*figure);
        }
        let reasons = opened.failures.sorted();
        failures.extend(reasons.iter().map(|(reason, count)| format!("{count} × {reason}")));
    };
    let mut crowd = Crowd::new(server, false)?;
    crowd.grow(sizes.storm)?;
    for _ in 0..sizes.rounds {
        rest(&mut crowd)?;
        let opened = crowd.open(sizes.at_once, Rush::AtOnce)?;
        let times = &opened.connected;
        let figures = [times.percentile(50.0), times.percentile(99.0), times.max()];
        note(&mut columns, 0, &figures, &opened);
    }
    for _ in 0..sizes.rounds {
        rest(&mut crowd)?;
        let before = server.cpu()?;
        let opened = crowd.open(sizes.storm, Rush::Abreast(ABREAST))?;
        let each = (server.cpu()? - before) * 1e6 / sizes.storm as f64;
        note(&mut columns, 3, &[opened.connected.len() as f64 / opened.seconds, each], &opened);
    }
    if !server.is_bare {
        crowd.set_auth(r#"{"token":"{token}","since":0}"#);
    }
    rest(&mut crowd)?;
    let opened = crowd.open(sizes.storm, Rush::AtOnce)?;
    let times = &opened.connected;
    let missing = opened.wanted - times.len();
    let figures = [missing as f64, times.percentile(50.0), times.percentile(99.0), times.max()];
    note(&mut columns, 5, &figures, &opened);
    crowd.leave();
    Ok((columns, failures))
}

/// All leave, and the server notices.
fn rest(crowd: &mut Crowd) -> anyhow::Result<()> {
    crowd.leave();
    Ok(crowd.engine.idle(PAUSE)?)
}
