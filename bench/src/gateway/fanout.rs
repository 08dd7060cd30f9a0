//! Fan-out: the processor time of one delivery when a room is told something.

use tidings_load::Pace;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    chart,
    crowd::{Crowd, To, faults},
    process::{Server, Stage},
};

/// Broadcasts on their way.
const FLIGHTS: [u64; 2] = [1, 8];

/// A column for each size and each number in flight.
#[derive(Default)]
struct Samples {
    cpu: Vec<Vec<f64>>,
    rate: Vec<Vec<f64>>,
    last: Vec<Vec<f64>>,
    generator: f64,
    faults: Vec<String>,
}

pub async fn fanout(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let mut columns = Vec::new();
    for flight in FLIGHTS {
        columns.extend(sizes.members.iter().map(|size| format!("{size} × {flight}")));
    }
    let grid = |title: &str| Grid::new(title, columns.clone());
    let mut cpu = grid("Fan-out: CPU-seconds of the server per million deliveries");
    let mut rate = grid("Fan-out: deliveries a second, server on one core");
    let mut last = grid("Fan-out: until the last member has it, p99 in ms");
    cpu.note(format!(
        "Columns: members of the room × broadcasts in flight (the next is posted when fewer are on their way). {} samples of {} s; median (lowest–highest). 200-byte events.",
        sizes.rounds, sizes.seconds
    ));
    cpu.note("Tidings and the peer serve authenticated Socket.IO clients and take broadcasts by HTTP. The bare loop checks nothing; it writes once per delivery or, coalescing, once per socket for all that waits.");
    for contender in [Contender::Tidings, Contender::Bare, Contender::Coalescing, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let samples = sample(&server, sizes)?;
        cpu.row(server.name, samples.cpu);
        rate.row(server.name, samples.rate);
        last.row(server.name, samples.last);
        rate.note(format!(
            "{}: the generator took up to {:.0} % of its core.",
            server.name,
            samples.generator * 100.0
        ));
        for fault in samples.faults {
            cpu.note(format!("{}: {fault}", server.name));
        }
        server.stop().await?;
    }
    let pictures = vec![
        ("fanout-cpu".to_owned(), chart::bars(&cpu.title, &columns, &cpu.medians())),
        ("fanout-throughput".to_owned(), chart::bars(&rate.title, &columns, &rate.medians())),
    ];
    let data = serde_json::json!([cpu.data(), rate.data(), last.data()]);
    let sections = vec![cpu.section(), rate.section(), last.section()];
    Ok(Measured { sections, data, pictures })
}

fn sample(server: &Server, sizes: &Sizes) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    let count = sizes.members.len();
    for column in [&mut samples.cpu, &mut samples.rate, &mut samples.last] {
        column.resize(count * FLIGHTS.len(), Vec::new());
    }
    let mut crowd = Crowd::new(server, true)?;
    for (at, size) in sizes.members.iter().enumerate() {
        crowd.grow(*size)?;
        // Warms up caches on both sides.
        crowd.send(&[(To::All, Pace::InFlight(1))], sizes.seconds / 4.0)?;
        for _ in 0..sizes.rounds {
            for (row, flight) in FLIGHTS.into_iter().enumerate() {
                let before = server.cpu()?;
                let tally = crowd.send(&[(To::All, Pace::InFlight(flight))], sizes.seconds)?;
                let used = server.cpu()? - before;
                let deliveries = tally.broadcast.bill.received as f64;
                let column = row * count + at;
                let figures = [
                    (&mut samples.cpu, used * 1e6 / deliveries),
                    (&mut samples.rate, deliveries / tally.seconds),
                    (&mut samples.last, tally.broadcast.last.percentile(99.0)),
                ];
                for (columns, figure) in figures {
                    columns.get_mut(column).into_iter().for_each(|cell| cell.push(figure));
                }
                let busiest = tally.cpu.iter().copied().fold(0.0, f64::max);
                samples.generator = samples.generator.max(busiest);
                samples.faults.extend(faults(&tally));
            }
        }
    }
    crowd.leave();
    Ok(samples)
}
