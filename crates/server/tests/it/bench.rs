//! `tidings bench` against this server, and against one that makes mistakes on purpose.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tidings_core::room::Rule;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::broadcast,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::support::{TestServer, Tidings, eventually, fresh, within};

/// A server whose rooms `task:…` are open to its users.
async fn server() -> TestServer {
    TestServer::with(|config| {
        let mut kind =
            tidings_core::room::RoomCatalog::new(std::collections::BTreeMap::new(), true)
                .get("task")
                .expect("built in")
                .clone();
        (kind.rule, kind.clients_may_send) = (Rule::Everyone, true);
        config.rooms.insert("task".to_owned(), kind);
        config.limits.client_messages = 10_000;
    })
    .await
}

fn bench(address: SocketAddr, args: &[&str]) -> (tempfile::TempDir, Command) {
    let (dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.arg("bench").args(args).args(["--url", &format!("http://{address}"), "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    (dir, command)
}

/// Runs it to a good end; gives its report.
async fn report(address: SocketAddr, key: &str, args: &[&str]) -> Value {
    let (_dir, mut command) = bench(address, args);
    let output = within(command.env("TIDINGS_API_KEY", key).output()).await.expect("it runs");
    serde_json::from_str(&Tidings::printed(&output)).expect("JSON")
}

/// Runs it to a bad end; gives what it said.
async fn problem(address: SocketAddr, args: &[&str]) -> String {
    let (_dir, mut command) = bench(address, args);
    let output = within(command.output()).await.expect("it runs");
    Tidings::complained(&output)
}

/// Sent, expected, received, lost, doubled, reordered.
fn books(kind: &Value) -> [u64; 6] {
    ["sent", "expected", "received", "lost", "doubled", "reordered"]
        .map(|field| kind[field].as_u64().unwrap_or_else(|| panic!("no {field}: {kind}")))
}

#[tokio::test]
async fn a_broadcast_reaches_every_client_and_is_accounted_for() {
    let server = server().await;
    let args = ["broadcast", "-n", "20", "--rate", "20", "--duration", "500ms"];
    let report = report(server.address, &server.key, &args).await;
    assert_eq!(report["connections"]["connected"], 20, "{report}");
    assert_eq!(books(&report["broadcast"]), [10, 200, 200, 0, 0, 0]);
    assert_eq!(report["posts"]["answered"], 10);
    assert_eq!((&report["astray"], &report["interrupted"]), (&0.into(), &false.into()));
    assert!(report["broadcast"]["latencyMs"]["p50"].as_f64().unwrap() > 0.0);
    assert_eq!(report["ended"].as_array().unwrap().len(), 0, "{report}");
}

#[tokio::test]
async fn clients_may_be_the_ones_who_send() {
    let server = server().await;
    let args = [
        "broadcast",
        "-n",
        "8",
        "--send",
        "emit",
        "--senders",
        "2",
        "--rate",
        "20",
        "--duration",
        "500ms",
        "--threads",
        "2",
    ];
    let report = report(server.address, "", &args).await;
    assert_eq!(report["connections"]["connected"], 10, "{report}");
    assert_eq!(books(&report["broadcast"]), [10, 80, 80, 0, 0, 0]);
}

#[tokio::test]
async fn a_closed_loop_keeps_messages_on_their_way() {
    let server = server().await;
    let args = ["broadcast", "-n", "10", "--in-flight", "4", "--duration", "300ms"];
    let report = report(server.address, &server.key, &args).await;
    let [sent, expected, received, rest @ ..] = books(&report["broadcast"]);
    assert!(sent >= 4, "{report}");
    assert_eq!((expected, received, rest), (sent * 10, sent * 10, [0; 3]));
}

#[tokio::test]
async fn unicasts_reach_the_one_they_are_for_while_clients_come_and_go() {
    let server = server().await;
    let args =
        ["unicast", "-n", "10", "--rate", "100", "--duration", "500ms", "--wait-for", "connected"];
    let unicast = report(server.address, &server.key, &args).await;
    assert_eq!(books(&unicast["unicast"]), [50, 50, 50, 0, 0, 0]);
    assert_eq!(unicast["astray"], 0);
    let args = [
        "mix",
        "-n",
        "10",
        "--broadcast-rate",
        "10",
        "--unicast-rate",
        "50",
        "--churn-rate",
        "20",
        "--duration",
        "500ms",
    ];
    let mix = report(server.address, &server.key, &args).await;
    assert_eq!(books(&mix["broadcast"]), [5, 50, 50, 0, 0, 0]);
    assert_eq!(books(&mix["unicast"]), [25, 25, 25, 0, 0, 0]);
    assert_eq!((&mix["churn"]["wanted"], &mix["churn"]["connected"]), (&10.into(), &10.into()));
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let server = server().await;
    let address = server.address;
    let nobody: SocketAddr = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let short = ["connect", "-n", "3", "--duration", "0s"];
    let with = |more: &[&'static str]| [&short[..], more].concat();
    assert!(problem(nobody, &short).await.contains("nobody listens"));
    let text = problem(address, &with(&["--token", "nonsense"])).await;
    assert!(text.contains("CONNECT was refused") && text.contains("AUTH_FAILED"), "{text}");
    let text = problem(address, &with(&["--path", "/nowhere/"])).await;
    assert!(text.contains("404") && text.contains("--path"), "{text}");
    let text = problem(address, &with(&["--join", "room:join=user:another"])).await;
    assert!(text.contains("join was refused") && text.contains("FORBIDDEN"), "{text}");
    let text = problem(address, &["connect", "-n", "2000000000"]).await;
    assert!(text.contains("--connections"), "{text}");
    let text = problem(address, &with(&["--token-file", "/nowhere"])).await;
    assert!(text.contains("--token-file"), "{text}");
    let args = ["broadcast", "-n", "3", "--rate", "20", "--duration", "200ms", "--grace", "5s"];
    let text = problem(address, &args).await;
    assert!(text.contains("no message was taken") && text.contains("401"), "{text}");
    let text = problem(address, &[&args[..], &["--body", "{}"]].concat()).await;
    assert!(text.contains("{mark}"), "{text}");
}

#[tokio::test]
async fn an_interrupt_prints_what_was_measured_until_then() {
    let server = server().await;
    let args = ["broadcast", "-n", "5", "--rate", "20", "--duration", "1h"];
    let (_dir, mut command) = bench(server.address, &args);
    let child = command.env("TIDINGS_API_KEY", &server.key).spawn().expect("it starts");
    // Nothing is sent before all are in.
    eventually(|| async { server.metric("http_requests_total", "/events").await > 0 }).await;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is ours");
    let output = within(child.wait_with_output()).await.expect("it ends");
    let report: Value = serde_json::from_str(&Tidings::printed(&output)).expect("JSON");
    assert_eq!(
        (&report["interrupted"], &report["connections"]["connected"]),
        (&true.into(), &5.into())
    );
}

/// What a careless server does to every fifth message.
#[derive(Clone, Copy)]
enum Mistake {
    None,
    Lose,
    Double,
    /// It comes after the next one.
    Swap,
}

/// A server that speaks just enough Socket.IO, and passes on what is posted.
async fn careless(mistake: Mistake) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (say, _) = broadcast::channel::<Arc<str>>(1_000);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let say = say.clone();
            tokio::spawn(async move {
                let mut start = [0; 4];
                let _ = stream.peek(&mut start).await;
                match &start {
                    b"POST" => posted(stream, say).await,
                    _ => listen(stream, say.subscribe(), mistake).await,
                }
            });
        }
    });
    address
}

