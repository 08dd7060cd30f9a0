//! `tidings store copy`: a grown installation on SQLite moves to PostgreSQL, whatever comes in
//! between.

use std::path::{Path, PathBuf};

use rand::Rng as _;
use serde_json::{Value, json};
use tidings_core::{
    ids::{Rev, UserId},
    inbox::PageQuery,
    ports::{Accept, ApiKeys as _, Inboxes as _, Store, StoreError, Users as _},
    time::Timestamp,
    user::User,
};
use tidings_server::spool::{Bounds, Record, Spool};
use tidings_store_postgres::{Options, PostgresStore, migrations};
use tidings_store_sqlite::SqliteStore;
use tidings_testkit::{
    RecordingSink, message,
    postgres::{Database, Postgres},
};

use crate::support::{Api, TestServer, Tidings, eventually, fresh, within};

const USERS: usize = 12;

/// Something of everything, by way of the server; gives an API key.
async fn grow(data_dir: &Path) -> String {
    let data_dir = data_dir.to_owned();
    let server = TestServer::with(|config| {
        config.data_dir = data_dir;
        config.database_url = None;
    })
    .await;
    let api = server.api();
    for n in 0..USERS {
        let profile = json!({ "name": format!("User {n} \u{1f600}") });
        api.put(&format!("/users/u{n}"), &profile).await.json(200);
    }
    for n in 0..15 {
        send(&api, n).await;
    }
    for n in 0..USERS {
        change(&server, &format!("u{n}"), n).await;
    }
    let all = json!({ "to": { "all": true }, "type": "system", "message": "to all" });
    let sent = api.post("/notifications", &all).await.json(202);
    let status = sent["statusUrl"].as_str().unwrap().trim_start_matches("/api/v1").to_owned();
    eventually(|| async { api.get(&status).await.json(200)["state"] == "done" }).await;
    let mut later = all;
    let at = server.state.clock.now().as_millis() + 3_600_000;
    later["sendAt"] = Timestamp::from_millis(at).to_string().into();
    api.post("/notifications", &later).await.json(202);
    let members: Vec<_> = (0..USERS).map(|n| format!("u{n}")).collect();
    api.post("/rooms/post:1/members", &json!({ "users": members })).await.json(200);
    let mut room = later.clone();
    room["to"] = json!({ "room": "post:1" });
    api.post("/notifications", &room).await.json(202);
    assert_eq!(server.nobody().get("/notifications").await.status, 401);
    let key = server.key.clone();
    server.stop().await;
    key
}

async fn send(api: &Api, n: usize) {
    let to: Vec<_> = (0..USERS).map(|user| format!("u{user}")).collect();
    let mut body = json!({
        "to": { "users": to }, "type": if n.is_multiple_of(2) { "like" } else { "comment" },
        "message": format!("Nr. {n}: \u{e4}\u{20ac} \"\\\""),
        "entityType": "post", "entityId": format!("post-{n}"), "tenant": format!("t{}", n % 3),
    });
    if n.is_multiple_of(4) {
        body["dedupeKey"] = format!("key-{n}").into();
    }
    let request = api.request("POST", "/notifications").json(&body);
    let request = request.header("Idempotency-Key", format!("idem-{n}"));
    assert_eq!(request.send().await.unwrap().status(), 201);
}

async fn change(server: &TestServer, user: &str, n: usize) {
    let own = server.user(user);
    let list = own.get("/notifications?limit=50").await.json(200);
    let ids: Vec<_> = list["notifications"].as_array().unwrap().iter().collect();
    let path = |at: usize, change: &str| {
        format!("/notifications/{}/{change}", ids[(at + n) % ids.len()]["id"].as_str().unwrap())
    };
    own.patch(&path(0, "read")).await.json(200);
    own.patch(&path(1, "seen")).await.json(200);
    own.patch(&path(2, "archive")).await.json(200);
    own.patch(&path(3, "archive")).await.json(200);
    own.patch(&path(3, "unarchive")).await.json(200);
    let gone = path(4, "");
    own.delete(gone.trim_end_matches('/')).await;
    if n.is_multiple_of(3) {
        own.post("/notifications/read-all", &json!({ "upTo": 4 })).await.json(200);
    }
    let auth = json!({ "token": server.token(user), "device": format!("phone-{n}") });
    let mut device = server.connect_with(user, auth).await;
    device.wait("notifications:pending").await;
}

struct Copied {
    _dir: tempfile::TempDir,
    data_dir: PathBuf,
    database: Database<'static>,
    /// An API key of the installation.
    key: String,
}

