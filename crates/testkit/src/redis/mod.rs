//! Private Redis servers: alone, behind Sentinels, or as a Cluster; on free ports, gone with the
//! test.

mod cluster;
mod sentinel;

use std::{
    process::Command,
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

pub use cluster::Cluster;
pub use sentinel::Sentinels;

use crate::program::{Program, free_port};

/// How often another free port is tried: somebody may take one before the server does.
const PORTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Redis {
    program: Mutex<Program>,
    pub port: u16,
    settings: Vec<String>,
}

impl Redis {
    /// The server that the tests of one binary share: none may break or empty it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// A server for this test alone. `settings` are words as on its command line, such as
    /// `--maxmemory 10mb`.
    pub fn start(settings: &[&str]) -> Self {
        for _ in 0..PORTS {
            if let Some(server) = Self::start_on(free_port(), settings) {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    fn start_on(port: u16, settings: &[&str]) -> Option<Self> {
        let settings: Vec<String> =
            settings.iter().flat_map(|words| words.split(' ')).map(str::to_owned).collect();
        let program = Mutex::new(Program::new("redis"));
        let server = Self { program, port, settings };
        server.begin();
        server.wait_until_ready().then_some(server)
    }

    fn begin(&self) {
        let mut program = self.program.lock().unwrap();
        let (port, dir) = (self.port.to_string(), program.dir().display().to_string());
        let mut words = vec!["redis-server", "--port", &port, "--bind", "127.0.0.1"];
        words.extend(["--dir", &dir, "--appendonly", "no", "--daemonize", "no"]);
        words.extend(["--enable-debug-command", "yes"]);
        words.extend(self.settings.iter().map(String::as_str));
        program.start(&words);
    }

    fn wait_until_ready(&self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.program.lock().unwrap().is_alive() {
            // Also one that wants a password answers.
            let answer = self.try_call(&["PING"]);
            if answer.is_ok_and(|text| text == "PONG" || text.contains("NOAUTH")) {
                return true;
            }
            pause(Duration::from_millis(20));
        }
        false
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What a command answers, as `redis-cli` writes it.
    pub fn call(&self, words: &[&str]) -> String {
        self.try_call(words).unwrap_or_else(|why| panic!("{words:?}: {why}"))
    }

    fn try_call(&self, words: &[&str]) -> Result<String, String> {
        let port = self.port.to_string();
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &port]);
        let output = cli.args(words).output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Ends it as a crash does.
    pub fn kill(&self) {
        self.program.lock().unwrap().stop("KILL");
    }

    /// Starts it again on its port.
    pub fn restart(&self) {
        self.begin();
        assert!(self.wait_until_ready(), "{}", self.program.lock().unwrap().log());
    }

    /// It neither answers nor closes anything until it is resumed.
    pub fn freeze(&self) {
        self.program.lock().unwrap().signal("STOP");
    }

    pub fn resume(&self) {
        self.program.lock().unwrap().signal("CONT");
    }
}

/// Waits for something that other processes bring about.
fn wait_for(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        pause(Duration::from_millis(50));
    }
}

/// Between two looks at what other processes do.
#[allow(
    clippy::disallowed_methods,
    reason = "whoever starts servers waits for them, on a thread of its own"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
