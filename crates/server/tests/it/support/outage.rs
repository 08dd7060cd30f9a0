use std::{path::Path, time::Duration};

use rusqlite::Connection;
use serde_json::json;
use tidings_server::config::Config;

use super::{Api, TestServer, eventually};

/// Another process has the database: what is to be written there waits, and is given up.
pub struct Outage(Connection);

impl Outage {
    /// From here on nothing is written.
    pub fn begin(database: &Path) -> Self {
        let conn = Connection::open(database).expect("a database");
        conn.busy_timeout(super::PATIENCE).expect("set");
        conn.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        Self(conn)
    }

    /// It is back, and this was done to it.
    pub fn end_with(self, sql: &str) {
        self.0.execute_batch(sql).expect("done");
        self.0.execute_batch("COMMIT").expect("committed");
    }

    pub fn end(self) {
        self.0.execute_batch("ROLLBACK").expect("rolled back");
    }
}

/// Leaves the database alone after one failure, and looks for it often. It is a file, of which an [`Outage`] can be made.
pub fn impatient(config: &mut Config) {
    config.database_url = None;
    config.spool.interval = Duration::from_millis(10);
    config.breaker.failures = 1;
    config.breaker.pause = Duration::from_millis(100);
}

impl TestServer {
    pub async fn impatient() -> Self {
        Self::with(impatient).await
    }

    /// The database is away and the server has found out.
    pub async fn away(&self) -> Outage {
        let outage = Outage::begin(&self.database_file());
        find_out(&self.api()).await;
        outage
    }

    /// Nothing waits any more.
    pub async fn replayed(&self) {
        let spool = self.state.spool.as_ref().expect("a spool");
        eventually(|| async { spool.is_empty() }).await;
    }
}

/// Sends something. The store waits 5 s for the lock; what comes after that is spooled at once.
pub async fn find_out(api: &Api) {
    let body = json!({ "to": "nobody", "type": "like", "message": "is it there?" });
    let sent = api.post("/notifications", &body).await.json(202);
    assert_eq!(sent["stored"], "spooled");
}
