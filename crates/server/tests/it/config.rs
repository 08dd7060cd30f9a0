//! Where settings come from, and what is said about bad ones.

use std::fs;

use crate::support::{Tidings, fresh};

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let (dir, path) = fresh();
    let file = dir.path().join("tidings.toml");
    fs::write(&file, "port = 1111\n[limits]\nconnections = 11\nconnections_per_user = 3\n")
        .unwrap();
    let show = async |environment: &[(&str, &str)], args: &[&str]| {
        let mut command = Tidings::command(&path);
        command.envs(environment.iter().copied()).args(["config", "show"]).args(args);
        Tidings::printed(&command.output().await.unwrap())
    };
    let config = dir.path().join("other.toml");
    fs::write(&config, "port = 2222\n").unwrap();
    let config = config.to_str().unwrap();
    // The file beside which it starts is taken by itself.
    let shown = show(&[], &[]).await;
    assert!(shown.contains("port = 1111") && shown.contains("connections = 11"), "{shown}");
    let shown = show(&[("TIDINGS_CONFIG", config)], &[]).await;
    assert!(shown.contains("port = 2222") && shown.contains("connections = 10000"), "{shown}");
    let shown = show(&[("TIDINGS_PORT", "3333"), ("TIDINGS_LIMITS__CONNECTIONS", "33")], &[]).await;
    assert!(shown.contains("port = 3333") && shown.contains("connections = 33"), "{shown}");
    assert!(shown.contains("connections_per_user = 3"), "{shown}");
    let elsewhere = [("TIDINGS_DATA_DIR", "/from/environment")];
    let shown = show(&elsewhere, &["--config", config, "--data-dir", "/from/flag"]).await;
    assert!(shown.contains("/from/flag") && shown.contains("port = 2222"), "{shown}");
    let shown = show(&elsewhere, &[]).await;
    assert!(shown.contains("/from/environment"), "{shown}");
}

#[tokio::test]
async fn the_names_of_other_servers_work_where_nothing_else_is_said() {
    let (dir, path) = fresh();
    let mut command = Tidings::command_on_sqlite(&path);
    command.env_remove("TIDINGS_JWT_SECRET").args(["config", "show"]);
    command.envs([
        ("WEBSOCKET_PORT", "4444"),
        ("MAX_CONNECTIONS", "44"),
        ("HEARTBEAT_INTERVAL", "15000"),
        ("CORS_ORIGIN", "https://a.example, https://b.example"),
        ("DATABASE_PATH", "/srv/x.db"),
        ("JWT_SECRET", "an old secret of at least 32 bytes"),
    ]);
    let shown = Tidings::printed(&command.output().await.unwrap());
    for line in [
        "port = 4444",
        "connections = 44",
        "ping_interval = \"15s\"",
        "https://b.example",
        "database_url = \"sqlite:/srv/x.db\"",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("an old secret"), "secrets are not shown");
    fs::write(dir.path().join("tidings.toml"), "port = 5555").unwrap();
    let shown = Tidings::printed(&command.output().await.unwrap());
    assert!(shown.contains("port = 5555"), "{shown}");
}

#[tokio::test]
async fn a_good_configuration_is_said_to_be_good() {
    let (_dir, path) = fresh();
    let output = Tidings::run(&path, &["config", "check"]).await;
    assert_eq!(Tidings::printed(&output), "The configuration is valid.");
    assert!(!path.exists(), "looking makes nothing");
}

