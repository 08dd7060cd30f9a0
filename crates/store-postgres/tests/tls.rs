//! TLS to a real server, with each way to check its certificate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use tempfile::TempDir;
use tidings_store_postgres::{Address, Options, PostgresStore, migrations};
use tidings_testkit::{
    Authority, Issued, RecordingSink,
    postgres::{Database, Postgres, Settings},
};

fn server_with(issued: Issued) -> Postgres {
    let certificate = Some((issued.certificate, issued.key));
    Postgres::start(&Settings { certificate, ..Settings::default() })
}

/// The URL of a database over TCP, with these parameters.
fn address(database: &Database<'_>, parameters: &str) -> Address {
    format!("{}?{parameters}", database.tcp_url()).parse().unwrap()
}

async fn is_refused(database: &Database<'_>, parameters: &str) {
    let refused = migrations::status(&address(database, parameters)).await;
    let error = refused.expect_err(parameters).to_string();
    assert!(!error.contains("only-for-tests"), "{error}");
}

/// A file with the certificate of an authority.
fn roots(dir: &TempDir, authority: &Authority) -> String {
    let path = dir.path().join(format!("{}.pem", rand::random::<u32>()));
    std::fs::write(&path, authority.pem()).unwrap();
    format!("sslrootcert={}", path.display())
}

#[tokio::test]
async fn the_certificate_is_checked_as_far_as_the_address_says() {
    let dir = TempDir::new().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let (known, unknown) = (roots(&dir, &ours), roots(&dir, &other));
    let server = server_with(ours.issue(2200));
    let database = server.database();
    migrations::up(&address(&database, &format!("sslmode=verify-full&{known}"))).await.unwrap();
    for fine in ["require".into(), "prefer".into(), format!("verify-ca&{known}")] {
        migrations::status(&address(&database, &format!("sslmode={fine}"))).await.unwrap();
    }
    // Nobody's system knows our authority.
    for mode in ["verify-ca", "verify-full"] {
        is_refused(&database, &format!("sslmode={mode}&{unknown}")).await;
        is_refused(&database, &format!("sslmode={mode}")).await;
    }
    is_refused(&database, &format!("sslmode=require&{unknown}")).await;

    let address = address(&database, &format!("sslmode=verify-full&{known}"));
    let options = Options::new(address, RecordingSink::new());
    let store = PostgresStore::open(options).await.unwrap();
    let encrypted = "SELECT DISTINCT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
        WHERE application_name = 'tidings' AND backend_type = 'client backend'";
    assert_eq!(database.execute(encrypted), "t", "every connection of the pools");
    store.close().await;
}

#[tokio::test]
async fn a_certificate_for_somebody_else_is_only_good_for_its_authority() {
    let dir = TempDir::new().unwrap();
    let ours = Authority::new();
    let known = roots(&dir, &ours);
    let server = server_with(ours.issue_to(&["db.example"], 2200));
    let database = server.database();
    migrations::status(&address(&database, &format!("sslmode=verify-ca&{known}"))).await.unwrap();
    is_refused(&database, &format!("sslmode=verify-full&{known}")).await;
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_refused_where_it_is_checked() {
    let dir = TempDir::new().unwrap();
    let ours = Authority::new();
    let known = roots(&dir, &ours);
    let server = server_with(ours.issue(2020));
    let database = server.database();
    for mode in ["verify-ca", "verify-full"] {
        is_refused(&database, &format!("sslmode={mode}&{known}")).await;
    }
    migrations::status(&address(&database, "sslmode=require")).await.unwrap();
}

#[tokio::test]
async fn who_requires_tls_does_not_speak_in_the_clear() {
    let database = Postgres::shared().database();
    is_refused(&database, "sslmode=require").await;
    for fine in ["prefer", "disable"] {
        migrations::status(&address(&database, &format!("sslmode={fine}"))).await.unwrap();
    }
}
