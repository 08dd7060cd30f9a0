//! `tidings serve`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Global, load, say};
use crate::{
    certificate::Certificate,
    config::{self, Config, Flags, LogFormat, Role},
    logging, playground,
    server::{Server, new_node_id},
};

#[derive(Args)]
pub(super) struct Serve {
    /// Try it out: made-up users, a playground, this machine only
    #[arg(long)]
    dev: bool,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on; 0 takes a free one [default: 3001]
    #[arg(long)]
    port: Option<u16>,
    /// What this node does [default: all]
    #[arg(long)]
    role: Option<Role>,
    /// Write address and pid to this file, as JSON, when the server listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let mut config = self.config(global)?;
        let node_id = config.node_id.get_or_insert_with(new_node_id);
        let _log = logging::start(&config.log, node_id);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve(config))
    }

    fn config(&self, global: &Global) -> anyhow::Result<Config> {
        let (host, port) = (self.host.clone(), self.port);
        let flags = Flags { host, port, role: self.role, dev: self.dev, ..global.flags() };
        let mut config = load(&flags)?;
        let problems = config::check(&config);
        anyhow::ensure!(
            problems.is_empty(),
            "the configuration is not valid:\n  {}",
            problems.join("\n  ")
        );
        if config.dev && config.log.level == "info" {
            // The terminal belongs to the addresses and tokens; problems still show.
            config.log.level = "warn".into();
            config.log.format = LogFormat::Text;
        }
        Ok(config)
    }

    async fn serve(self, config: Config) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = Server::start(config).await?;
        let address = server.address()?;
        let now = server.state().clock.now();
        for warning in config::warnings(&server.state().config, now) {
            tracing::warn!(warning);
        }
        if server.state().certificate.is_some() {
            let mut hangup = signal(SignalKind::hangup())?;
            let state = server.state().clone();
            tokio::spawn(async move {
                while hangup.recv().await.is_some() {
                    state.certificate.iter().for_each(Certificate::ask_to_reload);
                }
            });
        }
        tracing::info!(event = "server.started", %address, version = env!("CARGO_PKG_VERSION"));
        if server.state().config.dev {
            greet(&server)?;
        } else {
            let scheme = if server.state().certificate.is_some() { "https" } else { "http" };
            say(format_args!("Tidings listens on {scheme}://{address}"));
        }
        if let Some(path) = &self.ready_file {
            write_ready_file(path, &json!({ "address": address, "pid": std::process::id() }))?;
        }
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tokio::spawn(async move {
                // Asked twice: at once.
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                std::process::exit(130);
            });
        };
        server.run(stop).await
    }
}

/// Whoever waits for the file must never see half of it.
fn write_ready_file(path: &std::path::Path, content: &serde_json::Value) -> anyhow::Result<()> {
    let unfinished = path.with_extension("tmp");
    std::fs::write(&unfinished, content.to_string())?;
    Ok(std::fs::rename(&unfinished, path)?)
}

fn greet(server: &Server) -> anyhow::Result<()> {
    let base = format!("http://{}", server.address()?);
    let state = server.state();
    say(format_args!(
        "\n  Tidings {} is running, for trying out (--dev)\n",
        env!("CARGO_PKG_VERSION")
    ));
    say(format_args!("  Playground       {base}/"));
    say(format_args!("  API              {base}/api/v1"));
    say(format_args!("  API description  {base}/api/openapi.json"));
    say(format_args!("  Data             {}\n", state.config.data_dir.display()));
    if let Some(key) = server.api_key() {
        say(format_args!("  API key          {key}"));
    }
    for (user, name) in playground::USERS {
        if let Some(token) = playground::token(state, user) {
            say(format_args!("  Token of {name:<7} {token}"));
        }
    }
    say("\n  Ctrl-C stops it.\n");
    Ok(())
}
