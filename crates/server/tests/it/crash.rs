//! `kill -9` between acceptance and delivery: what was answered is there, once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tidings_testkit::postgres::Postgres;
use tokio::{process::Command, sync::watch};

use crate::support::{
    Answer, Api, Client, Tidings, claims, cycles, eventually, fresh, sign, within,
};

/// Between two kills.
const NOTIFICATIONS: usize = 180;
const SENDERS: usize = 16;

/// Where the server is now; it changes with every start.
type Address = watch::Receiver<Option<std::net::SocketAddr>>;

/// Sends one until it is answered, always with the same key. Gives the id.
async fn send(api: &mut Api, address: &mut Address, n: usize) -> String {
    let body = json!({ "to": "alice", "type": "like", "message": format!("n{n}") });
    loop {
        let now = address.wait_for(Option::is_some).await.expect("a server").expect("some");
        api.origin = format!("http://{now}");
        let request = api.request("POST", "/notifications").json(&body);
        let sent = request.header("idempotency-key", format!("n{n}")).send().await;
        // A connection that broke tells nothing: it may be stored or not.
        let Ok(response) = sent else {
            tokio::task::yield_now().await;
            continue;
        };
        let status = response.status().as_u16();
        let Ok(answer) = response.json::<Value>().await else { continue };
        match status {
            201 => return answer["id"].as_str().expect("an id").to_owned(),
            409 | 503 => {}
            other => panic!("{other}: {answer}"),
        }
    }
}

/// A client that follows by rev through every restart; gives the message of each id, once, in
/// the order of their seqs.
async fn follow(mut address: Address, all: usize) -> Vec<(u64, String)> {
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    let mut rev = 0;
    while known.len() < all {
        let now = address.wait_for(Option::is_some).await.expect("a server").expect("some");
        let auth = json!({ "token": sign(&claims("alice")), "since": rev });
        let Some(mut client) = Client::connect_if_there(now, auth).await else { continue };
        while let Some((name, body)) = client.event_if_any().await {
            let told: Vec<&Value> = match name.as_str() {
                "notification" => vec![&body],
                "notifications:pending" => {
                    assert_eq!(body["reset"], false);
                    body["notifications"].as_array().expect("a list").iter().collect()
                }
                _ => continue,
            };
            for one in told {
                let id = one["id"].as_str().expect("an id").to_owned();
                let before = known.insert(one["seq"].as_u64().expect("a number"), id);
                assert_eq!(before, None, "told twice: {one}");
                rev = rev.max(one["rev"].as_u64().expect("a number"));
            }
            if known.len() == all {
                break;
            }
        }
    }
    known.into_iter().collect()
}

/// The binary on a database file in its directory, or else on this database.
fn tidings(path: &Path, url: Option<&str>, args: &[&str]) -> Command {
    let mut command = Tidings::command_on_sqlite(path);
    command.envs(url.map(|url| ("TIDINGS_DATABASE_URL", url))).args(args);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_repeats_nothing() {
    kill_9(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_repeats_nothing_on_postgres() {
    let database = Postgres::shared().database();
    kill_9(Some(&database.url())).await;
}

async fn kill_9(url: Option<&str>) {
    let (_dir, path) = fresh();
    let new_key = ["keys", "create", "--name", "crash", "--quiet"];
    let key = within(tidings(&path, url, &new_key).output()).await.expect("it runs");
    let key = Tidings::printed(&key);
    let serve = async || Tidings::spawn(tidings(&path, url, &["serve", "--port", "0"])).await;
    let kills = cycles();
    let all = NOTIFICATIONS * (kills + 1);
    let (now, address) = watch::channel(None);
    let following = tokio::spawn(follow(address.clone(), all));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let api = Api { http, origin: String::new(), prefix: "/api/v1", token: Some(key) };
    let accepted = Arc::<Mutex<Vec<String>>>::default();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (mut api, mut address) = (api.clone(), address.clone());
            let accepted = Arc::clone(&accepted);
            tokio::spawn(async move {
                for n in (sender..all).step_by(SENDERS) {
                    let id = send(&mut api, &mut address, n).await;
                    accepted.lock().expect("no panic").push(id);
                }
            })
        })
        .collect();
    for kill in 1..=kills {
        let server = serve().await;
        now.send_replace(Some(server.address));
        let enough = kill * NOTIFICATIONS;
        eventually(|| async { accepted.lock().expect("no panic").len() >= enough }).await;
        now.send_replace(None);
        server.kill().await;
    }
    let server = serve().await;
    now.send_replace(Some(server.address));
    for sender in senders {
        within(sender).await.expect("all are sent");
    }
    let followed = within(following).await.expect("all are told");
    let accepted = accepted.lock().expect("no panic").clone();
    let distinct: BTreeSet<&String> = accepted.iter().collect();
    assert_eq!(distinct.len(), all);
    let told: BTreeSet<&String> = followed.iter().map(|(_, id)| id).collect();
    assert_eq!(told, distinct, "the client");
    let seqs: Vec<u64> = followed.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=all as u64).collect::<Vec<_>>());
    let stored = stored(&server).await;
    assert_eq!(stored.iter().collect::<BTreeSet<_>>(), distinct, "the store");
    assert_eq!(stored.len(), all);
    server.terminate();
    assert_eq!(server.ended().await.0, Some(0));
    check_database(&path, url.is_none());
}

async fn stored(server: &Tidings) -> Vec<String> {
    let alice = server.api(Some(sign(&claims("alice"))));
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = alice.request("GET", &format!("/notifications?limit=100{cursor}"));
        let list = Answer::of(request).await.json(200);
        let page = list["notifications"].as_array().expect("a list").iter();
        ids.extend(page.map(|one| one["id"].as_str().expect("an id").to_owned()));
        match list["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

/// Nothing is left behind by those that were killed but what the last one needs.
fn check_database(path: &Path, is_file: bool) {
    let names: BTreeSet<String> = std::fs::read_dir(path)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.contains("tidings.db"), is_file, "{names:?}");
    assert!(!names.contains("admin.sock"), "{names:?}");
}
