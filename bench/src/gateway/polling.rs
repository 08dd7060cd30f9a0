//! What HTTP long-polling costs beside WebSocket.

use tidings_load::Pace;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    crowd::{Crowd, ROOM, To},
    pollers::Pollers,
    process::{Server, Stage},
};

/// Broadcasts a second: each finds its polls waiting again.
const RATE: f64 = 20.0;
const LONGER: f64 = 2.0;

pub async fn polling(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let clients = sizes.at_once;
    let columns =
        ["CPU µs per delivery", "CPU µs per connection", "KB of an idle one", "events per answer"];
    let mut grid = Grid::new(
        format!(
            "HTTP long-polling beside WebSocket: {clients} clients, {RATE} broadcasts a second"
        ),
        columns.map(str::to_owned).to_vec(),
    );
    grid.note("Per connection: from the first byte until it is in and has joined a room. Idle: a poll is waiting. An event by polling is an answer and the next request.");
    for contender in [Contender::Tidings, Contender::Peer] {
        for by_polling in [true, false] {
            let mut name = None;
            let mut samples = vec![Vec::new(); columns.len()];
            for _ in 0..sizes.rounds {
                // A new one each time: memory that was used once is there for the next.
                let Some(server) = contender.start(stage).await? else { continue };
                let figures = measure(&server, clients, by_polling, sizes)?;
                samples.iter_mut().zip(figures).for_each(|(cell, figure)| cell.push(figure));
                name = Some(server.name);
                server.stop().await?;
            }
            let transport = if by_polling { "polling" } else { "WebSocket" };
            if let Some(name) = name {
                grid.row(&format!("{name}, {transport}"), samples);
            }
        }
    }
    Ok(grid.into())
}

fn measure(
    server: &Server,
    clients: usize,
    by_polling: bool,
    sizes: &Sizes,
) -> anyhow::Result<[f64; 4]> {
    let mut crowd = Crowd::new(server, true)?;
    let seconds = sizes.seconds * LONGER;
    let settle = std::time::Duration::from_secs_f64(sizes.settle / 2.0);
    let (rss, cpu) = (server.rss()?, server.cpu()?);
    let mut pollers = None;
    if by_polling {
        pollers = Some(Pollers::gather(server.address, clients, ROOM)?);
    } else {
        crowd.grow(clients)?;
    }
    let each = (server.cpu()? - cpu) * 1e6 / clients as f64;
    crowd.engine.idle(settle)?;
    let idle = (server.rss()? - rss) / 1_024.0 / clients as f64;
    let (before, cpu) = (pollers.as_ref().map(Pollers::counts), server.cpu()?);
    let tally = crowd.send(&[(To::All, Pace::Rate(RATE))], seconds)?;
    crowd.engine.idle(settle)?;
    let used = (server.cpu()? - cpu) * 1e6;
    let (mut deliveries, mut answers) = (tally.broadcast.bill.received as f64, f64::NAN);
    if let (Some(pollers), Some((events, polls))) = (&mut pollers, before) {
        let (all, answered) = pollers.counts();
        deliveries = (all - events) as f64;
        answers = deliveries / (answered - polls).max(1) as f64;
        pollers.end()?;
    }
    crowd.leave();
    Ok([used / deliveries, each, idle, answers])
}
