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
const CONTENDERS: [Contender; 4] =
    [Contender::Tidings, Contender::Bare, Contender::Coalescing, Contender::Peer];

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
        sizes.turns, sizes.seconds
    ));
    cpu.note("The servers take turns, each started anew, so that a machine that is slow for a while is it for all of them.");
    cpu.note("Tidings and the peer serve authenticated Socket.IO clients and take broadcasts by HTTP. The bare loop checks nothing; it writes once per delivery or, coalescing, once per socket for all that waits.");
    for (name, samples) in take_turns(stage, sizes).await? {
        cpu.row(name, samples.cpu);
        rate.row(name, samples.rate);
        last.row(name, samples.last);
        let busiest = samples.generator * 100.0;
        rate.note(format!("{name}: the generator took up to {busiest:.0} % of its core."));
        for fault in samples.faults {
            cpu.note(format!("{name}: {fault}"));
        }
    }
    let pictures = vec![
        ("fanout-cpu".to_owned(), chart::bars(&cpu.title, &columns, &cpu.medians())),
        ("fanout-throughput".to_owned(), chart::bars(&rate.title, &columns, &rate.medians())),
    ];
    let data = serde_json::json!([cpu.data(), rate.data(), last.data()]);
    let sections = vec![cpu.section(), rate.section(), last.section()];
    Ok(Measured { sections, data, pictures })
}

/// In turns, one after another.
async fn take_turns(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Vec<(&'static str, Samples)>> {
    let mut all: Vec<(&'static str, Samples)> = Vec::new();
    for _ in 0..sizes.turns {
        for contender in CONTENDERS {
            let Some(server) = contender.start(stage).await? else { continue };
            let known = all.iter().position(|(name, _)| *name == server.name);
            let at = known.unwrap_or_else(|| {
                all.push((server.name, Samples::of(sizes.members.len() * FLIGHTS.len())));
                all.len() - 1
            });
            all[at].1.take(&server, sizes)?;
            server.stop().await?;
        }
    }
    Ok(all)
}

impl Samples {
    fn of(columns: usize) -> Self {
        let none = || vec![Vec::new(); columns];
        Self { cpu: none(), rate: none(), last: none(), ..Self::default() }
    }

    /// One of each column.
    fn take(&mut self, server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
        let count = sizes.members.len();
        let mut crowd = Crowd::new(server, true)?;
        for (at, size) in sizes.members.iter().enumerate() {
            crowd.grow(*size)?;
            // Warms up caches on both sides.
            crowd.send(&[(To::All, Pace::InFlight(1))], sizes.seconds / 4.0)?;
            // The last first: by the other the server is done with those who came.
            for (row, flight) in FLIGHTS.into_iter().enumerate().rev() {
                let before = server.cpu()?;
                let tally = crowd.send(&[(To::All, Pace::InFlight(flight))], sizes.seconds)?;
                let used = server.cpu()? - before;
                let deliveries = tally.broadcast.bill.received as f64;
                let column = row * count + at;
                let figures = [
                    (&mut self.cpu, used * 1e6 / deliveries),
                    (&mut self.rate, deliveries / tally.seconds),
                    (&mut self.last, tally.broadcast.last.percentile(99.0)),
                ];
                for (columns, figure) in figures {
                    columns.get_mut(column).into_iter().for_each(|cell| cell.push(figure));
                }
                let busiest = tally.cpu.iter().copied().fold(0.0, f64::max);
                self.generator = self.generator.max(busiest);
                self.faults.extend(faults(&tally));
            }
        }
        crowd.leave();
        Ok(())
    }
}