/// Reads posts of a connection and says what they say.
async fn posted(mut stream: TcpStream, say: broadcast::Sender<Arc<str>>) -> Option<()> {
    let mut received = Vec::new();
    loop {
        while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let body = end + 4..end + 4 + length.unwrap_or(0);
            let Some(text) = received.get(body.clone()) else { break };
            let event = format!("42[\"said\",{}]", String::from_utf8_lossy(text));
            received.drain(..body.end);
            let _ = say.send(event.into());
            let answer =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
        stream.read_buf(&mut received).await.ok().filter(|count| *count > 0)?;
    }
}

/// One client.
async fn listen(
    stream: TcpStream,
    mut said: broadcast::Receiver<Arc<str>>,
    mistake: Mistake,
) -> Option<()> {
    let mut socket = accept_async(stream).await.ok()?;
    let open =
        r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":9}"#;
    socket.send(Message::text(open)).await.ok()?;
    socket.next().await?.ok()?;
    socket.send(Message::text(r#"40{"sid":"y"}"#)).await.ok()?;
    let mut held = None;
    for turn in 0.. {
        let Ok(event) = said.recv().await else { break };
        let event = Message::text(event.to_string());
        let mut now = vec![event.clone()];
        if turn % 5 == 3 {
            match mistake {
                Mistake::None => {}
                Mistake::Lose => now.clear(),
                Mistake::Double => now.push(event),
                Mistake::Swap => held = now.pop(),
            }
        } else {
            now.extend(held.take());
        }
        for event in now {
            socket.send(event).await.ok()?;
        }
    }
    Some(())
}

#[tokio::test]
async fn it_finds_what_a_careless_server_loses_doubles_and_reorders() {
    let outcomes = [
        (Mistake::None, [60, 0, 0, 0]),
        (Mistake::Lose, [48, 12, 0, 0]),
        (Mistake::Double, [60, 0, 12, 0]),
        (Mistake::Swap, [60, 0, 0, 12]),
    ];
    for (mistake, expected) in outcomes {
        let address = careless(mistake).await;
        let args = [
            "broadcast",
            "-n",
            "3",
            "--rate",
            "100",
            "--duration",
            "200ms",
            "--grace",
            "5s",
            "--post",
            "/say",
            "--body",
            r#"{"text":"hello {mark}"}"#,
            "--http-connections",
            "1",
        ];
        let report = report(address, "", &args).await;
        let [sent, of, rest @ ..] = books(&report["broadcast"]);
        assert_eq!((sent, of, rest), (20, 60, expected), "{report}");
    }
}
