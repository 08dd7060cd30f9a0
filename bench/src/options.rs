//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(about = "Measures Tidings beside a floor and a peer, on loopback")]
pub struct Options {
    #[command(subcommand)]
    pub role: Option<Role>,
    /// The server's binary
    #[arg(long, default_value = "target/release/tidings")]
    pub tidings: PathBuf,
    /// The peer's script; without it nothing is compared with Node.js
    #[arg(long)]
    pub peer: Option<PathBuf>,
    /// Databases are made below this directory, which decides whose disk is measured
    #[arg(long, default_value = "bench/results")]
    pub work_dir: PathBuf,
    /// The core that servers run on; this process should be given another
    #[arg(long)]
    pub server_core: Option<usize>,
    /// Also written to this file
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Heads the report
    #[arg(long, default_value = "")]
    pub date: String,
    /// Few connections, short: shows that it works, not how fast
    #[arg(long)]
    pub quick: bool,
    /// These scenarios alone
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Scenario>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    Fanout,
    Connect,
    Memory,
    Unicast,
    Latency,
    Polling,
    Mix,
    Fair,
    Threads,
    Announce,
    Steady,
    Accept,
    Room,
    /// Of `store` alone.
    #[value(skip)]
    StoreEnds,
    #[value(skip)]
    StoreAlone,
    #[value(skip)]
    StoreAnnounce,
    #[value(skip)]
    StorePages,
    /// Of `cluster` alone.
    #[value(skip)]
    ClusterNodes,
    #[value(skip)]
    ClusterBus,
}

impl Scenario {
    pub const ALL: [Self; 13] = [
        Self::Fanout,
        Self::Connect,
        Self::Memory,
        Self::Unicast,
        Self::Latency,
        Self::Polling,
        Self::Mix,
        Self::Fair,
        Self::Threads,
        Self::Announce,
        Self::Steady,
        Self::Accept,
        Self::Room,
    ];
}

#[derive(Subcommand)]
pub enum Role {
    /// Clients come and go for a long time; fails if the server's memory or files grow
    Soak {
        /// How many come and go
        #[arg(long, default_value_t = 10_000_000)]
        connections: u64,
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
    },
    /// What the stores do, end to end and alone, on all cores
    Store {
        /// Notifications among which pages of a large inbox are read
        #[arg(long, default_value_t = 2_000_000)]
        rows: usize,
    },
    /// Two nodes on one Redis, beside two Socket.IO servers on Node.js with the redis-adapter
    Cluster,
    /// The bare loop: a server that does nothing but write
    #[command(hide = true)]
    Bare {
        /// One `writev` for all that waits for a socket
        #[arg(long)]
        coalesce: bool,
        #[arg(long)]
        ready_file: PathBuf,
    },
}

/// How much is done of everything.
pub struct Plan {
    pub connections: usize,
    pub announcements: usize,
    pub steady_seconds: u64,
    pub steady_rate: u64,
    pub accept_seconds: u64,
    pub syncs: usize,
    pub room_members: usize,
    pub room_seconds: u64,
}

impl Options {
    pub fn wants(&self, scenario: Scenario) -> bool {
        self.only.is_empty() || self.only.contains(&scenario)
    }

    pub fn plan(&self) -> Plan {
        if self.quick {
            return Plan {
                connections: 100,
                announcements: 3,
                steady_seconds: 2,
                steady_rate: 50,
                accept_seconds: 1,
                syncs: 50,
                room_members: 400,
                room_seconds: 2,
            };
        }
        Plan {
            connections: 1_000,
            announcements: 30,
            steady_seconds: 20,
            steady_rate: 100,
            accept_seconds: 5,
            syncs: 1_000,
            room_members: 5_000,
            room_seconds: 20,
        }
    }
}
