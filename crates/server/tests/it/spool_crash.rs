//! The spool of the real binary: `kill -9` while it is written and while it is carried out, and a disk that is full.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    process::Stdio,
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Answer, Outage, Tidings, claims, eventually, find_out, fresh, sign, within};

const USERS: usize = 20;

/// The server, quick to find out about the database.
fn command(path: &Path) -> Command {
    let mut command = Tidings::command(path);
    impatience(&mut command);
    command.args(["serve", "--port", "0"]);
    command
}

fn impatience(command: &mut Command) {
    command
        .env("TIDINGS_SPOOL__INTERVAL", "10ms")
        .env("TIDINGS_BREAKER__FAILURES", "1")
        .env("TIDINGS_BREAKER__PAUSE", "100ms")
        .env("TIDINGS_DATABASE__LOCK_TIMEOUT", "1s");
}

async fn new_key(path: &Path) -> String {
    let mut command = Tidings::command(path);
    command.args(["keys", "create", "--name", "spool", "--quiet"]);
    Tidings::printed(&within(command.output()).await.expect("it runs"))
}

/// Sends one after the other to many users, and gives what was accepted for whom.
async fn send(server: &Tidings, key: &str, count: usize) -> BTreeMap<String, Vec<String>> {
    let api = server.api(Some(key.to_owned()));
    let mut accepted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for n in 0..count {
        let user = format!("u{}", n % USERS);
        let body = json!({ "to": user, "type": "like", "message": format!("n{n}") });
        let sent = api.post("/notifications", &body).await.json(202);
        let id = sent["id"].as_str().expect("an id").to_owned();
        accepted.entry(user).or_default().push(id);
    }
    accepted
}

async fn waiting(server: &Tidings) -> Option<u64> {
    let request = reqwest::Client::new().get(format!("http://{}/health", server.address));
    let health: Value = request.send().await.ok()?.json().await.ok()?;
    health["spool"]["records"].as_u64()
}

async fn inbox(server: &Tidings, user: &str) -> Vec<String> {
    let api = server.api(Some(sign(&claims(user))));
    let list = Answer::of(api.request("GET", "/notifications?limit=100")).await.json(200);
    let list = list["notifications"].as_array().expect("a list").iter().rev();
    list.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn kill_9_at_any_time_loses_and_repeats_nothing() {
    const COUNT: usize = 400;
    let (_dir, path) = fresh();
    let key = new_key(&path).await;
    let server = Tidings::spawn(command(&path)).await;
    let outage = Outage::of(&path).await;
    find_out(&server.api(Some(key.clone()))).await;
    let accepted = send(&server, &key, COUNT).await;
    server.kill().await;
    outage.end().await;
    // Killed while it is carried out, again and again.
    for left in [300, 200, 100, 30] {
        let server = Tidings::spawn(command(&path)).await;
        within(async { while waiting(&server).await.is_some_and(|now| now > left) {} }).await;
        server.kill().await;
    }
    let server = Tidings::spawn(command(&path)).await;
    eventually(|| async { waiting(&server).await == Some(0) }).await;
    for (user, ids) in &accepted {
        assert_eq!(&inbox(&server, user).await, ids, "{user}: each once, in order");
    }
    let counted = server.api(Some(sign(&claims("u0")))).get("/notifications/unread-count").await;
    assert_eq!(counted.json(200)["unread"], json!(COUNT / USERS));
    server.terminate();
    assert_eq!(server.ended().await.0, Some(0));
    let left: Vec<_> = std::fs::read_dir(path.join("spool")).unwrap().collect();
    assert!(left.iter().all(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.extension() != Some("seg".as_ref())
    }));
}

/// What was answered before the end is there after it, whatever stands behind it on the disk.
#[tokio::test]
async fn a_torn_last_record_costs_nothing_that_was_answered() {
    let (_dir, path) = fresh();
    let key = new_key(&path).await;
    let server = Tidings::spawn(command(&path)).await;
    let outage = Outage::of(&path).await;
    find_out(&server.api(Some(key.clone()))).await;
    let accepted = send(&server, &key, 40).await;
    server.kill().await;
    outage.end().await;
    let mut segments: Vec<_> = std::fs::read_dir(path.join("spool"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("seg".as_ref()))
        .collect();
    segments.sort();
    // The beginning of one more, as a crash in the middle of a write leaves it.
    let last = segments.last().expect("a segment");
    let bytes = std::fs::read(last).unwrap();
    std::fs::write(last, [&bytes[..], &bytes[8..60]].concat()).unwrap();
    let server = Tidings::spawn(command(&path)).await;
    eventually(|| async { waiting(&server).await == Some(0) }).await;
    for (user, ids) in &accepted {
        assert_eq!(&inbox(&server, user).await, ids, "{user}");
    }
    server.terminate();
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| line.contains("spool.torn")), "{log:?}");
}

/// Whether this machine lets us have a disk of our own.
async fn may_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

