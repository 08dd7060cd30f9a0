//! From start to end, with the real binary: SIGTERM, two processes on one directory, `--dev`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Client, Packet, Tidings, claims, eventually, fresh, sign, store, within};

async fn connect(server: &Tidings, user: &str) -> Client {
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": sign(&claims(user)) })).await;
    client.wait("notifications:pending").await;
    client
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_says_so_and_sends_everybody_away() {
    let (_dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.args(["serve", "--port", "0"]);
    command.env("TIDINGS_LIFECYCLE__UNREADY", "5s").env("TIDINGS_LIFECYCLE__DRAIN", "300ms");
    let server = Tidings::spawn(command).await;
    let mut clients = Vec::new();
    for n in 0..5 {
        clients.push(connect(&server, &format!("u{n}")).await);
    }
    let api = server.api(None);
    let ready = |expected: u16| {
        let api = &api;
        async move { api.get("/health/ready").await.status == expected }
    };
    assert!(ready(200).await);
    server.terminate();
    // First it says that it is not ready, and serves on.
    eventually(|| ready(503)).await;
    let answer = api.get("/health/ready").await;
    let body = json!({
        "status": "not ready", "draining": true, "store": "up", "redis": { "status": "not configured" }
    });
    assert_eq!(answer.json(503), body);
    let mut late = connect(&server, "late").await;
    // Then it tells its clients, closes them, and refuses new ones.
    for client in clients.iter_mut().chain([&mut late]) {
        let shutdown = client.wait("server:shutdown").await;
        let after = shutdown["reconnectAfterMs"].as_u64().unwrap();
        assert!(after <= 300, "{after}");
        assert_eq!(client.packet().await, Packet::Closed, "no DISCONNECT: it is to come back");
    }
    let address = server.address;
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log:?}");
    assert!(log.iter().any(|line| line.contains("server.stopped")));
    tokio::net::TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn while_it_drains_new_clients_are_refused() {
    let (_dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.args(["serve", "--port", "0"]).env("TIDINGS_LIFECYCLE__DRAIN", "20s");
    let server = Tidings::spawn(command).await;
    // Closed one after another over the whole time: the second is still there meanwhile.
    let mut clients = [connect(&server, "a").await, connect(&server, "b").await];
    server.terminate();
    for client in &mut clients {
        client.wait("server:shutdown").await;
    }
    // The listener closes in the same moment that the clients are told.
    eventually(|| async { tokio::net::TcpStream::connect(server.address).await.is_err() }).await;
    // Asked twice: at once.
    server.terminate();
    let (code, _) = server.ended().await;
    assert_eq!(code, Some(130));
}

#[tokio::test]
async fn a_second_process_on_one_directory_is_refused_with_the_pid_of_the_first() {
    let (_dir, path) = fresh();
    let server = Tidings::serve(&path).await;
    let second = Tidings::run(&path, &["serve", "--port", "0"]).await;
    let complaint = Tidings::complained(&second);
    assert!(complaint.contains(&format!("in use by process {}", server.pid())), "{complaint}");
    // The first one did not notice.
    assert_eq!(server.api(None).get("/health/live").await.status, 200);
    if !store::on_postgres() {
        let down = Tidings::run(&path, &["migrate", "down"]).await;
        assert!(Tidings::complained(&down).contains("in use by process"));
    }
    // What a killed process leaves behind locks nobody out.
    server.kill().await;
    let again = Tidings::serve(&path).await;
    again.terminate();
    assert_eq!(again.ended().await.0, Some(0));
}

#[tokio::test]
async fn dev_listens_on_this_machine_only() {
    let (_dir, path) = fresh();
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let args = ["serve", "--dev", "--host", host, "--port", "0"];
        let complaint = Tidings::complained(&Tidings::run(&path, &args).await);
        assert!(complaint.contains("--dev listens on loopback addresses only"), "{complaint}");
    }
    assert!(!path.exists(), "refused before anything was made");
}

#[tokio::test]
async fn dev_makes_a_secret_and_a_key_per_directory_and_keeps_them() {
    let (_dir, path) = fresh();
    let dev = || {
        let mut command = Tidings::command_on_sqlite(&path);
        command.env_remove("TIDINGS_JWT_SECRET").args(["serve", "--dev", "--port", "0"]);
        command
    };
    let server = Tidings::spawn(dev()).await;
    let mut api = server.api(None);
    api.prefix = "";
    let session = api.get("/playground/session").await.json(200);
    let users: Vec<&Value> = session["users"].as_array().unwrap().iter().collect();
    assert_eq!((&users[0]["id"], &users[1]["id"]), (&json!("alice"), &json!("bob")));
    let key = session["apiKey"].as_str().unwrap();
    server.api(Some(key.to_owned())).notify("alice", "hello").await;
    let token = users[0]["token"].as_str().unwrap();
    let alice = server.api(Some(token.to_owned()));
    assert_eq!(alice.get("/notifications/unread-count").await.json(200)["unread"], 1);
    let page = api.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    server.terminate();
    assert_eq!(server.ended().await.0, Some(0));
    let secret = fs::read_to_string(path.join("dev-secret")).unwrap();
    assert_eq!(secret.trim().len(), 64);
    let server = Tidings::spawn(dev()).await;
    let alice = server.api(Some(token.to_owned()));
    assert_eq!(alice.get("/notifications/unread-count").await.json(200)["unread"], 1);
    assert_eq!(server.api(Some(key.to_owned())).get("/announcements/x").await.status, 404);
}

#[tokio::test]
async fn what_was_tried_out_does_not_go_live() {
    let serve = |path: &Path, dev: bool| {
        let mut command = Tidings::command_on_sqlite(path);
        command.args(["serve", "--port", "0"]).args(dev.then_some("--dev"));
        command
    };
    let refused = async |path: &Path, dev: bool| {
        Tidings::complained(&within(serve(path, dev).output()).await.expect("it runs"))
    };
    let (_dir, path) = fresh();
    Tidings::spawn(serve(&path, true)).await.kill().await;
    let complaint = refused(&path, false).await;
    assert!(complaint.contains("was made with --dev"), "{complaint}");
    let (_dir, path) = fresh();
    Tidings::spawn(serve(&path, false)).await.kill().await;
    let complaint = refused(&path, true).await;
    assert!(complaint.contains("was not made with --dev"), "{complaint}");
}

#[tokio::test]
async fn the_data_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, path) = fresh();
    let _server = Tidings::serve(&path).await;
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("admin.sock"), 0o600);
}

#[tokio::test]
async fn a_ready_file_tells_address_and_pid() {
    let (dir, path) = fresh();
    let file = dir.path().join("ready.json");
    let mut command = Tidings::command(&path);
    command.args(["serve", "--port", "0", "--ready-file"]).arg(&file);
    let server = Tidings::spawn(command).await;
    eventually(|| async { file.exists() }).await;
    let ready: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(ready, json!({ "address": server.address.to_string(), "pid": server.pid() }));
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_to_be() {
    let (_dir, path) = fresh();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let port = port.to_string();
    let complaint = Tidings::complained(&Tidings::run(&path, &["serve", "--port", &port]).await);
    assert!(complaint.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{complaint}");
}
