//! The server's process and its directory.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
};

use super::{Settings, Stop, binaries};
use crate::keeper::Keeper;

const FUNCTIONS: &str = r#"
# Texts are sorted as people do, unlike ours: a forgotten COLLATE shows.
initialize() {
  "$INITDB" --no-sync -U postgres -E UTF8 --locale=C --locale-provider=icu --icu-locale=en \
    --auth-local=trust --auth-host=scram-sha-256 -D "$DIR/data"
}
copy() {
  "$BASEBACKUP" --no-sync -D "$DIR/data" -X stream -c fast -R -d "$*"
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
end() { stop QUIT; }
"#;

pub(super) struct Process(Keeper);

impl Process {
    pub(super) fn new() -> Self {
        Self(Keeper::new("pg", FUNCTIONS, |shell, dir| {
            // Whoever reaches the socket in it is let in.
            fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
            as_nobody_special(shell, dir);
            shell.env("POSTGRES", binaries::find("postgres"));
            shell.env("INITDB", binaries::find("initdb"));
            shell.env("BASEBACKUP", binaries::find("pg_basebackup"));
        }))
    }

    pub(super) fn dir(&self) -> &Path {
        self.0.dir()
    }

    pub(super) fn initialize(&mut self, settings: &Settings) {
        let data = self.dir().join("data");
        assert!(self.0.order("initialize"), "{}", self.0.log());
        let mut lines = vec![
            "listen_addresses = 'localhost'".to_owned(),
            format!("unix_socket_directories = '{}'", self.dir().display()),
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
                fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
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
        assert!(self.0.order(&order), "{}", self.0.log());
        let conf = self.dir().join("data/postgresql.conf");
        let mut conf = fs::OpenOptions::new().append(true).open(conf).unwrap();
        writeln!(conf, "unix_socket_directories = '{}'", self.dir().display()).unwrap();
    }

    /// Whether it takes connections now.
    #[must_use]
    pub(super) fn start(&mut self, port: u16) -> bool {
        self.0.order(&format!("start {port}"))
    }

    pub(super) fn stop(&mut self, how: Stop) {
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        // Its exit code says only how it was stopped.
        self.0.order(&format!("stop {signal}"));
    }

    /// The end of what the server said.
    pub(super) fn log(&self) -> String {
        self.0.log()
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
