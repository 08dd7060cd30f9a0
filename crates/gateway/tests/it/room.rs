//! Rooms and broadcasts.

use tidings_gateway::{Frame, Tail, Target};

use crate::support::{Poller, Server, Ws, eventually};

async fn member(server: &Server, rooms: &[&str]) -> (Ws, String) {
    let (mut ws, id) = Ws::connect(server).await;
    for room in rooms {
        ws.send(&format!("42[\"join\",\"{room}\"]")).await;
        assert_eq!(ws.text().await, "42[\"joined\"]");
    }
    (ws, id)
}

#[tokio::test]
async fn a_broadcast_reaches_its_rooms_once_and_nobody_else() {
    let server = Server::start();
    let (mut a, a_id) = member(&server, &["red"]).await;
    let (mut b, b_id) = member(&server, &["red", "blue"]).await;
    let (mut c, c_id) = member(&server, &["blue"]).await;
    let (mut d, _) = member(&server, &[]).await;
    let emit = |rooms: &[&str], except: &[&str], n: u32| {
        let target = Target { rooms, except };
        server.gateway.to("/", target).emit(&Frame::event("n", &[&n.to_string()]))
    };
    assert_eq!(emit(&["red"], &[], 1), 2);
    assert_eq!(emit(&["red", "blue"], &[], 2), 3);
    assert_eq!(emit(&["red", "blue"], &["blue"], 3), 1);
    assert_eq!(emit(&[], &[], 4), 4);
    assert_eq!(emit(&[], &[&b_id, "nobody"], 5), 3);
    assert_eq!(emit(&[&c_id], &[], 6), 1);
    assert_eq!(emit(&[&a_id, "red"], &[], 7), 2);
    assert_eq!(emit(&["nowhere"], &[], 8), 0);
    assert_eq!(server.gateway.to("/unknown", Target::all()).emit(&Frame::event("n", &[])), 0);
    let expected: [(&mut Ws, &[u32]); 4] = [
        (&mut a, &[1, 2, 3, 4, 5, 7]),
        (&mut b, &[1, 2, 4, 7]),
        (&mut c, &[2, 4, 5, 6]),
        (&mut d, &[4, 5]),
    ];
    for (ws, numbers) in expected {
        for n in numbers {
            assert_eq!(ws.text().await, format!("42[\"n\",{n}]"));
        }
        ws.send("42[\"message\"]").await;
        assert_eq!(ws.text().await, "42[\"message-back\"]", "and nothing more");
    }
}

#[tokio::test]
async fn rooms_are_left_and_given_up() {
    let server = Server::start();
    let (mut ws, id) = member(&server, &["red", "blue"]).await;
    let (other, _) = member(&server, &["red"]).await;
    let socket = server.gateway.socket("/", &id).expect("connected");
    let mut rooms = socket.rooms();
    rooms.sort();
    assert_eq!(rooms, ["blue", "red"]);
    assert!(socket.is_in("red") && !socket.is_in("green"));
    assert_eq!((server.gateway.member_count("/", "red"), server.gateway.room_count("/")), (2, 2));
    ws.send("42[\"leave\",\"blue\"]").await;
    assert_eq!(ws.text().await, "42[\"left\"]");
    assert_eq!((server.gateway.member_count("/", "blue"), server.gateway.room_count("/")), (0, 1));
    other.close().await;
    eventually(|| server.gateway.member_count("/", "red") == 1).await;
    ws.close().await;
    eventually(|| server.gateway.room_count("/") == 0).await;
    socket.join("red");
    assert_eq!(server.gateway.room_count("/"), 0, "who has gone enters nothing");
}

#[tokio::test]
async fn large_broadcasts_arrive_in_order_among_other_frames() {
    let server = Server::start();
    let mut members = Vec::new();
    for _ in 0..100 {
        members.push(member(&server, &["all"]).await.0);
    }
    let poller = Poller::connect(&server).await;
    poller.post("42[\"join\",\"all\"]").await;
    let tail = Tail::new(r#""body":"shared"}"#);
    for n in 0..50 {
        let head = format!(r#"{{"n":{n},"#);
        let frame = Frame::event_with_head("note", &head, &tail);
        assert_eq!(server.gateway.to("/", Target::rooms(&["all"])).emit(&frame), 101);
        if n % 10 == 0 {
            for socket in server.gateway.members("/", "all") {
                socket.emit(&Frame::event("own", &[&n.to_string()])).expect("queued");
            }
        }
    }
    for ws in &mut members {
        for n in 0..50 {
            assert_eq!(ws.text().await, format!(r#"42["note",{{"n":{n},"body":"shared"}}]"#));
            if n % 10 == 0 {
                assert_eq!(ws.text().await, format!("42[\"own\",{n}]"));
            }
        }
    }
    let (_, polled) = poller.poll().await;
    let packets: Vec<&str> = polled.split('\x1e').collect();
    assert_eq!(packets.len(), 1 + 50 + 5, "all of it in one poll");
    assert_eq!(packets[1], r#"42["note",{"n":0,"body":"shared"}]"#);
    assert_eq!(packets[2], "42[\"own\",0]");
}

#[tokio::test]
async fn attachments_follow_their_frame_to_everyone() {
    let server = Server::start();
    let mut members = Vec::new();
    for _ in 0..40 {
        members.push(member(&server, &["all"]).await.0);
    }
    let poller = Poller::connect(&server).await;
    poller.post("42[\"join\",\"all\"]").await;
    poller.poll().await;
    let frame = Frame::event("file", &[r#"{"_placeholder":true,"num":0}"#])
        .with_attachments(&[vec![1, 2].into()]);
    server.gateway.to("/", Target::rooms(&["all"])).emit(&frame);
    server.gateway.to("/", Target::rooms(&["all"])).emit(&Frame::event("after", &[]));
    for ws in &mut members {
        assert_eq!(ws.text().await, r#"451-["file",{"_placeholder":true,"num":0}]"#);
        assert_eq!(ws.binary().await, [1, 2]);
        assert_eq!(ws.text().await, "42[\"after\"]");
    }
    let expected = "451-[\"file\",{\"_placeholder\":true,\"num\":0}]\x1ebAQI=\x1e42[\"after\"]";
    assert_eq!(poller.poll().await.1, expected);
}

#[tokio::test]
async fn a_namespace_has_its_own_rooms() {
    let server = Server::start();
    let mut ws = Ws::open(&server).await;
    ws.join_namespace("40").await;
    ws.join_namespace("40/custom").await;
    ws.send("42/custom,[\"join\",\"red\"]").await;
    assert_eq!(ws.text().await, "42/custom,[\"joined\"]");
    assert_eq!(server.gateway.to("/", Target::rooms(&["red"])).emit(&Frame::event("n", &[])), 0);
    assert_eq!(
        server.gateway.to("/custom", Target::rooms(&["red"])).emit(&Frame::event("n", &["1"])),
        1
    );
    assert_eq!(ws.text().await, "42/custom,[\"n\",1]");
}
