//! A program of the system's in a directory of its own, gone with the test.

use std::{collections::BTreeSet, net::TcpListener, ops::Range, path::Path, sync::Mutex};

use crate::keeper::Keeper;

const FUNCTIONS: &str = r#"
cd "$DIR"
start() { "$@" & pid=$!; }
signal() { kill "-$1" "$pid"; }
stop() { kill "-$1" "$pid"; kill -CONT "$pid"; wait "$pid"; pid=; return 0; }
alive() { kill -0 "$pid"; }
end() { stop KILL; }
"#;

pub struct Program(Keeper);

impl Program {
    /// Makes the directory; nothing runs yet.
    pub fn new(name: &str) -> Self {
        Self(Keeper::new(name, FUNCTIONS, |shell, _| {
            let path = std::env::var("PATH").unwrap_or_default();
            shell.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        }))
    }

    pub fn dir(&self) -> &Path {
        self.0.dir()
    }

    /// Starts it; no word may have a space.
    pub fn start(&mut self, words: &[&str]) {
        assert!(words.iter().all(|word| !word.contains(char::is_whitespace)), "{words:?}");
        self.0.order(&format!("start {}", words.join(" ")));
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.order("alive")
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&mut self, signal: &str) {
        self.0.order(&format!("signal {signal}"));
    }

    /// Ends it by a signal, such as `KILL`, and waits until it has ended.
    pub fn stop(&mut self, signal: &str) {
        self.0.order(&format!("stop {signal}"));
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        self.0.log()
    }
}

/// A port of loopback that nobody has now, and that no other test of this process is given: not even while the program that it
/// is for is down. It is below those that the kernel gives to outgoing connections, so that a program that is stopped finds
/// it free when it starts again.
pub fn free_port() -> u16 {
    free_port_of(23_000..30_000, 0)
}

/// One of these; the one so far above it is free too.
pub(crate) fn free_port_of(ports: Range<u16>, above: u16) -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let is_new = |port: u16| GIVEN.lock().unwrap().insert(port);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(ports.clone()))
        .take(100_000)
        .find(|port| is_new(*port) && is_free(*port) && is_free(*port + above))
        .expect("a free port")
}
