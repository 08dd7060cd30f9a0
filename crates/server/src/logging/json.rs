//! A line of the log as a JSON object.

use std::{cell::Cell, fmt};

use serde::{Serialize, Serializer, ser::SerializeMap};
use tidings_core::ports::Clock as _;
use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{Layer, layer::Context};

use super::output::Output;
use crate::{api::request, clock::SystemClock};

/// Bytes of a line whose memory is kept for the next one.
const USUAL: usize = 4 << 10;

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// `{"timestamp":…,"level":…,"service":"tidings","server_id":…,"event":…,…}`. Spans are not in it: there are none.
pub(super) struct JsonLines {
    server_id: String,
    output: Output,
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = LINE.take();
        line.clear();
        // Memory takes whatever is written to it.
        if self.line(&mut serde_json::Serializer::new(&mut line), event).is_ok() {
            line.push(b'\n');
            self.output.add(&line, *event.metadata().level());
        }
        if line.capacity() <= USUAL {
            LINE.set(line);
        }
    }
}

impl JsonLines {
    pub(super) fn new(server_id: &str, output: Output) -> Self {
        Self { server_id: server_id.to_owned(), output }
    }

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
