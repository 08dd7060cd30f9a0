//! The limit of open files: raised at the start as far as it may be, or too low for what is configured.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use crate::support::{Tidings, fresh, within};

/// `tidings serve` for 50 connections under a shell's limits.
fn limited(data_dir: &Path, soft: u32, hard: u32) -> Command {
    let tidings = Tidings::command(data_dir);
    let tidings = tidings.as_std();
    let mut command = Command::new("/bin/sh");
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    for (name, value) in tidings.get_envs() {
        command.env(name, value.expect("set"));
    }
    command.env("TIDINGS_LIMITS__CONNECTIONS", "50").current_dir(data_dir.parent().expect("it"));
    let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" serve --port 0");
    command.arg("-c").arg(limits).arg(tidings.get_program());
    command
}

#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let (_dir, path) = fresh();
    let server = Tidings::spawn(limited(&path, 100, 700)).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = files.split_whitespace().collect();
    assert_eq!(words[3..5], ["700", "700"], "{files}");
}

#[tokio::test]
async fn a_capacity_that_does_not_fit_is_refused_at_the_start() {
    let (_dir, path) = fresh();
    let output = within(limited(&path, 100, 561).output()).await.unwrap();
    let complaint = Tidings::complained(&output);
    assert!(complaint.contains("limits.connections is 50"), "{complaint}");
    assert!(complaint.contains("only 561 files"), "{complaint}");
    assert!(complaint.contains("ulimit -n"), "{complaint}");
}
