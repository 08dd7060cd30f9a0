//! Clients whose connection breaks and who go on where they were.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng as _;
use tidings_gateway::{Config, DisconnectReason, Frame, Recovery, Target};

use crate::support::{Desk, Peer, Poller, Server, Ws, config, eventually};

pub fn serve(recovery: Recovery) -> (Server, Arc<Desk>) {
    let desk = Arc::new(Desk::default());
    let config = Config { recovery: Some(recovery), plain_path: Some("/ws".into()), ..config() };
    let server = Server::plain_with(config, |builder| builder.namespace("/", desk.clone()));
    (server, desk)
}

fn say(server: &Server, room: &str, n: u64) {
    let frame = Frame::event("n", &[&n.to_string()]);
    server.gateway.to("/", Target::rooms(&[room])).emit(&frame);
}

/// Cuts the connection and waits until the server knows.
pub async fn cut(server: &Server, mut peer: Peer) -> Peer {
    let before = server.gateway.connections();
    let nowhere = Ws::open(server).await;
    drop(std::mem::replace(&mut peer.ws, nowhere));
    eventually(|| server.gateway.connections() <= before).await;
    peer
}

#[tokio::test]
async fn every_event_carries_an_offset() {
    let (server, _) = serve(Recovery::default());
    let mut peer = Peer::new(&server, "alice").await;
    assert_eq!((peer.pid.len(), peer.early), (22, 0));
    assert_ne!(peer.pid, peer.sid);
    peer.join("red").await;
    let unkept = Frame::event("n", &["2"]).unrecoverable();
    say(&server, "red", 1);
    server.gateway.to("/", Target::all()).emit(&unkept);
    let socket = server.gateway.socket("/", &peer.sid).expect("connected");
    socket.emit(&unkept).expect("open");
    socket.emit(&Frame::event("n", &["3"]).recoverable()).expect("open");
    peer.ws.send("451-[\"file\",{\"_placeholder\":true,\"num\":0}]").await;
    peer.ws.send_binary(&[1, 2]).await;
    peer.until("file").await;
    assert_eq!(peer.ws.binary().await, [1, 2]);
    assert_eq!(peer.numbers(), [1, 2, 2, 3]);
    peer.ws.send("42[\"join\",\"blue\"]").await;
    peer.until("done").await;
    peer.ws.send("427[\"join\",\"green\"]").await;
    assert_eq!(peer.ws.text().await, "437[]", "an acknowledgement is no event");

    let poller = Poller::open(&server).await;
    poller.post("40{\"user\":\"bo\"}").await;
    let (_, body) = poller.poll().await;
    let packets: Vec<&str> = body.split('\x1e').collect();
    assert!(packets[0].contains("\"pid\":\""), "{body}");
    assert!(packets[1].starts_with("42[\"connected\",{\"recovered\":false},\""), "{body}");
    // A plain client beside them has no use for one.
    let mut plain = Ws::plain(&server, "/ws").await;
    assert_eq!(plain.text().await, r#"{"type":"welcome","connectionId":1}"#);
    plain.send(r#"{"type":"join","room":"red"}"#).await;
    assert_eq!(plain.text().await, r#"{"type":"joined"}"#);
    say(&server, "red", 9);
    assert_eq!(plain.text().await, r#"{"type":"n","args":[9]}"#);
}

#[tokio::test]
async fn who_comes_back_is_who_it_was_and_gets_what_it_missed() {
    let (server, desk) = serve(Recovery::default());
    let mut peer = Peer::new(&server, "alice").await;
    say(&server, "red", 1);
    peer.join("red").await;
    peer.join("blue").await;
    say(&server, "red", 2);
    peer.until("n").await;
    assert_eq!(peer.numbers(), [2]);
    let (sid, pid) = (peer.sid.clone(), peer.pid.clone());
    for round in 0..3 {
        let socket = server.gateway.socket("/", &sid).expect("connected");
        let peer_cut = cut(&server, peer).await;
        assert_eq!(desk.ended.lock().len(), round + 1);
        assert!(!socket.is_connected() && server.gateway.member_count("/", "red") == 0);
        let n = round as u64 * 10;
        say(&server, "red", n + 10);
        say(&server, "green", n + 11);
        say(&server, &sid, n + 12);
        server.gateway.to("/", Target::all()).emit(&Frame::event("n", &[&(n + 13).to_string()]));
        let not_blue = Target::all().except(&["blue"]);
        server.gateway.to("/", not_blue).emit(&Frame::event("n", &["99"]));
        let unkept = Frame::event("n", &["98"]).unrecoverable();
        server.gateway.to("/", Target::rooms(&["red"])).emit(&unkept);
        let both = Frame::event("n", &[&(n + 14).to_string()]);
        server.gateway.to("/", Target::rooms(&["red", "blue"])).emit(&both);
        peer = peer_cut.back(&server, "alice").await;
        assert!(peer.is_recovered());
        assert_eq!((&peer.sid, &peer.pid, peer.early), (&sid, &pid, 4), "first what was missed");
        assert_eq!(peer.numbers(), [n + 10, n + 12, n + 13, n + 14]);
        let socket = server.gateway.socket("/", &sid).expect("again");
        assert!(socket.recovered() && socket.is_in("red") && socket.is_in("blue"));
        say(&server, "blue", 7);
        peer.until("n").await;
        assert_eq!(peer.numbers(), [7], "and on it goes");
    }
}

#[tokio::test]
async fn a_connection_that_only_we_believe_in_is_superseded() {
    let (server, desk) = serve(Recovery::default());
    let mut peer = Peer::new(&server, "alice").await;
    peer.join("red").await;
    let sid = peer.sid.clone();
    let nowhere = Ws::open(&server).await;
    let mut silent = std::mem::replace(&mut peer.ws, nowhere);
    say(&server, "red", 1);
    let mut peer = peer.back(&server, "alice").await;
    assert!(peer.is_recovered());
    assert_eq!((peer.numbers(), &peer.sid), (vec![1], &sid));
    let (got, close) = silent.closed().await;
    assert!(got.len() == 1 && close.is_some());
    eventually(|| *desk.ended.lock() == [DisconnectReason::TransportClose]).await;
    assert_eq!(server.gateway.member_count("/", "red"), 1);
}

#[tokio::test]
async fn a_greeting_before_the_reply_does_not_hide_what_was_missed() {
    let (server, _) = serve(Recovery::default());
    let mut peer = Peer::new(&server, "alice").await;
    peer.join("red").await;
    peer.numbers();
    let offset = peer.offset.clone();
    let peer = cut(&server, peer).await;
    say(&server, "red", 1);
    let claim = peer.claim("alice").replace('{', "{\"hello\":true,");
    let mut peer = peer.back_with(&server, &claim).await;
    assert!(peer.is_recovered());
    assert_eq!((&peer.events[0].0[..], peer.early), ("hello", 2));
    assert_eq!(peer.first, offset);
    assert_eq!(peer.numbers(), [1]);
}

#[tokio::test]
async fn rooms_that_were_lost_meanwhile_are_lost() {
    let (server, desk) = serve(Recovery::default());
    let mut peer = Peer::new(&server, "alice").await;
    peer.join("red").await;
    peer.join("blue").await;
    peer.numbers();
    let peer = cut(&server, peer).await;
    say(&server, "red", 1);
    say(&server, "blue", 2);
    desk.closed_rooms.lock().push("red".into());
    let mut peer = peer.back(&server, "alice").await;
    assert!(peer.is_recovered());
    assert_eq!(peer.numbers(), [2]);
    assert_eq!(server.gateway.socket("/", &peer.sid).expect("connected").rooms(), ["blue"]);
}

#[tokio::test]
async fn everybody_else_begins_anew() {
    let (server, _) = serve(Recovery::default());
    let fresh = async |peer: Peer, claim: &str, why: &str| {
        let (sid, pid) = (peer.sid.clone(), peer.pid.clone());
        say(&server, "red", 1);
        let peer = peer.back_with(&server, claim).await;
        assert!(!peer.is_recovered() && peer.sid != sid && peer.pid != pid, "{why}");
        assert_eq!(peer.early, 0, "{why}");
        peer
    };
    let start = async || {
        let mut peer = Peer::new(&server, "alice").await;
        peer.join("red").await;
        cut(&server, peer).await
    };
    let peer = start().await;
    let claim = peer.claim("alice");
    let mut other = fresh(peer, &peer_claim(&claim, "mallory"), "another user").await;
    other.pid = String::new();
    drop(other);
    let again = start().await.back_with(&server, &claim).await;
    assert!(again.is_recovered(), "mallory has destroyed nothing");

    let peer = start().await;
    let claim = format!(r#"{{"pid":"{}","user":"alice"}}"#, peer.pid);
    fresh(peer, &claim, "no offset").await;
    for offset in ["x", "", "1", "zzzz1", "zzzz-1", "ééé"] {
        let peer = start().await;
        let claim = format!(r#"{{"pid":"{}","offset":"{offset}","user":"alice"}}"#, peer.pid);
        fresh(peer, &claim, offset).await;
    }
    let peer = start().await;
    let mark = peer.offset.clone().expect("one")[..4].to_owned();
    let claim = format!(r#"{{"pid":"{}","offset":"{mark}999999","user":"alice"}}"#, peer.pid);
    fresh(peer, &claim, "an offset of the future").await;
    for pid in ["short", &"A".repeat(22)] {
        let peer = start().await;
        let offset = peer.offset.clone().expect("one");
        let claim = format!(r#"{{"pid":"{pid}","offset":"{offset}","user":"alice"}}"#);
        fresh(peer, &claim, pid).await;
    }
    let peer = start().await;
    let claim = format!(r#"{{"pid":7,"offset":{{}},"user":"{}"}}"#, peer.pid);
    fresh(peer, &claim, "of another type").await;

    let mut peer = Peer::new(&server, "alice").await;
    let claim = peer.claim("alice");
    peer.ws.send("41").await;
    let peer = cut(&server, peer).await;
    fresh(peer, &claim, "it has gone by itself").await;
    let mut peer = Peer::new(&server, "alice").await;
    let claim = peer.claim("alice");
    peer.ws.send("42[\"out\"]").await;
    assert_eq!(peer.ws.text().await, "41");
    let peer = cut(&server, peer).await;
    fresh(peer, &claim, "it was sent away").await;
    let peer = Peer::new(&server, "alice").await;
    let claim = peer.claim("alice");
    let socket = server.gateway.socket("/", &peer.sid).expect("connected");
    socket.close_transport(DisconnectReason::Expired);
    fresh(peer, &claim, "its token has expired").await;
}

fn peer_claim(claim: &str, user: &str) -> String {
    claim.replace("alice", user)
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let recovery = Recovery { max_packets: 10, ..Recovery::default() };
    let (server, _) = serve(recovery);
    let mut peer = Peer::new(&server, "alice").await;
    peer.join("red").await;
    for n in 0..100 {
        say(&server, "green", n);
    }
    peer.numbers();
    let peer = cut(&server, peer).await;
    for n in 0..10 {
        say(&server, "red", n);
    }
    let mut peer = peer.back(&server, "alice").await;
    assert!(peer.is_recovered(), "what others got before it went does not matter");
    assert_eq!(peer.numbers(), (0..10).collect::<Vec<_>>());
    let peer = cut(&server, peer).await;
    for n in 0..11 {
        say(&server, "red", n);
    }
    assert!(!peer.back(&server, "alice").await.is_recovered());
}

#[tokio::test]
async fn after_a_while_it_is_over() {
    let recovery = Recovery { window: Duration::from_millis(100), ..Recovery::default() };
    let (server, _) = serve(recovery);
    let peer = Peer::new(&server, "alice").await;
    let socket = Arc::downgrade(&server.gateway.socket("/", &peer.sid).expect("connected"));
    let data =
        Arc::downgrade(&socket.upgrade().and_then(|socket| socket.data::<String>()).expect("kept"));
    let peer = cut(&server, peer).await;
    eventually(|| data.strong_count() == 0).await;
    assert!(!peer.back(&server, "alice").await.is_recovered());
}

#[tokio::test]
async fn who_was_too_slow_gets_the_rest_later() {
    let slow_drain = Duration::from_millis(200);
    let desk = Arc::new(Desk::default());
    let settings = Config {
        recovery: Some(Recovery::default()),
        send_buffer: 1_000_000,
        slow_drain,
        ..config()
    };
    let server = Server::build(settings, |builder| builder.namespace("/", desk.clone()));
    let mut peer = Peer::new(&server, "alice").await;
    peer.join("red").await;
    peer.numbers();
    let (socket, mut count) = (server.gateway.socket("/", &peer.sid).expect("connected"), 0);
    let filler = format!("\"{}\"", "x".repeat(100_000));
    let big = Frame::event("big", &[&filler]).unrecoverable();
    while socket.emit(&big).is_ok() {}
    drop(socket);
    for _ in 0..5 {
        say(&server, "red", count);
        count += 1;
    }
    eventually(|| *desk.ended.lock() == [DisconnectReason::SlowConsumer]).await;
    say(&server, "red", count);
    let mut peer = peer.back(&server, "alice").await;
    assert!(peer.is_recovered());
    assert_eq!(peer.numbers(), (0..=count).collect::<Vec<_>>());
}

/// Somebody speaks all the time, in several rooms; the client is cut off anywhere, twenty times in a row, sees a break
/// or just stays away, and in the end has everything once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_cuts_anywhere_lose_nothing_and_repeat_nothing() {
    let (server, _) = serve(Recovery::default());
    let server = Arc::new(server);
    let mut peer = Peer::new(&server, "alice").await;
    peer.join("red").await;
    let (sid, pid) = (peer.sid.clone(), peer.pid.clone());
    let over = Arc::new(AtomicBool::new(false));
    let said = Arc::new(AtomicU64::new(0));
    let speaking = tokio::spawn({
        let (server, over, said) = (server.clone(), over.clone(), said.clone());
        async move {
            let mut n = 0;
            while !over.load(Ordering::Relaxed) {
                say(&server, "red", n);
                say(&server, "green", n);
                for socket in server.gateway.members("/", "red") {
                    let _ = socket.emit(&Frame::event("inbox", &["{}"]).unrecoverable());
                }
                let pause = rand::rng().random_range(0..3);
                match pause {
                    0 => {}
                    1 => tokio::task::yield_now().await,
                    _ => tokio::time::sleep(Duration::from_millis(1)).await,
                }
                n += 1;
                said.store(n, Ordering::Relaxed);
            }
            n
        }
    });
    let mut got = Vec::new();
    for round in 0..20 {
        let (reads, away) = {
            let mut rng = rand::rng();
            (rng.random_range(0..150), rng.random_range(0..20))
        };
        for _ in 0..reads {
            peer.read().await;
        }
        got.append(&mut peer.numbers());
        let nowhere = Ws::open(&server).await;
        let old = std::mem::replace(&mut peer.ws, nowhere);
        let kept = if round % 3 == 0 { Some(old) } else { None };
        let until = said.load(Ordering::Relaxed) + away;
        eventually(|| said.load(Ordering::Relaxed) >= until).await;
        peer = peer.back(&server, "alice").await;
        assert!(peer.is_recovered(), "round {round}");
        assert_eq!((&peer.sid, &peer.pid), (&sid, &pid));
        drop(kept);
    }
    over.store(true, Ordering::Relaxed);
    let count = speaking.await.expect("no panic");
    let last = Frame::event("last", &[]);
    server.gateway.to("/", Target::rooms(&["red"])).emit(&last);
    peer.until("last").await;
    got.append(&mut peer.numbers());
    assert!(got.is_sorted_by(|a, b| a + 1 == *b), "{got:?}");
    assert_eq!((got.first(), got.len() as u64), (Some(&0), count));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_leave_nothing_behind() {
    let window = Duration::from_secs(4);
    let (server, _) = serve(Recovery { window, ..Recovery::default() });
    let server = Arc::new(server);
    let mut running = Vec::new();
    for n in 0..16 {
        let server = server.clone();
        running.push(tokio::spawn(async move {
            let user = format!("user{n}");
            let mut peer = Peer::new(&server, &user).await;
            peer.join("red").await;
            for round in 0..20 {
                say(&server, "red", round);
                peer.until("n").await;
                peer.numbers();
                let socket = server.gateway.socket("/", &peer.sid);
                if let (Some(socket), 0) = (socket, round % 5) {
                    socket.join("blue");
                    socket.close_transport(DisconnectReason::TransportError);
                }
                peer = peer.back(&server, &user).await;
                assert!(peer.is_recovered(), "{n} {round}");
            }
        }));
    }
    for task in running {
        task.await.expect("no panic");
    }
    eventually(|| server.gateway.connections() == 0).await;
    let left = || (server.gateway.socket_count("/"), server.gateway.room_count("/"));
    eventually(|| left() == (0, 0)).await;
}
