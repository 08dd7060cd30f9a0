//! A shell that looks after a program of the system's and its directory, and outlives this process.
//!
//! It reads orders from a pipe. When the pipe ends, because its writer was dropped, panicked or was killed, it ends the
//! program, whatever that has started itself, and removes the directory.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Orders come as lines of words, the first of which names a function of the script; each is answered by a line `ok` or
/// `failed`. The program, `$pid`, is a child of the shell, which reaps it: not everywhere does process 1.
const ORDERS: &str = r#"
while read -r order arguments; do
  if "$order" $arguments </dev/null >>"$log" 2>&1; then echo ok; else echo failed; fi
done
[ -n "$pid" ] && end >>"$log" 2>&1
rm -rf "$DIR"
kill -KILL 0 # What the program left behind is in the group of this shell.
"#;

pub(crate) struct Keeper {
    dir: PathBuf,
    /// `None` once it was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    shell: Child,
}

impl Keeper {
    /// Makes the directory; nothing runs yet. `functions` are what orders name, and `end`, which ends the program.
    pub(crate) fn new(
        name: &str,
        functions: &str,
        prepare: impl FnOnce(&mut Command, &Path),
    ) -> Self {
        let dir =
            std::env::temp_dir().join(format!("tidings-{name}-{:08x}", rand::random::<u32>()));
        fs::create_dir(&dir).unwrap();
        let script =
            format!("trap '' INT HUP TERM PIPE\nlog=\"$DIR/log\" pid=\n{functions}\n{ORDERS}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir("/").env("DIR", &dir);
        prepare(&mut shell, &dir);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A Ctrl-C at the terminal is not for it.
        shell.process_group(0);
        let mut shell = shell.spawn().unwrap();
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        Self { dir, orders, answers, shell }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it was carried out.
    pub(crate) fn order(&mut self, line: &str) -> bool {
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer == "ok\n"
    }

    /// The end of what the program said.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders.take();
        let _ = self.shell.wait();
    }
}
