//! The servers that are measured: started on a core of their own, watched from outside, ended
//! with the run.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use tidings_load::Target;
use tokio::process::{Child, Command};

use crate::{machine, token::SECRET};

/// Longest that a server may take to start.
const START: Duration = Duration::from_secs(30);
/// The kernel counts processor time in these.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where things are, for everything that is started.
#[derive(Clone)]
pub struct Stage {
    pub tidings: PathBuf,
    pub peer: Option<PathBuf>,
    pub dir: Arc<WorkDir>,
    /// What servers may run on; empty: as this process.
    pub cores: String,
    /// Connections that servers must be able to hold.
    pub capacity: usize,
}

/// A directory of this run. Nothing is left behind but the report, however it ends.
pub struct WorkDir(pub PathBuf);

impl std::ops::Deref for WorkDir {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // A server that is being killed may still write: then its files stay, in a directory
        // that git ignores.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that runs until this is dropped.
pub struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    /// For its API; empty where there is none.
    pub key: String,
    /// It knows neither tokens nor users' names.
    pub is_bare: bool,
    child: Child,
    dir: PathBuf,
}

impl Stage {
    /// A command that runs on the servers' core, without the settings of whoever calls us.
    fn command(&self, program: &Path, dir: &Path) -> anyhow::Result<Command> {
        let mut command = if self.cores.is_empty() {
            Command::new(program)
        } else {
            let mut taskset = Command::new("taskset");
            taskset.arg("-c").arg(&self.cores).arg(program);
            taskset
        };
        let log = fs::File::create(dir.join("log"))?;
        command.env_clear().current_dir(dir).kill_on_drop(true);
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// The same servers, on every core of the machine.
    pub fn on_all_cores(&self) -> Self {
        let mut stage = self.clone();
        if !stage.cores.is_empty() {
            stage.cores = format!("0-{}", machine::cores().saturating_sub(1));
        }
        stage
    }

    /// A directory for one server, empty.
    fn fresh_dir(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.dir.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Tidings as in production, with an empty database.
    pub async fn tidings(&self) -> anyhow::Result<Server> {
        self.tidings_with(&[]).await
    }

    /// The same, with further variables in its environment.
    pub async fn tidings_with(&self, variables: &[(&str, &str)]) -> anyhow::Result<Server> {
        self.tidings_in("tidings", variables).await
    }

    /// One of several, in a directory of its own.
    pub async fn tidings_in(
        &self,
        name: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Server> {
        let dir = self.fresh_dir(name)?;
        let mut command = self.command(&self.tidings, &dir)?;
        settings(&mut command, self.capacity);
        fs::write(dir.join("tidings.toml"), ROOMS)?;
        command.envs(variables.iter().copied());
        command.args(["serve", "--port", "0", "--data-dir", "data", "--ready-file", "ready"]);
        let mut server = start("Tidings", command, dir).await?;
        let mut keys = Command::new(&self.tidings);
        settings(&mut keys, self.capacity);
        keys.envs(variables.iter().copied());
        keys.args(["keys", "create", "--name", "bench", "--quiet", "--data-dir", "data"]);
        let made = keys.current_dir(&server.dir).output().await?;
        ensure!(made.status.success(), "no key: {}", String::from_utf8_lossy(&made.stderr));
        server.key = String::from_utf8(made.stdout)?.trim().to_owned();
        Ok(server)
    }

    /// Socket.IO on Node.js, if it is there.
    pub async fn peer(&self) -> anyhow::Result<Option<Server>> {
        self.peer_in("peer", &[]).await
    }

    /// One of several, in a directory of its own.
    pub async fn peer_in(
        &self,
        name: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Option<Server>> {
        let Some(script) = &self.peer else { return Ok(None) };
        let dir = self.fresh_dir(name)?;
        let mut command = self.command(Path::new("node"), &dir)?;
        command.arg(script).arg("ready").env("SECRET", SECRET).env("NODE_ENV", "production");
        command.envs(variables.iter().copied());
        start("Socket.IO on Node.js", command, dir).await.map(Some)
    }

    /// A loop that fans out, with one `write` per delivery or with `writev`.
    pub async fn bare(&self, coalesce: bool) -> anyhow::Result<Server> {
        let dir = self.fresh_dir("bare")?;
        let mut command = self.command(&std::env::current_exe()?, &dir)?;
        command.args(["bare", "--ready-file", "ready"]);
        if coalesce {
            command.arg("--coalesce");
        }
        let name = if coalesce { "bare loop, coalescing" } else { "bare loop" };
        let server = start(name, command, dir).await?;
        Ok(Server { is_bare: true, ..server })
    }
}

/// A kind of room that everybody may join, as large as the crowd, where nobody is told of the others.
const ROOMS: &str = r#"
[rooms.bench]
rule = "everyone"
max_members = 20000
presence = false
"#;

fn settings(command: &mut Command, capacity: usize) {
    command.env("TIDINGS_JWT_SECRET", SECRET);
    command.env("TIDINGS_LIMITS__CONNECTIONS", capacity.to_string());
    command.env("TIDINGS_LIMITS__SATURATION", "1.0");
}

async fn start(name: &'static str, mut command: Command, dir: PathBuf) -> anyhow::Result<Server> {
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let ready = dir.join("ready");
    let waiting = async {
        loop {
            if let Ok(text) = fs::read_to_string(&ready) {
                return Ok(text);
            }
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
                bail!("{name} ended at once ({status}): {log}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let text = tokio::time::timeout(START, waiting).await.context("it did not start in time")??;
    let ready: serde_json::Value = serde_json::from_str(&text)?;
    let address = ready["address"].as_str().context("no address in the ready file")?.parse()?;
    Ok(Server { name, address, key: String::new(), is_bare: false, child, dir })
}

impl Server {
    pub fn target(&self) -> Target {
        Target::at(self.address, self.address.to_string())
    }

    fn proc_file(&self, name: &str) -> anyhow::Result<String> {
        let pid = self.child.id().with_context(|| format!("{} has ended", self.name))?;
        Ok(fs::read_to_string(format!("/proc/{pid}/{name}"))?)
    }

    /// Seconds of processor time that it has used.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        match self.precise_cpu() {
            Some(seconds) => Ok(seconds),
            None => self.coarse_cpu(),
        }
    }

    /// To the nanosecond, for the threads that it has; servers keep theirs.
    fn precise_cpu(&self) -> Option<f64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()?)).ok()?;
        let mut sum = 0.0;
        for task in tasks {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            sum += text.split(' ').next()?.parse::<f64>().ok()?;
        }
        (sum > 0.0).then_some(sum / 1e9)
    }

    /// As the kernel counts it everywhere, in hundredths of a second.
    fn coarse_cpu(&self) -> anyhow::Result<f64> {
        let stat = self.proc_file("stat")?;
        // The name, in parentheses, may hold anything; user and system time are the 12th and
        // 13th field behind it.
        let (_, fields) = stat.rsplit_once(')').context("odd process status")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        Ok(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND)
    }

    /// Bytes of memory that it holds.
    pub fn rss(&self) -> anyhow::Result<f64> {
        let status = self.proc_file("status")?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        Ok(kb.context("no VmRSS")? * 1024.0)
    }

    /// Files that it has open.
    pub fn files(&self) -> anyhow::Result<usize> {
        let pid = self.child.id().with_context(|| format!("{} has ended", self.name))?;
        Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
    }

    /// Ends it and waits until it is gone, so that it disturbs nobody after it.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        fs::remove_dir_all(&self.dir)?;
        Ok(())
    }
}
