//! What clients that come back have of what the application sends them again by itself.

use tidings_gateway::{Frame, Recovery, Target};

use crate::recovery::{cut, serve};
use crate::support::Peer;

#[tokio::test]
async fn marks_tell_what_a_client_has() {
    let (server, desk) = serve(Recovery::default());
    let mut peer = Peer::new(&server, "alice").await;
    peer.join("red").await;
    let mut expected = Vec::new();
    let tell = |peer: &Peer, mark: u64| {
        let socket = server.gateway.socket("/", &peer.sid).expect("connected");
        socket.emit(&Frame::event("m", &[&mark.to_string()]).marked(mark)).expect("open");
    };
    // Nothing yet.
    peer = cut(&server, peer).await.back(&server, "alice").await;
    expected.push(None);
    // It read the mark itself.
    tell(&peer, 3);
    peer.until("m").await;
    peer = cut(&server, peer).await.back(&server, "alice").await;
    expected.push(Some(3));
    // Something else for it alone, and then a broadcast, kept or not, say the same.
    peer.join("blue").await;
    peer = cut(&server, peer).await.back(&server, "alice").await;
    expected.push(Some(3));
    for volatile in [false, true] {
        let mark = if volatile { 5 } else { 4 };
        tell(&peer, mark);
        let recipients = server.gateway.to("/", Target::rooms(&["red"]));
        let recipients = if volatile { recipients.volatile() } else { recipients };
        recipients.emit(&Frame::event("n", &["1"]));
        peer.until("n").await;
        tell(&peer, 99);
        // The client never reads that last one.
        peer = cut(&server, peer).await.back(&server, "alice").await;
        expected.push(Some(mark));
    }
    assert!(peer.is_recovered());
    assert_eq!(*desk.marks.lock(), expected);
}
