use std::{
    fmt::Write as _,
    sync::{Mutex, Once},
};

use tracing::{Event, Subscriber, field::Field, field::Visit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static START: Once = Once::new();

/// Collects what the servers of this process log about security.
pub fn collect() {
    START.call_once(|| {
        tracing_subscriber::registry().with(Collector).init();
    });
}

/// Whether some security line holds all of these. Tests run side by side: name somebody that
/// no other test knows.
pub fn logged(parts: &[&str]) -> bool {
    let lines = LINES.lock().expect("no test panics with it");
    lines.iter().any(|line| parts.iter().all(|part| line.contains(part)))
}

struct Collector;

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !["security", "room_events"].contains(&event.metadata().target()) {
            return;
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.lock().expect("no test panics with it").push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value} ", field.name());
    }
}
