//! A program of the system's in a directory of its own, gone with the test.

use std::{net::TcpListener, path::Path};

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

/// A port of loopback that nobody has now. It is below those that the kernel gives to outgoing connections, so that a program
/// that is stopped finds it free when it starts again.
pub fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(23_000..30_000));
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(free).expect("a free port")
}
