//! A SQLite file that is damaged: nobody is told that something was kept which was not, and a backup mends it.

use std::path::Path;

use serde_json::json;

use crate::support::{Answer, Tidings, claims, fresh, sign, within};

async fn run(path: &Path, args: &[&str]) -> std::process::Output {
    within(Tidings::command_on_sqlite(path).args(args).output()).await.expect("it runs")
}

async fn serve(path: &Path) -> Tidings {
    let mut command = Tidings::command_on_sqlite(path);
    command.args(["serve", "--port", "0"]);
    Tidings::spawn(command).await
}

/// Ends the server and leaves one whole file behind.
async fn stop(server: Tidings) -> Vec<String> {
    server.terminate();
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log:?}");
    log
}

/// Writes over the first page of this table's rows.
fn damage(database: &Path, table: &str) {
    let (page, size): (usize, usize) = {
        let conn = rusqlite::Connection::open(database).expect("a database");
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: i64 = conn.query_row(root, [table], |row| row.get(0)).expect("a table");
        let size: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0)).expect("a size");
        (usize::try_from(page).unwrap(), usize::try_from(size).unwrap())
    };
    let mut bytes = std::fs::read(database).expect("readable");
    let from = (page - 1) * size;
    bytes[from..from + size].fill(0xa5);
    std::fs::write(database, bytes).expect("written");
}

#[tokio::test]
async fn a_damaged_page_is_an_error_and_never_an_empty_inbox() {
    let (dir, path) = fresh();
    let key = run(&path, &["keys", "create", "--name", "damage", "--quiet"]).await;
    let key = Tidings::printed(&key);
    let server = serve(&path).await;
    let id = server.api(Some(key.clone())).notify("alice", "kept").await;
    stop(server).await;
    let (copy, database) = (dir.path().join("copy.db"), path.join("tidings.db"));
    let copy_to = copy.to_str().expect("a path");
    Tidings::printed(&run(&path, &["backup", copy_to]).await);
    damage(&database, "inbox_items");

    let server = serve(&path).await;
    let alice = server.api(Some(sign(&claims("alice"))));
    alice.get("/notifications").await.problem(500, "INTERNAL");
    let body = json!({ "to": "alice", "type": "like", "message": "x" });
    let request = server.api(Some(key.clone())).request("POST", "/notifications").json(&body);
    Answer::of(request).await.problem(500, "INTERNAL");
    let log = stop(server).await;
    assert!(log.iter().any(|line| line.contains("malformed")), "{log:?}");
    // Nor does a backup of it take the place of a good one.
    let refused = Tidings::complained(&run(&path, &["backup", "--force", copy_to]).await);
    assert!(refused.contains("damaged") || refused.contains("malformed"), "{refused}");

    for name in ["tidings.db-wal", "tidings.db-shm"] {
        let _ = std::fs::remove_file(path.join(name));
    }
    std::fs::rename(&copy, &database).expect("restored");
    let server = serve(&path).await;
    let alice = server.api(Some(sign(&claims("alice"))));
    let list = alice.get("/notifications").await.json(200);
    assert_eq!(list["notifications"][0]["id"], json!(id));
    let next = server.api(Some(key)).notify("alice", "goes on").await;
    let list = alice.get("/notifications").await.json(200);
    assert_eq!(list["notifications"][0]["id"], json!(next));
    stop(server).await;
}

#[tokio::test]
async fn what_cannot_be_read_at_the_start_is_refused_and_left_alone() {
    let (_dir, path) = fresh();
    Tidings::printed(&run(&path, &["migrate", "up"]).await);
    let database = path.join("tidings.db");
    for table in ["sqlite_schema", "schema_migrations"] {
        let sound = std::fs::read(&database).expect("readable");
        match table {
            // It has no row of its own.
            "sqlite_schema" => {
                let mut bytes = sound.clone();
                bytes[16..512].fill(0xa5);
                std::fs::write(&database, bytes).expect("written");
            }
            table => damage(&database, table),
        }
        let damaged = std::fs::read(&database).expect("readable");
        let refused = Tidings::complained(&run(&path, &["serve", "--port", "0"]).await);
        assert!(refused.contains("malformed") || refused.contains("not a database"), "{refused}");
        assert_eq!(std::fs::read(&database).expect("readable"), damaged, "left as it was");
        std::fs::write(&database, sound).expect("written");
    }
    stop(serve(&path).await).await;
}
