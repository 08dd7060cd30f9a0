//! The server's process and its directory, looked after by a shell that outlives this process.
//!
//! The shell reads orders from a pipe. When the pipe ends, because its writer was dropped, panicked
//! or was killed, it ends the server and removes the directory.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::{Settings, Stop, binaries};

/// Orders come as lines `NAME ARGUMENT`; each is answered by a line `ok` or `failed`.
///
/// The server is a child of the shell, which reaps it: not everywhere does process 1.
const KEEPER: &str = r#"
trap '' INT HUP TERM PIPE
log="$DIR/log" pid=
# Texts are sorted as people do, unlike ours: a forgotten COLLATE shows.
initialize() {
  "$INITDB" --no-sync -U postgres -E UTF8 --locale=C --locale-provider=icu --icu-locale=en \
    --auth-local=trust --auth-host=scram-sha-256 -D "$DIR/data"
}
copy() {
  "$BASEBACKUP" --no-sync -D "$DIR/data" -X stream -c fast -R -d "$1"
}
start() {
  rm -f "$DIR/data/postmaster.pid" # What a killed one leaves behind says "ready" too.
  "$POSTGRES" -D "$DIR/data" -p "$1" & pid=$!
  until grep -q '^ready' "$DIR/data/postmaster.pid"; do
    kill -0 "$pid" || { wait "$pid"; pid=; return 1; }
    sleep 0.02
  done
}
stop() { kill "-$1" "$pid"; wait "$pid"; pid=; }
while read -r order argument; do
  if "$order" "$argument" </dev/null >>"$log" 2>&1; then echo ok; else echo failed; fi
done
[ -n "$pid" ] && stop QUIT >>"$log" 2>&1
rm -rf "$DIR"
"#;

pub(super) struct Process {
    dir: PathBuf,
    /// `None` once the keeper was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    keeper: Child,
}

impl Process {
    pub(super) fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("tidings-pg-{:08x}", rand::random::<u32>()));
        fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        let mut shell = Command::new("sh");
        as_nobody_special(&mut shell, &dir);
        shell.args(["-c", KEEPER]).current_dir("/");
        shell.env("DIR", &dir).env("POSTGRES", binaries::find("postgres"));
        shell.env("INITDB", binaries::find("initdb"));
        shell.env("BASEBACKUP", binaries::find("pg_basebackup"));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A Ctrl-C at the terminal is not for it.
        shell.process_group(0);
        let mut keeper = shell.spawn().unwrap();
        let orders = keeper.stdin.take();
        let answers = BufReader::new(keeper.stdout.take().unwrap());
        Self { dir, orders, answers, keeper }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn initialize(&mut self, settings: &Settings) {
        let data = self.dir.join("data");
        assert!(self.order("initialize"), "{}", self.log());
        let mut lines = vec![
            "listen_addresses = 'localhost'".to_owned(),
            format!("unix_socket_directories = '{}'", self.dir.display()),
            "max_connections = 500".to_owned(),
            "shared_buffers = 64MB".to_owned(),
        ];
        if !settings.fsync {
            lines.extend(["fsync = off".to_owned(), "full_page_writes = off".to_owned()]);
        }
        if let Some((certificate, key)) = &settings.certificate {
            for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
                let path = data.join(name);
                fs::write(&path, pem).unwrap();
                fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                    .unwrap();
                give(&path);
            }
            lines.push("ssl = on".to_owned());
        }
        lines.extend(settings.lines.iter().cloned());
        let conf = data.join("postgresql.conf");
        let mut conf = fs::OpenOptions::new().append(true).open(conf).unwrap();
        writeln!(conf, "{}", lines.join("\n")).unwrap();
    }

    /// The data of another server, whose changes it will follow.
    pub(super) fn copy(&mut self, primary: &Path, port: u16) {
        let order = format!("copy host={} port={port} user=postgres", primary.display());
        assert!(self.order(&order), "{}", self.log());
        let conf = self.dir.join("data/postgresql.conf");
        let mut conf = fs::OpenOptions::new().append(true).open(conf).unwrap();
        writeln!(conf, "unix_socket_directories = '{}'", self.dir.display()).unwrap();
    }

    /// Whether it takes connections now.
    #[must_use]
    pub(super) fn start(&mut self, port: u16) -> bool {
        self.order(&format!("start {port}"))
    }

    pub(super) fn stop(&mut self, how: Stop) {
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        // Its exit code says only how it was stopped.
        self.order(&format!("stop {signal}"));
    }

    fn order(&mut self, line: &str) -> bool {
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer == "ok\n"
    }

    /// The end of what the server said.
    pub(super) fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders.take();
        let _ = self.keeper.wait();
    }
}

/// PostgreSQL refuses to run as root: then it runs as an ordinary user, who owns the directory.
fn as_nobody_special(command: &mut Command, dir: &Path) {
    if let Some((user, group)) = give(dir) {
        command.uid(user).gid(group);
    }
}

fn give(path: &Path) -> Option<(u32, u32)> {
    if !is_root() {
        return None;
    }
    let (user, group) = ordinary_user();
    chown(path, Some(user), Some(group)).unwrap();
    Some((user, group))
}

fn is_root() -> bool {
    // Owned by whoever this process runs as.
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0
}

/// The one that Debian's package makes for the purpose, else nobody.
fn ordinary_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("a user that is not root")
}