#[tokio::test]
async fn retention_is_written_in_days_and_replicas_are_shown_without_passwords() {
    let (dir, path) = fresh();
    let text = r#"
        [retention]
        notifications = "30d"
        [types.invoice]
        retention = "520w"
        [database]
        replicas = ["postgres://t:s3cret@standby1/news", "postgres://t:s3cret@standby2/news"]
    "#;
    fs::write(dir.path().join("tidings.toml"), text).unwrap();
    let check = Tidings::run(&path, &["config", "check"]).await;
    assert_eq!(Tidings::printed(&check), "The configuration is valid.");
    let shown = Tidings::printed(&Tidings::run(&path, &["config", "show"]).await);
    for part in ["notifications = \"720h\"", "retention = \"87360h\"", "t@standby2:5432/news"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("s3cret"), "{shown}");
    // What is shown can be read again.
    fs::write(dir.path().join("tidings.toml"), &shown).unwrap();
    let check = Tidings::run(&path, &["config", "check"]).await;
    assert_eq!(Tidings::printed(&check), "The configuration is valid.");
}

#[tokio::test]
async fn what_is_wrong_is_named_all_at_once() {
    let (dir, path) = fresh();
    let text = r#"
        redis_url = "redis+ring://x"
        database_url = "postgres://x:s3cret@:y"
        [http]
        origins = ["*", "app.example", "https://app.example/path"]
        trusted_proxies = ["10.0.0.0/33"]
        [auth]
        jwt_secret = "short"
        jwks_url = "http://id.example/jwks"
        [[auth.keys]]
        algorithm = "none"
        [gateway]
        path = "socket.io"
        [limits]
        saturation = 1.5
        [database]
        replicas = ["sqlite:x"]
        [types.fire]
        retention = "1s"
    "#;
    fs::write(dir.path().join("tidings.toml"), text).unwrap();
    for args in [&["config", "check"][..], &["serve", "--port", "0"]] {
        let mut command = Tidings::command_on_sqlite(&path);
        let output = command.env_remove("TIDINGS_JWT_SECRET").args(args).output().await.unwrap();
        let complaint = Tidings::complained(&output);
        for part in [
            "redis_url (TIDINGS_REDIS_URL)",
            "database_url (TIDINGS_DATABASE_URL)",
            "http.origins",
            "http.trusted_proxies: 10.0.0.0/33",
            "auth.jwt_secret (TIDINGS_JWT_SECRET): must have at least 32 bytes",
            "auth.jwks_url: must be an https address",
            "auth.keys: algorithm \"none\" is not one of",
            "gateway.path",
            "limits.saturation",
            "database.replicas: must be postgres://",
            "types.fire.retention: must be between 1m and 100 years",
        ] {
            assert!(complaint.contains(part), "{part}: {complaint}");
        }
        assert!(!complaint.contains("short\""), "the secret itself is not shown");
    }
    assert!(!path.exists());
}

#[tokio::test]
async fn unknown_and_mistyped_settings_are_named() {
    let (dir, path) = fresh();
    let file = dir.path().join("tidings.toml");
    for (text, part) in [
        ("prot = 1", "prot"),
        ("[limits]\nconnection = 1", "connection"),
        ("port = \"x\"", "port"),
        ("port = 70000", "port"),
        ("[gateway]\nping_interval = \"soon\"", "gateway.ping_interval"),
        ("host = \"nowhere\"", "host"),
        ("port = ", "not valid TOML"),
    ] {
        fs::write(&file, text).unwrap();
        let complaint = Tidings::complained(&Tidings::run(&path, &["config", "check"]).await);
        assert!(complaint.contains(part), "{text}: {complaint}");
    }
    fs::remove_file(&file).unwrap();
    let missing = Tidings::run(&path, &["config", "check", "--config", "/nowhere.toml"]).await;
    assert!(Tidings::complained(&missing).contains("cannot read /nowhere.toml"));
    let mut command = Tidings::command(&path);
    command.args(["config", "check"]).env("TIDINGS_LIMITS__IDEL", "5m");
    assert!(Tidings::complained(&command.output().await.unwrap()).contains("idel"));
}

#[tokio::test]
async fn a_production_start_without_any_key_is_refused() {
    let (_dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.env_remove("TIDINGS_JWT_SECRET").args(["serve", "--port", "0"]);
    let complaint = Tidings::complained(&command.output().await.unwrap());
    assert!(complaint.contains("no key to check tokens with"), "{complaint}");
}
