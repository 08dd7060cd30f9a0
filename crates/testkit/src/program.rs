//! A program of the system's in a directory of its own, looked after by a shell that outlives
//! this process: when the pipe of its orders ends, because its writer was dropped, panicked or
//! was killed, the shell ends the program and removes the directory.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Orders come as lines of words; each is answered by a line `ok` or `failed`. The program is a
/// child of the shell, which reaps it: not everywhere does process 1.
const KEEPER: &str = r#"
trap '' INT HUP TERM PIPE
log="$DIR/log" pid=
start() { "$@" & pid=$!; }
signal() { kill "-$1" "$pid"; }
stop() { kill "-$1" "$pid"; kill -CONT "$pid"; wait "$pid"; pid=; return 0; }
alive() { kill -0 "$pid"; }
while read -r order arguments; do
  if "$order" $arguments </dev/null >>"$log" 2>&1; then echo ok; else echo failed; fi
done
[ -n "$pid" ] && stop KILL >>"$log" 2>&1
rm -rf "$DIR"
"#;

pub struct Program {
    dir: PathBuf,
    /// `None` once the keeper was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    keeper: Child,
}

impl Program {
    /// Makes the directory; nothing runs yet.
    pub fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("tidings-{name}-{:08x}", rand::random::<u32>()));
        fs::create_dir(&dir).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER]).current_dir(&dir).env("DIR", &dir);
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A Ctrl-C at the terminal is not for it.
        shell.process_group(0);
        let mut keeper = shell.spawn().unwrap();
        let orders = keeper.stdin.take();
        let answers = BufReader::new(keeper.stdout.take().unwrap());
        Self { dir, orders, answers, keeper }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts it; no word may have a space.
    pub fn start(&mut self, words: &[&str]) {
        assert!(words.iter().all(|word| !word.contains(char::is_whitespace)), "{words:?}");
        self.order(&format!("start {}", words.join(" ")));
    }

    pub fn is_alive(&mut self) -> bool {
        self.order("alive")
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&mut self, signal: &str) {
        self.order(&format!("signal {signal}"));
    }

    /// Ends it by a signal, such as `KILL`, and waits until it has ended.
    pub fn stop(&mut self, signal: &str) {
        self.order(&format!("stop {signal}"));
    }

    fn order(&mut self, line: &str) -> bool {
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer == "ok\n"
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.orders.take();
        let _ = self.keeper.wait();
    }
}

/// A port of loopback that nobody has now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