/// The spool lies on a disk of 2 MB. Where a process may not mount one, there is nothing to see.
#[tokio::test]
async fn on_a_full_disk_nothing_is_accepted_that_is_not_kept() {
    if !may_mount().await {
        // Not `eprintln`, which nobody reads of a test that passes.
        let said = "NOT TESTED: a full disk, for this user may not mount one (unshare -rm mount)\n";
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    }
    let (dir, path) = fresh();
    std::fs::create_dir(&path).unwrap();
    let script = "mount -t tmpfs -o size=2m tmpfs \"$TIDINGS_DATA_DIR\" && \
        KEY=$(\"$0\" keys create --name disk --quiet) && echo \"key $KEY\" >&2 && \
        exec \"$0\" serve --port 0";
    let mut command = Command::new("unshare");
    command.env_remove("TIDINGS_TEST_STORE");
    let tidings = Tidings::command_on_sqlite(&path);
    for (name, value) in tidings.as_std().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    // The database is on another disk.
    let file = dir.path().join("tidings.db");
    command.env("TIDINGS_DATABASE_URL", format!("sqlite:{}", file.display()));
    impatience(&mut command);
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_tidings")]).kill_on_drop(true);
    let server = Tidings::spawn(command).await;
    let key = server.logged("key ").await;
    let api = server.api(Some(key.trim_start_matches("key ").to_owned()));
    let outage = Outage::on_sqlite(&file);
    find_out(&api).await;
    let body = json!({ "to": "alice", "type": "like", "message": "x".repeat(1_500) });
    let (mut accepted, mut refused) = (BTreeSet::new(), 0);
    while refused < 5 {
        let answer = api.post("/notifications", &body).await;
        if answer.status == 202 {
            accepted.insert(answer.json(202)["id"].to_string());
        } else {
            answer.problem(503, "SPOOL_FULL");
            assert_eq!(answer.header("retry-after"), "5");
            refused += 1;
        }
    }
    assert!(accepted.len() > 100);
    let pid = server.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid, "-m", "-U", "--preserve-credentials"]);
    command.args(["mount", "-o", "remount,size=64m"]).arg(&path);
    assert!(command.status().await.expect("nsenter").success(), "there is room again");
    accepted.insert(api.post("/notifications", &body).await.json(202)["id"].to_string());
    outage.end().await;
    eventually(|| async { waiting(&server).await == Some(0) }).await;
    assert_all_once(&server, &accepted).await;
}

/// Alice's inbox holds these and no others, each once.
async fn assert_all_once(server: &Tidings, accepted: &BTreeSet<String>) {
    let alice = server.api(Some(sign(&claims("alice"))));
    let (mut stored, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = alice.get(&format!("/notifications?limit=100{cursor}")).await.json(200);
        stored
            .extend(list["notifications"].as_array().unwrap().iter().map(|n| n["id"].to_string()));
        match list["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(&stored.iter().cloned().collect::<BTreeSet<_>>(), accepted);
    assert_eq!(stored.len(), accepted.len(), "each once");
    let unread = alice.get("/notifications/unread-count").await.json(200);
    assert_eq!(unread["unread"], json!(accepted.len()));
}

/// No file may grow beyond a bound: a write ends in the middle of a record, as on a disk that fills up. Anybody may
/// be bound so, also where nothing may be mounted.
#[tokio::test]
async fn a_write_that_ends_in_the_middle_is_not_accepted_and_harms_nothing() {
    let (_dir, path) = fresh();
    let key = new_key(&path).await;
    let mut command = Command::new("sh");
    command.env_remove("TIDINGS_TEST_STORE");
    let tidings = Tidings::command(&path);
    for (name, value) in tidings.as_std().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    impatience(&mut command);
    let script = "trap '' XFSZ && ulimit -f 2048 && exec \"$0\" serve --port 0";
    command.args(["-c", script, env!("CARGO_BIN_EXE_tidings")]).kill_on_drop(true);
    let server = Tidings::spawn(command).await;
    let api = server.api(Some(key));
    let outage = Outage::of(&path).await;
    find_out(&api).await;
    let data = json!({ "x": "x".repeat(9_000) });
    let body = json!({ "to": "alice", "type": "like", "message": "x", "data": data });
    let (mut accepted, mut refused) = (BTreeSet::new(), 0);
    while refused < 3 {
        let answer = api.post("/notifications", &body).await;
        if answer.status == 202 {
            accepted.insert(answer.json(202)["id"].to_string());
        } else {
            answer.problem(503, "SPOOL_FULL");
            refused += 1;
        }
    }
    assert!(accepted.len() > 100);
    server.kill().await;
    outage.end().await;
    let server = Tidings::spawn(self::command(&path)).await;
    eventually(|| async { waiting(&server).await == Some(0) }).await;
    assert_all_once(&server, &accepted).await;
    server.terminate();
    let (_, log) = server.ended().await;
    let problem = |line: &&String| line.contains("spool.torn") || line.contains("spool.damaged");
    assert_eq!(log.iter().find(problem), None, "what was refused was cut off at once");
}
