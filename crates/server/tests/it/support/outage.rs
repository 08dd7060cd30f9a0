use std::{path::Path, time::Duration};

use rusqlite::Connection;
use serde_json::json;
use tidings_server::config::Config;

use super::{Api, TestServer, eventually, store};

/// Somebody else has the database: what is to be written there waits, and is given up.
pub enum Outage {
    Sqlite(Connection),
    Postgres(tokio_postgres::Client),
}

impl Outage {
    /// From here on nothing is written where the binary stores that has this data directory.
    pub async fn of(data_dir: &Path) -> Self {
        match store::url_for(data_dir) {
            Some(url) => Self::on_postgres(&url).await,
            None => Self::on_sqlite(&data_dir.join("tidings.db")),
        }
    }

    pub fn on_sqlite(database: &Path) -> Self {
        let conn = Connection::open(database).expect("a database");
        conn.busy_timeout(super::PATIENCE).expect("set");
        conn.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        Self::Sqlite(conn)
    }

    pub async fn on_postgres(url: &str) -> Self {
        let client = store::sql_session(url).await;
        // Whoever writes to an inbox signs in this table.
        let lock = "BEGIN; LOCK TABLE lanes IN EXCLUSIVE MODE";
        client.batch_execute(lock).await.expect("the lock");
        Self::Postgres(client)
    }

    pub async fn end(self) {
        match self {
            Self::Sqlite(conn) => conn.execute_batch("ROLLBACK").expect("rolled back"),
            Self::Postgres(client) => client.batch_execute("ROLLBACK").await.expect("rolled back"),
        }
    }
}

/// Leaves the database alone after one failure, and looks for it often.
pub fn impatient(config: &mut Config) {
    config.spool.interval = Duration::from_millis(10);
    config.breaker.failures = 1;
    config.breaker.pause = Duration::from_millis(100);
    config.database.lock_timeout = Duration::from_secs(1);
}

impl TestServer {
    pub async fn impatient() -> Self {
        Self::with(impatient).await
    }

    /// The database is away and the server has found out.
    pub async fn away(&self) -> Outage {
        let outage = self.outage().await;
        find_out(&self.api()).await;
        outage
    }

    /// The database is away.
    pub async fn outage(&self) -> Outage {
        match self.database_url() {
            Some(url) => Outage::on_postgres(&url).await,
            None => Outage::on_sqlite(&self.database_file()),
        }
    }

    /// The database takes no message any more in which the word is.
    pub async fn poison(&self, word: &str) {
        let Some(url) = self.database_url() else {
            let conn = Connection::open(self.database_file()).expect("a database");
            conn.busy_timeout(super::PATIENCE).expect("set");
            let sql = format!(
                "CREATE TRIGGER poison BEFORE INSERT ON messages WHEN instr(NEW.body, '{word}') > 0
                 BEGIN SELECT RAISE(ABORT, 'on purpose'); END"
            );
            return conn.execute_batch(&sql).expect("done");
        };
        let sql = format!(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'on purpose'; END $$;
             CREATE TRIGGER poison BEFORE INSERT ON messages FOR EACH ROW
                 WHEN (NEW.body LIKE '%{word}%') EXECUTE FUNCTION poison()"
        );
        store::sql_session(&url).await.batch_execute(&sql).await.expect("done");
    }

    /// Nothing waits any more.
    pub async fn replayed(&self) {
        let spool = self.state.spool.as_ref().expect("a spool");
        eventually(|| async { spool.is_empty() }).await;
        // That shows only that writing goes again: reads have a breaker of their own, which one that is answered closes.
        eventually(|| async { self.user("nobody").get("/notifications").await.status == 200 })
            .await;
    }
}

/// Sends something. The store waits for the lock, then gives up; what comes after that is spooled at once.
pub async fn find_out(api: &Api) {
    let body = json!({ "to": "nobody", "type": "like", "message": "is it there?" });
    let sent = api.post("/notifications", &body).await.json(202);
    assert_eq!(sent["stored"], "spooled");
}
