//! The listener and what is beside the gateway.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Poller, Server, Ws, within};

#[tokio::test]
async fn other_requests_go_to_the_fallback_with_the_peers_address() {
    let server = Server::start();
    let response =
        within(reqwest::get(format!("http://{}/api", server.address))).await.expect("answered");
    assert_eq!(within(response.text()).await.expect("text"), "fallback /api true");
}

#[tokio::test]
async fn a_stop_finishes_what_was_asked_and_accepts_nothing_new() {
    let mut server = Server::start();
    let poller = Poller::connect(&server).await;
    let mut idle = TcpStream::connect(server.address).await.expect("connected");
    let mut posting = TcpStream::connect(server.address).await.expect("connected");
    let path = poller.url.split_once("/socket.io").expect("a path").1;
    let head = format!(
        "POST /socket.io{path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n"
    );
    posting.write_all(head.as_bytes()).await.expect("sent");
    let mut go_on = [0; 25];
    within(posting.read_exact(&mut go_on)).await.expect("the body is asked for");

    server.signal_stop();
    // The idle connection is closed, which shows that the stop has been heard.
    assert_eq!(within(idle.read(&mut [0; 1])).await.expect("closed"), 0);
    assert!(TcpStream::connect(server.address).await.is_err());
    posting.write_all(b"3").await.expect("sent");
    let mut answer = String::new();
    within(posting.read_to_string(&mut answer)).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    within(&mut server.served).await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_all_established() {
    let server = Server::start();
    let mut joining = Vec::new();
    for _ in 0..1000 {
        let address = server.address;
        joining.push(tokio::spawn(async move {
            let mut ws =
                Ws::try_open(address, "EIO=4&transport=websocket").await.expect("a WebSocket");
            assert!(ws.text().await.starts_with('0'));
            ws.join_namespace("40").await;
            ws
        }));
    }
    let mut clients = Vec::new();
    for client in joining {
        clients.push(within(client).await.expect("no panic"));
    }
    assert_eq!(server.gateway.socket_count("/"), 1000);
    drop(clients);
    crate::support::eventually(|| server.gateway.connections() == 0).await;
}
