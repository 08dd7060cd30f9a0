//! `tidings backup`: a copy that is taken under load is whole, and a server starts on it.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use serde_json::Value;

use crate::support::{Api, Tidings, claims, eventually, fresh, sign};

async fn key(path: &Path) -> String {
    let key = Tidings::run(path, &["keys", "create", "--name", "backup", "--quiet"]).await;
    Tidings::printed(&key)
}

/// Everything in alice's inbox, the newest first.
async fn inbox(alice: &Api) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/notifications?limit=100{cursor}");
        let page = alice.get(&path).await.json(200);
        let list = page["notifications"].as_array().expect("a list");
        ids.extend(list.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        match &page["pagination"]["nextCursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return ids,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_before_it_began_is_in_the_copy() {
    let (dir, path) = fresh();
    let key = key(&path).await;
    let server = Tidings::serve(&path).await;
    let accepted = Arc::<Mutex<Vec<String>>>::default();
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (api, accepted, stop) =
                (server.api(Some(key.clone())), Arc::clone(&accepted), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(SeqCst) {
                    let id = api.notify("alice", "x").await;
                    accepted.lock().expect("no panic").push(id);
                }
            })
        })
        .collect();
    eventually(|| async { accepted.lock().expect("no panic").len() >= 200 }).await;
    let before = accepted.lock().expect("no panic").clone();
    let copy = dir.path().join("copy.db");
    let output = Tidings::run(&path, &["backup", copy.to_str().expect("a path")]).await;
    assert!(Tidings::printed(&output).contains("complete"));
    stop.store(true, SeqCst);
    for sender in senders {
        sender.await.expect("it sent");
    }
    drop(server);

    let restored = dir.path().join("restored");
    std::fs::create_dir(&restored).expect("a directory");
    std::fs::rename(&copy, restored.join("tidings.db")).expect("moved");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a directory").collect();
    assert!(left.iter().flatten().all(|file| !file.path().ends_with(".part")), "{left:?}");
    let server = Tidings::serve(&restored).await;
    let alice = server.api(Some(sign(&claims("alice"))));
    let inside = inbox(&alice).await;
    let ids: BTreeSet<_> = inside.iter().collect();
    assert_eq!(ids.len(), inside.len(), "each once");
    assert!(before.iter().all(|id| ids.contains(id)));
    let all: BTreeSet<_> = accepted.lock().expect("no panic").iter().cloned().collect();
    assert!(inside.iter().all(|id| all.contains(id)), "nothing that was not accepted");
    let count = alice.get("/notifications/unread-count").await.json(200);
    assert_eq!(count["unread"], inside.len());
    // And it goes on.
    server.api(Some(key)).notify("alice", "after").await;
    assert_eq!(inbox(&alice).await.len(), inside.len() + 1);
}

#[tokio::test]
async fn a_file_is_replaced_only_by_force() {
    let (dir, path) = fresh();
    let copy = dir.path().join("copy.db");
    let file = copy.to_str().expect("a path");
    let none = Tidings::complained(&Tidings::run(&path, &["backup", file]).await);
    assert!(none.contains("there is no database"), "{none}");
    key(&path).await;
    std::fs::write(&copy, "something of somebody's").expect("written");
    let refused = Tidings::complained(&Tidings::run(&path, &["backup", file]).await);
    assert!(refused.contains("exists already"), "{refused}");
    assert_eq!(std::fs::read(&copy).expect("there"), b"something of somebody's");
    Tidings::printed(&Tidings::run(&path, &["backup", "--force", file]).await);
    assert!(std::fs::read(&copy).expect("there").starts_with(b"SQLite format 3\0"));
    let nowhere = dir.path().join("nowhere/copy.db");
    let nowhere = Tidings::run(&path, &["backup", nowhere.to_str().expect("a path")]).await;
    Tidings::complained(&nowhere);
}
