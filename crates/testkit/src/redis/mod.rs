//! Private Redis servers: alone, behind Sentinels, or as a Cluster; on free ports, gone with the
//! test.

mod cluster;
mod secured;
mod sentinel;

use std::{
    process::Command,
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

pub use cluster::Cluster;
pub use sentinel::Sentinels;

use crate::program::{Program, free_port};

use secured::{Papers, Secured};

/// How often another free port is tried: somebody may take one before the server does.
const PORTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Redis {
    program: Mutex<Program>,
    pub port: u16,
    settings: Vec<String>,
    /// If it speaks TLS.
    papers: Option<Papers>,
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
        Self::start_as(settings, None)
    }

    /// One that speaks TLS alone, and wants to see a certificate; its URL names one.
    pub fn start_secured(settings: &[&str]) -> Self {
        Self::start_as(settings, Some(&Secured::new()))
    }

    fn start_as(settings: &[&str], secured: Option<&Secured>) -> Self {
        for _ in 0..PORTS {
            if let Some(server) = Self::start_on(free_port(), settings, secured) {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    fn start_on(port: u16, settings: &[&str], secured: Option<&Secured>) -> Option<Self> {
        let settings: Vec<String> =
            settings.iter().flat_map(|words| words.split(' ')).map(str::to_owned).collect();
        let program = Program::new("redis");
        let papers = secured.map(|secured| secured.furnish(program.dir()));
        let server = Self { program: Mutex::new(program), port, settings, papers };
        server.begin();
        server.wait_until_ready().then_some(server)
    }

    fn begin(&self) {
        let mut program = self.program.lock().unwrap();
        let dir = program.dir().display().to_string();
        let port = match &self.papers {
            Some(papers) => papers.settings(self.port),
            None => vec![format!("--port {}", self.port)],
        };
        let mut words = vec!["redis-server", "--bind", "127.0.0.1"];
        words.extend(port.iter().flat_map(|setting| setting.split(' ')));
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
        self.url_of("")
    }

    /// That of a user, given as `name:password@`.
    pub fn url_of(&self, user: &str) -> String {
        url("", user, &format!("127.0.0.1:{}", self.port), self.papers.as_ref())
    }

    /// Makes a user as an `ACL SETUSER` says it.
    pub fn admit(&self, rule: &str) {
        let words: Vec<&str> = rule.split_whitespace().collect();
        assert_eq!(self.call(&words), "OK");
    }

    /// What a command answers, as `redis-cli` writes it.
    pub fn call(&self, words: &[&str]) -> String {
        self.try_call(words).unwrap_or_else(|why| panic!("{words:?}: {why}"))
    }

    fn try_call(&self, words: &[&str]) -> Result<String, String> {
        let mut cli = cli(self.port, self.papers.as_ref());
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

fn cli(port: u16, papers: Option<&Papers>) -> Command {
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    cli.args(papers.map(Papers::of_cli).into_iter().flatten());
    cli
}

fn url(shape: &str, user: &str, place: &str, papers: Option<&Papers>) -> String {
    let (s, files) = papers.map_or(("", String::new()), |papers| ("s", papers.of_url()));
    format!("redis{s}{shape}://{user}{place}{files}")
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
