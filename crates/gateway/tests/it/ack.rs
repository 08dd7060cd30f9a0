//! Acknowledgements both ways.

use std::time::Duration;

use tidings_gateway::AckError;

use crate::support::{Call, Server, Ws, within};

#[tokio::test]
async fn clients_get_their_acknowledgements() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("42456[\"message-with-ack\",1,\"2\",{\"3\":[false]}]").await;
    assert_eq!(ws.text().await, "43456[1,\"2\",{\"3\":[false]}]");
    ws.send("452-789[\"message-with-ack\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]").await;
    ws.send_binary(&[1]).await;
    ws.send_binary(&[2]).await;
    assert_eq!(
        ws.text().await,
        "462-789[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]"
    );
    assert_eq!((ws.binary().await, ws.binary().await), (vec![1], vec![2]));
    let mut ws = Ws::open(&server).await;
    ws.join_namespace("40/custom").await;
    ws.send("42/custom,7[\"message-with-ack\"]").await;
    assert_eq!(ws.text().await, "43/custom,7[]");
}

#[tokio::test]
async fn the_server_asks_even_from_inside_a_handler() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    server.recorder.drain().await;
    ws.send("42[\"ask\"]").await;
    assert_eq!(ws.text().await, "420[\"question\",1]");
    ws.send("430[\"answer\",{\"a\":1}]").await;
    assert_eq!(server.call().await, Call::Event("ask".into(), String::new()));
    assert_eq!(server.call().await, Call::Done("\"answer\",{\"a\":1}".into()));
}

#[tokio::test]
async fn an_acknowledgement_that_does_not_come_times_out_and_a_late_one_is_ignored() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    server.recorder.drain().await;
    ws.send("42[\"ask-briefly\"]").await;
    assert_eq!(ws.text().await, "420[\"question\",1]");
    server.call().await;
    assert_eq!(server.call().await, Call::Done("no acknowledgement in time".into()));
    ws.send("430[\"late\"]").await;
    ws.send("4399[\"never asked\"]").await;
    ws.send("42[\"message\",1]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",1]");
}

#[tokio::test]
async fn a_connection_that_ends_fails_what_waits_for_it() {
    let server = Server::start();
    let (ws, id) = Ws::connect(&server).await;
    let socket = server.gateway.socket("/", &id).expect("connected");
    let asking = {
        let socket = socket.clone();
        tokio::spawn(async move {
            socket.emit_with_ack("question", &[], Duration::from_secs(60)).await.map(|_| ())
        })
    };
    ws.close().await;
    assert_eq!(within(asking).await.expect("no panic"), Err(AckError::Closed));
    assert_eq!(
        socket.emit_with_ack("question", &[], Duration::from_secs(60)).await.map(|_| ()),
        Err(AckError::Closed)
    );
}
