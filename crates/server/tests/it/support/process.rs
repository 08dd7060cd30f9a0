use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::{Api, SECRET, store, within};

/// The real binary, with an environment of its own. It is killed when it is dropped.
pub struct Tidings {
    pub address: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    logging: tokio::task::JoinHandle<()>,
}

impl Tidings {
    /// A command with nothing of this process's environment but a secret and a data directory.
    pub fn command(data_dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command
            .env_clear()
            .env("TIDINGS_DATA_DIR", data_dir)
            .env("TIDINGS_JWT_SECRET", SECRET)
            .env("TIDINGS_LIFECYCLE__UNREADY", "0s")
            .env("TIDINGS_LIFECYCLE__DRAIN", "0s")
            .current_dir(data_dir.parent().expect("a parent"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(url) = store::url_for(data_dir) {
            command.env("TIDINGS_DATABASE_URL", url);
        }
        command
    }

    /// As `command`, for what only a data directory with a database in it can show.
    pub fn command_on_sqlite(data_dir: &Path) -> Command {
        let mut command = Self::command(data_dir);
        command.env_remove("TIDINGS_DATABASE_URL");
        command
    }

    /// Runs a short command to its end.
    pub async fn run(data_dir: &Path, args: &[&str]) -> Output {
        within(Self::command(data_dir).args(args).output()).await.expect("it runs")
    }

    /// As `run`, for one that ends well; gives what it printed.
    #[track_caller]
    pub fn printed(output: &Output) -> String {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.trim_end().to_owned()
    }

    /// As `run`, for one that fails; gives what it said.
    #[track_caller]
    pub fn complained(output: &Output) -> String {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// `tidings serve` on a free port; returns when it listens.
    pub async fn serve(data_dir: &Path) -> Self {
        let mut command = Self::command(data_dir);
        command.args(["serve", "--port", "0"]);
        Self::spawn(command).await
    }

    /// Starts a command that serves; returns when it listens.
    pub async fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = Arc::<Mutex<Vec<String>>>::default();
        let mut errors = BufReader::new(child.stderr.take().expect("piped")).lines();
        let written = Arc::clone(&log);
        let logging = tokio::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                written.lock().expect("no panic").push(line);
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = loop {
            let Some(line) = within(lines.next_line()).await.expect("readable") else {
                panic!("it did not start: {:?}", log.lock().expect("no panic"));
            };
            if let Some((_, url)) = line.split_once("://") {
                let host = url.split('/').next().expect("a host");
                break host.parse().expect("an address");
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, child, log, logging }
    }

    /// A line of the log that begins like this, as soon as it is there.
    pub async fn logged(&self, start: &str) -> String {
        let find = || {
            let log = self.log.lock().expect("no panic");
            log.iter().find(|line| line.starts_with(start)).cloned()
        };
        super::eventually(|| async { find().is_some() }).await;
        find().unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it is ours");
    }

    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Waits for its end; gives the exit code and the whole log.
    pub async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = within(self.child.wait()).await.expect("it ends");
        within(self.logging).await.expect("read to the end");
        (status.code(), std::mem::take(&mut *self.log.lock().expect("no panic")))
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(mut self) {
        within(self.child.kill()).await.expect("killed");
    }

    pub fn api(&self, token: Option<String>) -> Api {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Api { http, origin: format!("http://{}", self.address), prefix: "/api/v1", token }
    }
}

/// A place for a data directory that is not there yet.
pub fn fresh() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    (dir, path)
}