impl Copied {
    /// A grown installation, and a migrated database that its rows may go to.
    async fn new() -> Self {
        let (dir, data_dir) = fresh();
        let key = grow(&data_dir).await;
        let database = Postgres::shared().database();
        migrations::up(&database.url().parse().unwrap()).await.unwrap();
        Self { _dir: dir, data_dir, database, key }
    }

    fn file(&self) -> PathBuf {
        self.data_dir.join("tidings.db")
    }

    fn command(&self, more: &[&str]) -> tokio::process::Command {
        let mut command = Tidings::command(&self.data_dir);
        command.env_remove("TIDINGS_DATABASE_URL");
        command.args(["store", "copy", "--from", &format!("sqlite:{}", self.file().display())]);
        command.args(["--to", &self.database.url(), "--batch", "5"]).args(more);
        command
    }

    async fn copy(&self, more: &[&str]) -> std::process::Output {
        within(self.command(more).output()).await.expect("it runs")
    }

    async fn refused(&self, more: &[&str], why: &str) {
        let said = Tidings::complained(&self.copy(more).await);
        assert!(said.contains(why), "{said}");
    }

    /// From now on batches can be made to hang; see [`Self::kill_at`].
    fn lay_snares(&self) {
        self.database.execute(
            "CREATE SEQUENCE batches; CREATE TABLE snare (at bigint); INSERT INTO snare VALUES (0);
            CREATE FUNCTION snare() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                IF nextval('public.batches') = (SELECT at FROM public.snare) THEN
                    PERFORM pg_sleep(600);
                END IF;
                RETURN NULL;
            END $$",
        );
        for table in tidings_core::copy::TABLES {
            let name = table.name;
            self.database.execute(&format!(
                "CREATE TRIGGER snare AFTER INSERT ON {name} EXECUTE FUNCTION public.snare()"
            ));
        }
    }

    /// `kill -9` in the middle of this batch.
    async fn kill_at(&self, batch: u32) {
        self.database
            .execute(&format!("UPDATE snare SET at = {batch}; ALTER SEQUENCE batches RESTART"));
        let mut command = self.command(&[]);
        let null = std::process::Stdio::null;
        let mut child = command.stdout(null()).stderr(null()).spawn().expect("it starts");
        let sleeping = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'PgSleep'";
        eventually(|| async { self.database.execute(sleeping) == "1" }).await;
        child.kill().await.expect("killed");
        // The server would only notice when the batch goes on.
        self.database.server().disconnect_all(self.database.name());
        self.database.execute("UPDATE snare SET at = 0");
    }

    async fn open(&self) -> Result<PostgresStore, StoreError> {
        let address = self.database.url().parse().unwrap();
        PostgresStore::open(Options::new(address, RecordingSink::new())).await
    }
}

async fn seen(store: &dyn Store, user: &UserId) -> Value {
    let mut pages = Vec::new();
    for (archived, unread_only) in [(false, false), (false, true), (true, false)] {
        for (kind, tenant) in [(None, None), (Some("like"), None), (None, Some("t1"))] {
            let query = PageQuery {
                user: user.clone(),
                limit: 7,
                before: None,
                page: Some(1),
                unread_only,
                archived,
                kind: kind.map(str::to_owned),
                tenant: tenant.map(str::to_owned),
            };
            let page = store.page(query).await.unwrap();
            pages.push(json!([page.notifications, page.has_more, page.total]));
        }
    }
    let mut syncs = Vec::new();
    for since in [0, 1, 9, 17, 18, 22, 1_000] {
        let sync = store.sync(user, Rev(since), 100).await.unwrap();
        syncs.push(serde_json::to_value(sync).unwrap());
    }
    let state = store.state(user).await.unwrap();
    let profile = store.user(user).await.unwrap().map(|user| format!("{user:?}"));
    json!({ "pages": pages, "syncs": syncs, "state": state, "profile": profile })
}

#[tokio::test]
async fn a_grown_installation_moves_however_often_it_is_killed() {
    let copied = Copied::new().await;
    let key = copied.key.clone();
    let counted = Tidings::printed(&copied.copy(&["--dry-run"]).await);
    assert!(counted.contains("The other database is empty."), "{counted}");
    copied.lay_snares();
    for _ in 0..4 {
        let batch = rand::rng().random_range(1..=12);
        copied.kill_at(batch).await;
        let refused = copied.open().await.err().expect("half a database").to_string();
        assert!(refused.contains("is not finished"), "{refused}");
    }
    let rest = Tidings::printed(&copied.copy(&["--dry-run"]).await);
    assert!(rest.contains("rows of them"), "{rest}");
    let done = Tidings::printed(&copied.copy(&[]).await);
    assert!(done.contains("counts and checksums of all tables agree"), "{done}");
    copied.refused(&[], "was finished at").await;
    copied.refused(&["--restart"], "was finished at").await;

    let sink = RecordingSink::new();
    let old = SqliteStore::open(tidings_store_sqlite::Options::new(copied.file(), sink)).unwrap();
    let new = copied.open().await.unwrap();
    for n in 0..=USERS {
        let user = UserId::new(format!("u{n}")).unwrap();
        assert_eq!(seen(&new, &user).await, seen(&old, &user).await, "{user}");
    }
    for key in old.api_keys().await.unwrap() {
        let found = new.api_key(&key.hash).await.unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", Some(key)));
    }
    go_on(&new).await;
    new.close().await;
    serve(&copied, &key).await;
}

