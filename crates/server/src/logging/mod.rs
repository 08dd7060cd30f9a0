//! The log: one JSON object per line on standard error, or text for people.

mod output;

use std::{
    fmt,
    io::{self, IsTerminal as _},
};

use serde::{Serialize, Serializer, ser::SerializeMap};
use tidings_core::ports::Clock as _;
use tracing::{Event, Level, Metadata, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    filter::filter_fn,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    prelude::*,
    registry::LookupSpan,
};

use crate::{
    api::request,
    clock::SystemClock,
    config::{Log, LogFormat},
};

pub use output::Flush;

/// Starts logging; `server_id` stands in every line of the JSON form.
pub fn start(config: &Log, server_id: &str) -> Flush {
    let (output, flush) = output::start();
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(output).with_ansi(ansi);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(holds_no_payload));
    // A second start in one process (tests) keeps the first.
    let _ = match config.format {
        LogFormat::Json => registry
            .with(layer.event_format(JsonLine { server_id: server_id.to_owned() }))
            .try_init(),
        LogFormat::Text => registry.with(layer.compact()).try_init(),
    };
    flush
}

/// What the database's driver says below a warning has the values of statements in it, and no
/// setting may bring those into the log.
fn holds_no_payload(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || !metadata.target().starts_with("tokio_postgres")
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
        let mut json = serde_json::Serializer::new(Text(&mut writer));
        self.line(&mut json, event).map_err(|_| fmt::Error)?;
        writer.write_char('\n')
    }
}

impl JsonLine {
    /// Written as it goes: a line is formatted for every request.
    fn line<S: Serializer>(&self, json: S, event: &Event<'_>) -> Result<S::Ok, S::Error> {
        let metadata = event.metadata();
        let mut map = json.serialize_map(None)?;
        map.serialize_entry("timestamp", &Displayed(SystemClock.now()))?;
        map.serialize_entry("level", level(*metadata.level()))?;
        map.serialize_entry("service", "tidings")?;
        map.serialize_entry("server_id", &self.server_id)?;
        map.serialize_entry("target", metadata.target())?;
        let mut fields = Fields { map, failed: None };
        event.record(&mut fields);
        request::with_current_id(|id| fields.put("request_id", id));
        match fields.failed {
            None => fields.map.end(),
            Some(problem) => Err(problem),
        }
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// What serde writes, as text.
struct Text<'a, 'w>(&'a mut Writer<'w>);

impl io::Write for Text<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As a JSON string, without making one first.
struct Displayed<T>(T);

impl<T: fmt::Display> Serialize for Displayed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Fields<M: SerializeMap> {
    map: M,
    failed: Option<M::Error>,
}

impl<M: SerializeMap> Fields<M> {
    fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        if self.failed.is_none() {
            self.failed = self.map.serialize_entry(name, value).err();
        }
    }
}

impl<M: SerializeMap> tracing::field::Visit for Fields<M> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &Displayed(format_args!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }
}
