//! `pg_dump` while the server is at work, and a server on what `pg_restore` makes of it.

use tidings_core::ids::UserId;
use tidings_testkit::postgres::Postgres;
use tokio::task::block_in_place;

use crate::support::{
    TestServer,
    load::{Load, assert_kept, under_load, whole_inbox},
};

async fn server_on(url: String) -> TestServer {
    TestServer::with(|config| {
        under_load(config);
        config.database_url = Some(url.into());
    })
    .await
}

async fn ids(server: &TestServer, user: &str) -> Vec<String> {
    let inbox = whole_inbox(server, user).await;
    inbox.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_before_it_began_is_in_the_dump() {
    let postgres = Postgres::shared();
    let (database, restored) = (postgres.database(), postgres.database());
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tidings.dump");
    let server = server_on(database.url()).await;
    let before = server.api().notify("alice", "before").await;
    let load = Load::begin(&server);
    load.goes_on(200).await;
    let sent = ids(&server, "u0").await;
    block_in_place(|| postgres.dump(database.name(), &file));
    load.goes_on(50).await;
    let ledgers = assert_kept(&server, load).await;
    server.stop().await;

    block_in_place(|| postgres.restore(restored.name(), &file));
    let server = server_on(restored.url()).await;
    assert_eq!(ids(&server, "alice").await, [before.as_str()]);
    for (n, ledger) in ledgers.iter().enumerate() {
        let user = format!("u{n}");
        let inside = ids(&server, &user).await;
        assert!(ledger.ids.starts_with(&inside), "{user}: from the beginning, in order, each once");
        if n == 0 {
            assert!(inside.len() >= sent.len(), "everything from before is in it");
        }
        let id = UserId::new(&user).expect("an id");
        let state = server.state.store.state(&id).await.expect("the state");
        let unread = whole_inbox(&server, &user).await;
        let unread = unread.iter().filter(|one| one["read"] == false).count();
        assert_eq!(state.unread, unread as u64, "{user}");
    }
    // And it goes on: numbers that were given are not given again.
    let after = server.api().notify("alice", "after").await;
    let new = server.api().notify("somebody-new", "first").await;
    assert_eq!(ids(&server, "alice").await, [before, after]);
    assert_eq!(ids(&server, "somebody-new").await, [new]);
    // A client that had been told more starts over.
    let ahead = ledgers[0].ids.len() + ledgers[0].read + 1_000;
    let sync = format!("/notifications/sync?since={ahead}");
    let sync = server.user("u0").get(&sync).await.json(200);
    assert_eq!(sync["reset"], true, "{sync}");
}