/// Keys work, and devices go on from their cursors.
async fn serve(copied: &Copied, key: &str) {
    let url = copied.database.url();
    let server = TestServer::with(|config| config.database_url = Some(url.into())).await;
    let id = server.caller(Some(key.to_owned())).notify("u2", "after the move").await;
    let auth = json!({ "token": server.token("u2"), "device": "phone-2" });
    let mut device = server.connect_with("u2", auth).await;
    let pending = device.wait("notifications:pending").await.to_string();
    assert!(pending.contains(&id), "{pending}");
    let list = server.user("u2").get("/notifications?limit=1").await.json(200);
    assert_eq!(list["notifications"][0]["id"], id);
    server.stop().await;
}

/// What is stored now comes after what was.
async fn go_on(store: &PostgresStore) {
    let user = UserId::new("u1").unwrap();
    let before = store.state(&user).await.unwrap();
    let now = "2026-12-01T00:00:00.000Z".parse().unwrap();
    let one = message(now).to(&[user.clone(), UserId::new("new").unwrap()]).build();
    let accept = Accept { messages: vec![one], idempotency: None, now };
    store.accept(accept).await.unwrap();
    let after = store.state(&user).await.unwrap();
    assert_eq!((after.rev, after.unread), (Rev(before.rev.0 + 1), before.unread + 1));
    let stranger = UserId::new("stranger").unwrap();
    let user = User { id: stranger.clone(), name: None, avatar_url: None, created_at: now };
    store.put_user(user).await.unwrap();
    assert!(store.user(&stranger).await.unwrap().is_some());
}

#[tokio::test]
async fn a_copy_is_only_whole_if_it_is_what_was_copied() {
    let copied = Copied::new().await;
    copied.lay_snares();
    copied.kill_at(6).await;
    copied.database.execute("UPDATE users SET name = 'Mallory' WHERE number = 2");
    copied.refused(&[], "users: ").await;
    assert!(copied.open().await.is_err(), "it is not the whole");
    let done = Tidings::printed(&copied.copy(&["--restart"]).await);
    assert!(done.contains("agree"), "{done}");
    copied.open().await.unwrap().close().await;
}

/// As a server leaves it that accepted something while the database was away.
async fn spool_one(data_dir: &Path) {
    let bounds = Bounds { bytes: 1 << 20, records: 10 };
    let spool = Spool::open(data_dir.join("spool"), bounds).unwrap();
    let now = Timestamp::from_millis(1_767_225_600_000);
    let accept = Accept { messages: vec![message(now).build()], idempotency: None, now };
    let record = Record::new(accept, "key_1".into(), [127, 0, 0, 1].into());
    drop(spool.append(&record).await.unwrap());
}

#[tokio::test]
async fn what_must_not_be_copied_is_refused() {
    let copied = Copied::new().await;
    let server = {
        let mut command = Tidings::command(&copied.data_dir);
        command.env_remove("TIDINGS_DATABASE_URL").args(["serve", "--port", "0"]);
        Tidings::spawn(command).await
    };
    copied.refused(&[], &format!("in use by process {}", server.pid())).await;
    server.kill().await;
    spool_one(&copied.data_dir).await;
    copied.refused(&[], "1 accepted requests wait in ").await;
    std::fs::remove_dir_all(copied.data_dir.join("spool")).unwrap();
    copied.lay_snares();
    copied.kill_at(3).await;
    let made = ["keys", "create", "--name", "since", "--quiet"];
    let mut command = Tidings::command(&copied.data_dir);
    let output = command.env_remove("TIDINGS_DATABASE_URL").args(made).output().await.unwrap();
    Tidings::printed(&output);
    copied.refused(&[], "written to since").await;
    copied.database.execute("DROP TABLE store_copy, store_copy_tables");
    copied.refused(&[], "is not empty: there are rows in users").await;
}
