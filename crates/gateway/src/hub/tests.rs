//! The hub beside a model of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use http::Request;
use serde_json::value::RawValue;

use super::*;
use crate::engine::Transport;
use crate::handshake::{Admission, Handshake};
use crate::{ConnectError, Event, Frame, Gateway};

struct Mute;

#[async_trait]
impl Namespace for Mute {
    async fn connect(&self, _: &Arc<Socket>, _: Option<Box<RawValue>>) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn event(&self, _: &Arc<Socket>, _: Event) {}
}

fn gateway() -> Gateway {
    let gateway = Gateway::builder(crate::Config::default()).namespace("/", Arc::new(Mute)).build();
    gateway.0.ensure_started();
    gateway
}

/// A socket on a polling session, so that what it gets can be counted.
fn socket(gateway: &Gateway) -> Arc<Socket> {
    let (parts, ()) = Request::new(()).into_parts();
    let admission = Admission::new([127, 0, 0, 1].into());
    let handshake = Handshake::new(&parts, admission, &[], &gateway.0.path, 0);
    let permit = gateway.0.admit().expect("a place");
    let session =
        crate::Session::open(permit, handshake, Transport::polling(), bytes::Bytes::new())
            .expect("a session");
    let hub = gateway.0.hub("/").expect("served");
    let socket = Socket::new(&session, hub);
    session.client.admit(&socket).expect("open");
    hub.insert(&socket);
    socket
}

fn members(gateway: &Gateway, room: &str) -> BTreeSet<String> {
    gateway.members("/", room).iter().map(|socket| socket.id().to_owned()).collect()
}

/// A reproducible stream of numbers; which one does not matter.
fn random(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % below
}

#[tokio::test]
async fn rooms_are_what_a_model_says_after_any_operations() {
    let gateway = gateway();
    let hub = gateway.0.hub("/").expect("served");
    let mut model: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut sockets: Vec<Arc<Socket>> = (0..20).map(|_| socket(&gateway)).collect();
    let mut state = 7;
    for step in 0..5_000 {
        let at = random(&mut state, sockets.len());
        let room = format!("room{}", random(&mut state, 8));
        let id = sockets[at].id().to_owned();
        match random(&mut state, 10) {
            0..5 => {
                sockets[at].join(&room);
                model.entry(room.clone()).or_default().insert(id);
            }
            5..9 => {
                sockets[at].leave(&room);
                model.entry(room.clone()).or_default().remove(&id);
            }
            _ => {
                let gone = std::mem::replace(&mut sockets[at], socket(&gateway));
                hub.remove(&gone);
                gone.join(&room);
                model.values_mut().for_each(|members| {
                    members.remove(&id);
                });
            }
        }
        model.retain(|_, members| !members.is_empty());
        assert_eq!(
            members(&gateway, &room),
            model.get(&room).cloned().unwrap_or_default(),
            "step {step}"
        );
        assert_eq!(gateway.room_count("/"), model.len());
    }
    assert_eq!(gateway.socket_count("/"), sockets.len());
    for socket in &sockets {
        hub.remove(socket);
    }
    assert_eq!((gateway.room_count("/"), gateway.socket_count("/")), (0, 0));
}

#[tokio::test]
async fn broadcasts_go_to_whom_a_model_says() {
    let gateway = gateway();
    let sockets: Vec<Arc<Socket>> = (0..30).map(|_| socket(&gateway)).collect();
    for (n, socket) in sockets.iter().enumerate() {
        for divisor in [2, 3, 5] {
            if n % divisor == 0 {
                socket.join(&format!("by{divisor}"));
            }
        }
    }
    let frame = Frame::event("n", &[]);
    let count = |rooms: &[&str], except: &[&str]| {
        let before: Vec<usize> = sockets.iter().map(|socket| socket.send_queue_bytes()).collect();
        let queued = gateway.to("/", Target { rooms, except }).emit(&frame);
        let got: Vec<usize> = sockets
            .iter()
            .zip(before)
            .map(|(socket, before)| (socket.send_queue_bytes() - before) / frame.len())
            .collect();
        assert!(got.iter().all(|count| *count <= 1), "nobody twice");
        assert_eq!(got.iter().sum::<usize>(), queued);
        got.iter().enumerate().filter(|(_, count)| **count == 1).map(|(n, _)| n).collect::<Vec<_>>()
    };
    let all = |test: fn(usize) -> bool| (0..30).filter(|n| test(*n)).collect::<Vec<_>>();
    assert_eq!(count(&["by2"], &[]), all(|n| n % 2 == 0));
    assert_eq!(count(&["by2", "by3"], &[]), all(|n| n % 2 == 0 || n % 3 == 0));
    assert_eq!(
        count(&["by2", "by2"], &["by3", "by5"]),
        all(|n| n % 2 == 0 && n % 3 != 0 && n % 5 != 0)
    );
    assert_eq!(count(&[], &["by2"]), all(|n| n % 2 != 0));
    assert_eq!(
        count(&["by5", sockets[1].id()], &[sockets[0].id()]),
        all(|n| n == 1 || (n % 5 == 0 && n != 0))
    );
    assert_eq!(
        gateway.send_buffered_bytes(),
        sockets.iter().map(|socket| socket.send_queue_bytes()).sum::<usize>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn joining_and_leaving_at_once_leaves_nothing_behind() {
    let gateway = gateway();
    let mut running = Vec::new();
    for _ in 0..8 {
        let gateway = gateway.clone();
        running.push(tokio::spawn(async move {
            for n in 0..300 {
                let socket = socket(&gateway);
                socket.join("one");
                socket.join(&format!("room{}", n % 3));
                gateway.to("/", Target::rooms(&["one"])).emit(&Frame::event("n", &[]));
                if n % 2 == 0 {
                    socket.leave("one");
                }
                socket.close_transport(crate::DisconnectReason::Replaced);
                tokio::task::yield_now().await;
            }
        }));
    }
    for task in running {
        task.await.expect("no panic");
    }
    assert_eq!(
        (gateway.room_count("/"), gateway.socket_count("/"), gateway.connections()),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn who_is_behind_misses_what_is_not_worth_waiting_for() {
    let gateway = gateway();
    let (quick, slow) = (socket(&gateway), socket(&gateway));
    for socket in [&quick, &slow] {
        socket.join("room");
    }
    slow.emit(&Frame::event("long", &[&format!("\"{}\"", "x".repeat(1_000))]))
        .expect("room for it");
    let frame = Frame::event("state", &[]);
    let recipients = gateway.to("/", Target::rooms(&["room"]));
    let emitted = recipients.emit_unless_behind(&frame, 500);
    assert_eq!(emitted.queued, 1);
    assert_eq!(emitted.missed.iter().map(|s| s.id()).collect::<Vec<_>>(), [slow.id()]);
    assert_eq!(quick.send_queue_bytes(), frame.len());
    let emitted = recipients.emit_unless_behind(&frame, 5_000);
    assert_eq!((emitted.queued, emitted.missed.len()), (2, 0));
}
