//! The gateway: fan-out, arrivals, memory, latency, beside the bare loop and the peer.

mod arrive;
mod fair;
mod fanout;
mod grid;
mod idle;
mod latency;
mod mix;
mod polling;
mod threads;
mod unicast;

pub use arrive::arrive;
pub use fair::fair;
pub use fanout::fanout;
pub use grid::Grid;
pub use idle::idle;
pub use latency::latency;
pub use mix::mix;
pub use polling::polling;
pub use threads::threads;
pub use unicast::unicast;

use serde_json::Value;

use crate::{
    process::{Server, Stage},
    report::Section,
};

/// What one scenario found, to read, to compute with, and to look at.
pub struct Measured {
    pub sections: Vec<Section>,
    pub data: Value,
    /// Name and text of pictures (SVG).
    pub pictures: Vec<(String, String)>,
}

impl From<Section> for Measured {
    fn from(section: Section) -> Self {
        Self { sections: vec![section], data: Value::Null, pictures: Vec::new() }
    }
}

impl From<Grid> for Measured {
    fn from(grid: Grid) -> Self {
        let data = grid.data();
        Self { sections: vec![grid.section()], data, pictures: Vec::new() }
    }
}

/// How much of everything.
pub struct Sizes {
    pub rounds: usize,
    /// Samples of what is compared most closely, the servers in turns.
    pub turns: usize,
    /// Of one sample.
    pub seconds: f64,
    pub members: Vec<usize>,
    pub idle: Vec<usize>,
    pub at_once: usize,
    pub storm: usize,
    pub crowd: usize,
    pub rates: Vec<f64>,
    /// Connections, and messages a second.
    pub loads: Vec<(usize, f64)>,
    pub settle: f64,
}

impl Sizes {
    /// `files`: how many may be open.
    pub fn new(quick: bool, files: usize) -> Self {
        let fits = |sizes: &[usize]| {
            sizes.iter().copied().filter(|size| size + 700 <= files).collect::<Vec<_>>()
        };
        let most = |size: usize| size.min(files.saturating_sub(700)).max(50);
        if quick {
            return Self {
                rounds: 1,
                turns: 1,
                seconds: 0.3,
                members: fits(&[50, 100]),
                idle: fits(&[100, 200]),
                at_once: most(100),
                storm: most(200),
                crowd: most(100),
                rates: vec![500.0, 1_000.0],
                loads: vec![(50, 10.0), (100, 50.0)],
                settle: 0.3,
            };
        }
        Self {
            rounds: 3,
            turns: 5,
            seconds: 2.0,
            members: fits(&[1_000, 5_000, 10_000]),
            idle: fits(&[1_000, 10_000, 18_000]),
            at_once: most(1_000),
            storm: most(10_000),
            crowd: most(10_000),
            rates: vec![5_000.0, 10_000.0, 20_000.0, 40_000.0, 60_000.0, 80_000.0],
            loads: vec![(500, 10.0), (2_000, 50.0), (5_000, 100.0)],
            settle: 4.0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Tidings,
    Bare,
    Coalescing,
    Peer,
}

impl Contender {
    /// None: it is not there.
    pub async fn start(self, stage: &Stage) -> anyhow::Result<Option<Server>> {
        match self {
            Self::Tidings => stage.tidings().await.map(Some),
            Self::Bare => stage.bare(false).await.map(Some),
            Self::Coalescing => stage.bare(true).await.map(Some),
            Self::Peer => stage.peer().await,
        }
    }
}
