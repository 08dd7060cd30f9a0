//! Measures Tidings beside a floor (what kernel and disk charge for the same work) and a peer
//! (Socket.IO on Node.js) in one run, so that ratios mean something on a noisy machine.
//!
//! One thread drives everything; servers are processes of their own, on a core of their own.
#![allow(clippy::print_stdout, reason = "a command line tool: its report goes to the terminal")]

mod bare;
mod chart;
mod cluster;
mod crowd;
mod floor;
mod gateway;
mod http;
mod machine;
mod options;
mod pollers;
mod process;
mod report;
mod results;
mod scenario;
mod soak;
mod stats;
mod store;
mod token;

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use gateway::{Measured, Sizes};
use machine::{Dropped, Usage};
use options::{Options, Plan, Role, Scenario};
use process::{Stage, WorkDir};
use results::Results;

/// Files that a server opens beside its connections, those included that have not asked for anything yet; see
/// `limits.connections`.
const SERVER_FILES: usize = 1_512;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match &options.role {
        Some(Role::Bare { coalesce, ready_file }) => return bare::serve(*coalesce, ready_file),
        Some(Role::Store { rows }) => return bench_store(&options, *rows),
        Some(Role::Soak { .. } | Role::Cluster) | None => {}
    }
    std::thread::spawn(stop_on_signal);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = run(&options) => done,
            // Servers end with whoever holds them.
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    })
}

/// On all cores and several threads: stores have threads of their own.
fn bench_store(options: &Options, rows: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stage = stage(options, &options.plan())?;
        let head = headline(options, &stage);
        print!("{head}");
        let mut results = Results::new(head, options.date.clone());
        let sizes = store::Sizes::new(options.quick, rows);
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = store::run(&stage, &sizes, &mut results) => done?,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
        write(options, results)
    })
}

/// Measurements hold the main thread, which hears of a signal only between them.
fn stop_on_signal() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        crowd::stop_all();
        Ok(())
    })
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let plan = options.plan();
    let stage = stage(options, &plan)?;
    if let Some(Role::Soak { connections, minutes }) = options.role {
        return soak::soak(&stage, connections, minutes).await;
    }
    let sizes = Sizes::new(options.quick, machine::open_files());
    let head = headline(options, &stage);
    print!("{head}");
    let mut results = Results::new(head, options.date.clone());
    if matches!(options.role, Some(Role::Cluster)) {
        cluster::run(&stage, options.quick, &mut results).await?;
        return write(options, results);
    }
    for scenario in Scenario::ALL {
        if options.wants(scenario) {
            let (usage, dropped) = (Usage::now(), Dropped::now());
            let mut measured = measure(scenario, &stage, &plan, &sizes).await?;
            let others = usage.of_others();
            if let Some(section) = measured.sections.last_mut() {
                section.notes.push(format!(
                    "Meanwhile everything else on the machine took {others:.0} % of its processors."
                ));
                section.notes.extend(dropped.since());
            }
            print!("{}", results.add(scenario, measured, others));
        }
    }
    write(options, results)
}

fn write(options: &Options, results: Results) -> anyhow::Result<()> {
    if let Some(out) = &options.out {
        results.write(out)?;
        println!("\nWritten to {}", out.display());
    }
    Ok(())
}

async fn measure(
    scenario: Scenario,
    stage: &Stage,
    plan: &Plan,
    sizes: &Sizes,
) -> anyhow::Result<Measured> {
    match scenario {
        Scenario::Fanout => gateway::fanout(stage, sizes).await,
        Scenario::Connect => gateway::arrive(stage, sizes).await,
        Scenario::Memory => gateway::idle(stage, sizes).await,
        Scenario::Unicast => gateway::unicast(stage, sizes).await,
        Scenario::Latency => gateway::latency(stage, sizes).await,
        Scenario::Polling => gateway::polling(stage, sizes).await,
        Scenario::Mix => gateway::mix(stage, sizes).await,
        Scenario::Fair => gateway::fair(stage, sizes).await,
        Scenario::Threads => gateway::threads(stage, sizes).await,
        Scenario::Announce => scenario::announce(stage, plan).await,
        Scenario::Steady => scenario::steady(stage, plan).await,
        Scenario::Accept => scenario::accept(stage, plan).await.map(Measured::from),
        Scenario::Room => scenario::room(stage, plan).await,
        Scenario::StoreEnds
        | Scenario::StoreAlone
        | Scenario::StoreAnnounce
        | Scenario::StorePages
        | Scenario::ClusterNodes
        | Scenario::ClusterBus => {
            anyhow::bail!("measured by `store` or `cluster` alone")
        }
    }
}

fn stage(options: &Options, plan: &Plan) -> anyhow::Result<Stage> {
    let absolute = |path: &Path| {
        path.canonicalize().with_context(|| format!("there is no {}", path.display()))
    };
    fs::create_dir_all(&options.work_dir)?;
    let work_dir = absolute(&options.work_dir)?;
    let files = machine::open_files().saturating_sub(SERVER_FILES);
    let capacity = files.min(crowd::MOST);
    anyhow::ensure!(
        capacity > plan.connections,
        "{} connections need more open files (ulimit -n) than {}",
        plan.connections,
        machine::open_files()
    );
    // Servers of two runs at once must not share a directory.
    let dir = work_dir.join(format!("work-{}", std::process::id()));
    let (tidings, peer) =
        (absolute(&options.tidings)?, options.peer.as_deref().map(absolute).transpose()?);
    fs::create_dir_all(&dir)?;
    let cores = options.server_core.map_or(String::new(), |core| core.to_string());
    Ok(Stage { tidings, peer, dir: Arc::new(WorkDir(dir)), cores, capacity })
}

fn headline(options: &Options, stage: &Stage) -> String {
    let mut lines = vec![format!("# Tidings benchmark, {}\n", options.date)];
    if options.quick {
        lines.push("- **A quick run: shows that it works. Its figures mean nothing.**".into());
    }
    let work_dir = stage.dir.parent().unwrap_or(&stage.dir.0);
    for line in machine::describe(work_dir, stage.peer.as_deref()) {
        lines.push(format!("- {line}"));
    }
    lines.push(match stage.cores.as_str() {
        "" => "- Servers and generator share all cores (taskset is missing, or there is one core)".into(),
        core => format!(
            "- Each server alone on core {core}, the generator on another; all on loopback, one server at a time"
        ),
    });
    lines.push(
        "- Tidings in production mode with its defaults, the log to a file; times in milliseconds\n"
            .into(),
    );
    lines.join("\n")
}
