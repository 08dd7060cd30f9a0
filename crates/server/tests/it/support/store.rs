//! On which store the tests run: SQLite, or with `TIDINGS_TEST_STORE=postgres` PostgreSQL, where
//! each test that makes no other choice has a database of its own.

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tidings_server::{config::DatabaseUrl, store::migrations};
use tidings_testkit::postgres::{Database, Postgres};

pub fn on_postgres() -> bool {
    match env::var("TIDINGS_TEST_STORE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("TIDINGS_TEST_STORE={other}: there are sqlite and postgres"),
    }
}

/// A database with the newest schema, dropped with the last handle.
pub async fn postgres() -> Arc<Database<'static>> {
    let migrate = |url: String| async move {
        let config = tidings_server::config::Config {
            database_url: Some(DatabaseUrl::from(url)),
            ..Default::default()
        };
        migrations::up(&config.place().expect("a place")).await.expect("migrated");
    };
    Arc::new(Postgres::shared().database_prepared(migrate).await)
}

/// The database that goes with a data directory, until the tests end.
pub fn url_for(data_dir: &Path) -> Option<String> {
    static DATABASES: Mutex<Option<HashMap<PathBuf, Database<'static>>>> = Mutex::new(None);
    if !on_postgres() {
        return None;
    }
    let mut databases = DATABASES.lock().expect("no panic");
    let databases = databases.get_or_insert_default();
    let make = || Postgres::shared().database();
    Some(databases.entry(data_dir.to_owned()).or_insert_with(make).url())
}

/// A session of somebody else's on a database; it ends when this is dropped.
pub async fn sql_session(url: &str) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}
