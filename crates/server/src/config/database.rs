//! Which database, and how PostgreSQL is used.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize, Serializer};
use tidings_store_postgres::Address;

use super::{Config, duration};

/// `sqlite:PATH` or `postgres://…`; shown without what is secret in it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The path in `sqlite:PATH` or `sqlite://PATH`.
    fn sqlite_path(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("sqlite:")?;
        Some(rest.strip_prefix("//").unwrap_or(rest))
    }

    fn place(&self) -> Result<Place, String> {
        if let Some(path) = self.sqlite_path() {
            return Ok(Place::Sqlite(path.into()));
        }
        self.address().map(|address| Place::Postgres(Box::new(address)))
    }

    fn address(&self) -> Result<Address, String> {
        self.0.parse().map_err(|bad: tidings_store_postgres::BadAddress| bad.to_string())
    }
}

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Ok(Place::Sqlite(_)) => f.write_str(&self.0),
            Ok(Place::Postgres(address)) => write!(f, "postgres://{address}"),
            // Where the secret would be is not known either.
            Err(_) => f.write_str("(not valid)"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Sqlite(PathBuf),
    Postgres(Box<Address>),
}

/// How PostgreSQL is used; SQLite takes nothing of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Whether `serve` applies missing migrations; else it refuses to start without them.
    pub migrate: bool,
    /// Most reads at the same time, each on a connection.
    pub readers: usize,
    /// Transactions that write inboxes at the same time, each on a connection.
    pub lanes: usize,
    /// Most other writes at the same time, each on a connection.
    pub writers: usize,
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    #[serde(with = "duration")]
    pub lock_timeout: Duration,
    /// For a new connection.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long a request waits for a connection when all are in use.
    #[serde(with = "duration")]
    pub acquire_timeout: Duration,
    /// Whether retention drops whole months: cheap, but some rows stay for up to a month longer.
    pub whole_months: bool,
    /// Whether this node carries out what applications publish from their own transactions.
    pub outbox: bool,
    /// Between two looks for that.
    #[serde(with = "duration")]
    pub outbox_pause: Duration,
    /// Whether it listens for them too, so that the pause may be long.
    pub outbox_notify: bool,
    /// Copies of the database that lists and history may be read from.
    pub replicas: Vec<DatabaseUrl>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            migrate: true,
            readers: 8,
            lanes: 3,
            writers: 2,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            whole_months: true,
            outbox: true,
            outbox_pause: Duration::from_millis(50),
            outbox_notify: false,
            replicas: Vec::new(),
        }
    }
}

impl Config {
    /// Where the store is: a file in the data directory, unless told otherwise.
    pub fn place(&self) -> Result<Place, String> {
        match &self.database_url {
            None => Ok(Place::Sqlite(self.data_dir.join("tidings.db"))),
            Some(url) => url.place(),
        }
    }

    /// The replicas whose addresses are valid.
    pub fn replicas(&self) -> Vec<Address> {
        self.database.replicas.iter().filter_map(|url| url.address().ok()).collect()
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let database = &config.database;
    if let Err(problem) = config.place() {
        let what = "database_url (TIDINGS_DATABASE_URL): must be sqlite:PATH or";
        need(false, &format!("{what} postgres://USER:PASSWORD@HOST/DATABASE: {problem}"));
    }
    for url in &database.replicas {
        if let Err(problem) = url.address() {
            need(false, &format!("database.replicas: must be postgres://… each: {problem}"));
        }
    }
    need(
        database.replicas.len() <= 16,
        "database.replicas: at most 16; put a load balancer before more",
    );
    let is_postgres = matches!(config.place(), Ok(Place::Postgres(_)));
    need(
        !(config.dev && is_postgres),
        "database_url: --dev makes users and a key of its own and stores them in a SQLite file; leave database_url out",
    );
    for (name, size, most) in [
        ("readers", database.readers, 500),
        ("lanes", database.lanes, 32),
        ("writers", database.writers, 100),
    ] {
        let fine = (1..=most).contains(&size);
        need(fine, &format!("database.{name}: must be between 1 and {most}"));
    }
    let second = Duration::from_secs(1);
    for (name, time, least) in [
        ("statement_timeout", database.statement_timeout, second),
        ("lock_timeout", database.lock_timeout, second),
        ("connect_timeout", database.connect_timeout, Duration::from_millis(100)),
        ("acquire_timeout", database.acquire_timeout, Duration::from_millis(100)),
        ("outbox_pause", database.outbox_pause, Duration::from_millis(5)),
    ] {
        let fine = (least..=600 * second).contains(&time);
        need(fine, &format!("database.{name}: must be between {least:?} and 10m"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for url in [
            "postgres://t:s3cret@db/news",
            "postgres://db/news?user=t&password=s3cret",
            "postgres://t:s3cret@db:nowhere/news",
            "mysql://t:s3cret@db/news",
        ] {
            let url = DatabaseUrl::from(url.to_owned());
            assert!(!format!("{url} {url:?}").contains("s3cret"), "{url}");
        }
        let url = DatabaseUrl::from("sqlite:/srv/x.db".to_owned());
        assert_eq!(url.to_string(), "sqlite:/srv/x.db");
    }
}
