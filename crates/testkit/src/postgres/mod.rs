//! A private PostgreSQL server: in a directory of its own, on a free port, gone with the test.
//!
//! ```ignore
//! let database = Postgres::shared().database();          // empty, of the test's own
//! let server = Postgres::start(&Settings::default());    // a server of its own, to break
//! ```

mod binaries;
mod database;
mod process;

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

pub use database::Database;
use process::Process;
use tokio::sync::OnceCell;

use crate::program::free_port;

/// The role that tests connect as: owner of its databases, and nothing more.
const ROLE: &str = "tidings";
pub const PASSWORD: &str = "only-for-tests";
/// How often another free port is tried: somebody may take one before the server does.
const PORTS: usize = 5;

/// How the server is set up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether a commit waits for the disk. Without it a crash of the server (not of the
    /// machine) loses nothing all the same.
    pub fsync: bool,
    /// Further lines of `postgresql.conf`, such as `max_connections = 10`.
    pub lines: Vec<String>,
    /// PEM texts of a certificate and its key: the server then speaks TLS too.
    pub certificate: Option<(String, String)>,
}

/// How the server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, everything is written.
    Fast,
    /// As in a crash: the next start recovers.
    Immediate,
}

pub struct Postgres {
    process: Mutex<Process>,
    port: u16,
    databases: AtomicU64,
    template: OnceCell<String>,
}

impl Postgres {
    /// The server that the tests of one binary share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&Settings::default()))
    }

    /// A server for this test alone. It ends when dropped, and when this process ends, however
    /// it does.
    pub fn start(settings: &Settings) -> Self {
        let mut process = Process::new();
        process.initialize(settings);
        let server = Self::begin(process);
        server.execute(
            "postgres",
            &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE reader LOGIN"),
        );
        server
    }

    /// A server that follows this one, and can be read.
    pub fn standby_of(primary: &Self) -> Self {
        let mut process = Process::new();
        process.copy(primary.process.lock().unwrap().dir(), primary.port);
        Self::begin(process)
    }

    fn begin(mut process: Process) -> Self {
        let port = (0..PORTS).find_map(|_| {
            let port = free_port();
            process.start(port).then_some(port)
        });
        let Some(port) = port else { panic!("PostgreSQL does not start: {}", process.log()) };
        let databases = AtomicU64::new(1);
        Self { process: Mutex::new(process), port, databases, template: OnceCell::new() }
    }

    /// Makes a primary of a standby.
    pub fn promote(&self) {
        assert_eq!(self.execute("postgres", "SELECT pg_promote()"), "t");
    }

    /// An empty database.
    pub fn database(&self) -> Database<'_> {
        self.create("template0")
    }

    /// A copy of a database that `prepare` filled: the first call prepares it.
    pub async fn database_prepared<W>(&self, prepare: impl FnOnce(String) -> W) -> Database<'_>
    where
        W: Future<Output = ()>,
    {
        let make = || async {
            let template = self.create("template0").keep();
            prepare(self.url(&template)).await;
            // Copying needs that nobody is connected to it.
            self.execute(
                "postgres",
                &format!(
                    "ALTER DATABASE {template} ALLOW_CONNECTIONS false;
                    SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                    WHERE datname = '{template}'"
                ),
            );
            template
        };
        self.create(self.template.get_or_init(make).await)
    }

    fn create(&self, template: &str) -> Database<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.execute(
            "postgres",
            &format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}"),
        );
        Database::new(self, name)
    }

    /// The URL of a database, through the server's Unix socket.
    pub fn url(&self, database: &str) -> String {
        let socket = self.process.lock().unwrap().dir().display().to_string().replace('/', "%2F");
        format!("postgres://{ROLE}@{socket}:{}/{database}", self.port)
    }

    /// The URL of a database over TCP, where a password is asked for.
    pub fn tcp_url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@localhost:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Has SQL carried out by an administrator; gives the rows as text, columns parted by `|`.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        self.try_execute(database, sql).unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    pub fn try_execute(&self, database: &str, sql: &str) -> Result<String, String> {
        let dir = self.process.lock().unwrap().dir().to_owned();
        let output = self.psql(&dir, database).arg("-c").arg(sql).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Writes a database into a file, as an operator does (`pg_dump -Fc`).
    pub fn dump(&self, database: &str, to: &Path) {
        self.run("pg_dump", &["-Fc", "-f"], to, database);
    }

    /// Fills a database from such a file.
    pub fn restore(&self, database: &str, from: &Path) {
        self.run("pg_restore", &["--exit-on-error", "--no-owner", "-d"], database.as_ref(), from);
    }

    /// As the role that owns the databases.
    fn run(&self, program: &str, args: &[&str], first: &Path, last: impl AsRef<std::ffi::OsStr>) {
        let mut command = Command::new(binaries::find(program));
        let dir = self.process.lock().unwrap().dir().to_owned();
        command.arg("-h").arg(dir).args(["-p", &self.port.to_string(), "-U", ROLE]);
        let output = command.args(args).arg(first).arg(last).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn psql(&self, dir: &Path, database: &str) -> Command {
        let mut psql = Command::new(binaries::find("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"]);
        psql.arg(dir).arg("-p").arg(self.port.to_string()).stdin(Stdio::null());
        psql
    }

    /// Ends the server; its data stay. [`start_again`](Self::start_again) goes on with them.
    pub fn stop(&self, how: Stop) {
        self.process.lock().unwrap().stop(how);
    }

    pub fn start_again(&self) {
        let problem = {
            let mut process = self.process.lock().unwrap();
            (!process.start(self.port)).then(|| process.log())
        };
        assert!(problem.is_none(), "PostgreSQL does not start again: {problem:?}");
    }

    /// Ends every session of a database but the one that says so.
    pub fn disconnect_all(&self, database: &str) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.execute(database, sql);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_survives_a_crash_and_nothing_is_left_in_the_end() {
        let server = Postgres::start(&Settings::default());
        let dir = server.process.lock().unwrap().dir().to_owned();
        let database = server.database();
        database.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)");
        for how in [Stop::Immediate, Stop::Fast] {
            server.stop(how);
            assert!(server.try_execute("postgres", "SELECT 1").is_err());
            server.start_again();
            assert_eq!(database.execute("SELECT n FROM kept"), "7");
        }
        drop(database);
        drop(server);
        assert!(!dir.exists());
    }
}
