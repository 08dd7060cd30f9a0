//! The command line.

mod audit;
mod backup;
mod bench;
mod config;
mod keys;
mod migrate;
mod notify;
mod serve;
mod store;
mod token;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Flags};

/// Notifications on every device within milliseconds.
#[derive(Parser)]
#[command(name = "tidings", version, about)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Global {
    /// Configuration file [default: tidings.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of database and secrets [default: tidings-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Look at the configuration
    Config(config::Command),
    /// API keys of your servers
    Keys(keys::Command),
    /// Who did or tried what
    Audit(audit::Command),
    /// Sign a token for a user
    Token(token::Token),
    /// Send a notification
    Notify(notify::Notify),
    /// Copy the SQLite database, also while the server runs
    Backup(backup::Backup),
    /// Bring the database to another version
    Migrate(migrate::Command),
    /// Move what is stored to another database
    Store(store::Command),
    /// Put load on a Socket.IO server and measure it
    Bench(Box<bench::Bench>),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Whatever we write (database, secrets, sockets) is for our own user alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(serve) => serve.run(&cli.global),
        Command::Config(command) => command.run(&cli.global),
        Command::Keys(command) => command.run(&cli.global),
        Command::Audit(command) => command.run(&cli.global),
        Command::Token(token) => token.run(&cli.global),
        Command::Notify(notify) => notify.run(&cli.global),
        Command::Backup(backup) => backup.run(&cli.global),
        Command::Migrate(command) => command.run(&cli.global),
        Command::Store(command) => command.run(&cli.global),
        Command::Bench(bench) => bench.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("tidings: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

impl Global {
    fn flags(&self) -> Flags {
        Flags { config: self.config.clone(), data_dir: self.data_dir.clone(), ..Flags::default() }
    }

    fn load(&self) -> anyhow::Result<Config> {
        load(&self.flags())
    }
}

fn load(flags: &Flags) -> anyhow::Result<Config> {
    // A variable that is no text is none of ours.
    let variables = std::env::vars_os()
        .filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    Ok(crate::config::load(flags, variables)?)
}

/// Runs a short command that needs a runtime.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Writes a line for the person (or script) that called.
#[allow(clippy::print_stdout, reason = "this is what the command line is for")]
fn say(line: impl std::fmt::Display) {
    println!("{line}");
}
