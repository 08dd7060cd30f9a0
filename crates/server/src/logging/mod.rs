//! The log: one JSON object per line on standard error, or text for people.

mod json;
mod output;

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, prelude::*};

use crate::config::{Log, LogFormat};
use json::JsonLines;

pub use output::Flush;

/// Starts logging; `server_id` stands in every line of the JSON form.
pub fn start(config: &Log, server_id: &str) -> Flush {
    let (output, flush) = output::start();
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(holds_no_payload));
    // A second start in one process (tests) keeps the first.
    let _ = match config.format {
        LogFormat::Json => registry.with(JsonLines::new(server_id, output)).try_init(),
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            let lines = tracing_subscriber::fmt::layer().with_writer(output).with_ansi(ansi);
            registry.with(lines.compact()).try_init()
        }
    };
    flush
}

/// What the database's driver says below a warning has the values of statements in it, and no
/// setting may bring those into the log.
fn holds_no_payload(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || !metadata.target().starts_with("tokio_postgres")
}
