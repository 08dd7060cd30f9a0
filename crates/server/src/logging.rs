//! The log: one JSON object per line on standard error, or text for people.

use std::{fmt, io::IsTerminal as _};

use serde_json::{Map, Value};
use tidings_core::ports::Clock as _;
use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    prelude::*,
    registry::LookupSpan,
};

use crate::{
    api::request,
    clock::SystemClock,
    config::{Log, LogFormat},
};

/// Starts logging; `server_id` stands in every line of the JSON form.
pub fn start(config: &Log, server_id: &str) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process (tests) keeps the first.
    let _ = match config.format {
        LogFormat::Json => registry
            .with(layer.event_format(JsonLine { server_id: server_id.to_owned() }))
            .try_init(),
        LogFormat::Text => registry.with(layer.compact()).try_init(),
    };
}

/// `{"timestamp":…,"level":…,"service":"tidings","server_id":…,"event":…,…}`
struct JsonLine {
    server_id: String,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Fields(Map::new());
        line.put("timestamp", SystemClock.now().to_string());
        line.put("level", metadata.level().as_str().to_ascii_lowercase());
        line.put("service", "tidings");
        line.put("server_id", self.server_id.as_str());
        line.put("target", metadata.target());
        event.record(&mut line);
        if let Some(id) = request::current_id() {
            line.put("request_id", id);
        }
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }
}
