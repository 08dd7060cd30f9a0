//! `make bench-cluster`: two nodes on one Redis, beside two Socket.IO servers on Node.js with the
//! redis-adapter on the same Redis; and the bus alone with many subscriptions.

mod bus;
mod nodes;

use crate::{options::Scenario, process::Stage, results::Results};

/// How much is done.
pub struct Sizes {
    /// Of each node.
    connections: usize,
    /// Events for one user each, a second.
    rates: Vec<f64>,
    seconds: f64,
    announcements: f64,
    subscriptions: Vec<usize>,
}

impl Sizes {
    fn new(quick: bool) -> Self {
        match quick {
            true => Self {
                connections: 50,
                rates: vec![200.0],
                seconds: 0.5,
                announcements: 1.0,
                subscriptions: vec![100, 1_000],
            },
            false => Self {
                connections: 5_000,
                rates: vec![500.0, 2_000.0, 5_000.0],
                seconds: 5.0,
                announcements: 1.0,
                subscriptions: vec![1_000, 10_000, 100_000],
            },
        }
    }
}

pub async fn run(stage: &Stage, quick: bool, results: &mut Results) -> anyhow::Result<()> {
    let sizes = Sizes::new(quick);
    let measured = nodes::measure(stage, &sizes).await?;
    print!("{}", results.add(Scenario::ClusterNodes, measured, 0.0));
    let measured = bus::measure(&sizes).await?;
    print!("{}", results.add(Scenario::ClusterBus, measured, 0.0));
    Ok(())
}
