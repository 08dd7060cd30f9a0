//! Measures Tidings beside a floor (what kernel and disk charge for the same work) and a peer
//! (Socket.IO on Node.js) in one run, so that ratios mean something on a noisy machine.
//!
//! One thread drives everything; servers are processes of their own, on a core of their own.
#![allow(clippy::print_stdout, reason = "a command line tool: its report goes to the terminal")]

mod client;
mod floor;
mod machine;
mod options;
mod process;
mod report;
mod scenario;
mod stats;
mod token;

use std::{fs, path::Path};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use machine::Usage;
use options::{Options, Plan, Role, Scenario};
use process::Stage;
use report::Section;

/// Files that a server opens beside its connections; see `limits.connections`.
const SERVER_FILES: usize = 512;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(Role::Floor { members, bytes, ready_file }) = &options.role {
        return floor::fan_out(*members, *bytes, ready_file);
    }
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

async fn run(options: &Options) -> anyhow::Result<()> {
    let plan = options.plan();
    let stage = stage(options, &plan)?;
    let mut report = headline(options, &stage);
    print!("{report}");
    for scenario in [
        Scenario::Connect,
        Scenario::Announce,
        Scenario::Steady,
        Scenario::Accept,
        Scenario::Memory,
        Scenario::Room,
    ] {
        if options.wants(scenario) {
            let usage = Usage::now();
            let mut section = measure(scenario, &stage, &plan).await?;
            section.notes.push(format!(
                "Meanwhile everything else on the machine took {:.0} % of its processors.",
                usage.of_others()
            ));
            let section = section.markdown();
            print!("{section}");
            report.push_str(&section);
        }
    }
    if let Some(out) = &options.out {
        fs::write(out, report)?;
        println!("\nWritten to {}", out.display());
    }
    Ok(())
}

async fn measure(scenario: Scenario, stage: &Stage, plan: &Plan) -> anyhow::Result<Section> {
    match scenario {
        Scenario::Connect => scenario::connect(stage, plan).await,
        Scenario::Announce => scenario::announce(stage, plan).await,
        Scenario::Steady => scenario::steady(stage, plan).await,
        Scenario::Accept => scenario::accept(stage, plan).await,
        Scenario::Memory => scenario::memory(stage, plan).await,
        Scenario::Room => scenario::room(stage, plan).await,
    }
}

fn stage(options: &Options, plan: &Plan) -> anyhow::Result<Stage> {
    let absolute = |path: &Path| {
        path.canonicalize().with_context(|| format!("there is no {}", path.display()))
    };
    fs::create_dir_all(&options.work_dir)?;
    let work_dir = absolute(&options.work_dir)?;
    let files = machine::open_files().saturating_sub(SERVER_FILES);
    let capacity = files.min(plan.many_connections.max(plan.room_members) + 1_000);
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
    Ok(Stage { tidings, peer, dir, core: options.server_core, capacity })
}

fn headline(options: &Options, stage: &Stage) -> String {
    let mut lines = vec![format!("# Tidings benchmark, {}\n", options.date)];
    if options.quick {
        lines.push("- **A quick run: shows that it works. Its figures mean nothing.**".into());
    }
    let work_dir = stage.dir.parent().unwrap_or(&stage.dir);
    for line in machine::describe(work_dir, stage.peer.as_deref()) {
        lines.push(format!("- {line}"));
    }
    lines.push(match stage.core {
        Some(core) => format!(
            "- Each server alone on core {core}, the generator on another; all on loopback, one server at a time"
        ),
        None => "- Servers and generator share all cores (taskset is missing, or there is one core)".into(),
    });
    lines.push(
        "- Tidings in production mode with its defaults, the log to a file; times in milliseconds\n"
            .into(),
    );
    lines.join("\n")
}
