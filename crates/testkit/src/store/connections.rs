//! The history of connections.

use tidings_core::{
    connection::{
        ClientKind, Connection, ConnectionFilter, ConnectionId, ConnectionNote, Ground, Lost,
        NODE_LOST,
    },
    ids::DeviceId,
    time::Timestamp,
};

use super::{
    StoreHarness,
    world::{HOUR, SECOND, World},
};
use crate::user;

/// A connection of `name` to a node that begins now.
fn connection(w: &World<'_>, name: &str, node: &str) -> Connection {
    let at = w.clock.tick();
    let socket_id = format!("socket-{}", at.as_millis());
    Connection {
        id: ConnectionId::of(node, &socket_id, at),
        user: user(name),
        socket_id,
        node: node.to_owned(),
        client: ClientKind::SocketIo,
        device: Some(DeviceId::new("phone").unwrap()),
        ip: [127, 0, 0, 1].into(),
        user_agent: Some("Firefox".to_owned()),
        connected_at: at,
        seen_at: at,
        disconnected_at: None,
        reason: None,
        ground: Ground { token: [7; 32], ends_at: at.plus(HOUR) },
    }
}

fn opened(connection: &Connection) -> ConnectionNote {
    ConnectionNote::Opened(Box::new(connection.clone()))
}

fn closed(connection: &Connection, at: Timestamp, reason: &str) -> ConnectionNote {
    ConnectionNote::Closed { id: connection.id, at, reason: reason.to_owned() }
}

/// The connection as it is listed after its end.
fn ended(connection: &Connection, at: Timestamp, reason: &str) -> Connection {
    let reason = Some(reason.to_owned());
    Connection { seen_at: at, disconnected_at: Some(at), reason, ..connection.clone() }
}

impl World<'_> {
    async fn note(&self, notes: Vec<ConnectionNote>) {
        self.store.note_connections(notes).await.unwrap();
    }

    async fn opens(&self, name: &str, node: &str) -> Connection {
        let connection = connection(self, name, node);
        self.note(vec![opened(&connection)]).await;
        connection
    }

    async fn listed(&self, filter: ConnectionFilter) -> Vec<Connection> {
        self.store.connections(filter, None, 100).await.unwrap()
    }

    async fn all_connections(&self) -> Vec<Connection> {
        self.listed(ConnectionFilter::default()).await
    }

    async fn close_all(&self, lost: &Lost) -> Vec<u64> {
        let mut steps = Vec::new();
        loop {
            match self.store.close_lost(lost.clone(), 2).await.unwrap() {
                0 => return steps,
                rows => steps.push(rows),
            }
        }
    }
}

pub async fn what_is_noted_is_listed_the_latest_first(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let first = w.opens("ana", "a").await;
    let second = Connection {
        client: ClientKind::Sse,
        device: None,
        user_agent: None,
        ..connection(&w, "ana", "b")
    };
    let third = connection(&w, "bo", "a");
    w.note(vec![opened(&second), opened(&third)]).await;
    let end = w.clock.tick();
    w.note(vec![closed(&first, end, "transport close")]).await;
    w.reopen().await;
    let first = ended(&first, end, "transport close");
    assert_eq!(w.all_connections().await, [third.clone(), second.clone(), first.clone()]);

    let ana = || ConnectionFilter { user: Some(user("ana")), active: None };
    assert_eq!(w.listed(ana()).await, [second.clone(), first.clone()]);
    let active = |active| ConnectionFilter { active: Some(active), ..ana() };
    assert_eq!(w.listed(active(true)).await, std::slice::from_ref(&second));
    assert_eq!(w.listed(active(false)).await, std::slice::from_ref(&first));
    let page = w.store.connections(ana(), Some(second.id), 1).await.unwrap();
    assert_eq!(page, std::slice::from_ref(&first), "by cursor");
    assert_eq!(w.store.connection(first.id).await.unwrap(), Some(first));
    let unknown = ConnectionId::of("a", "none", end);
    assert_eq!(w.store.connection(unknown).await.unwrap(), None);
}

pub async fn a_connection_ends_once_and_stands_on_its_latest_token(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let connection = w.opens("ana", "a").await;
    let ground = Ground { token: [9; 32], ends_at: w.clock.tick() };
    let (end, again) = (w.clock.tick(), w.clock.tick());
    w.note(vec![
        ConnectionNote::Renewed { id: connection.id, ground },
        closed(&connection, end, "ping timeout"),
        closed(&connection, again, "transport close"),
        closed(&self::connection(&w, "bo", "a"), end, "nobody heard of it"),
    ])
    .await;
    let connection = Connection { ground, ..connection };
    assert_eq!(w.all_connections().await, [ended(&connection, end, "ping timeout")]);
}

pub async fn a_connection_may_be_noted_when_it_has_ended_already(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let (short, open) = (connection(&w, "ana", "a"), connection(&w, "ana", "a"));
    let (end, later) = (w.clock.tick(), w.clock.tick());
    let short = ended(&short, end, "client disconnect");
    w.note(vec![opened(&short), opened(&open), closed(&short, later, "transport close")]).await;
    assert_eq!(w.all_connections().await, [open.clone(), short.clone()], "it ended once");
    w.note(vec![opened(&short)]).await;
    assert_eq!(w.all_connections().await, [open, short.clone()], "as if nobody had heard of it");
    let removable = w.store.ended_connections(later, 10).await.unwrap();
    assert_eq!(removable, [short]);
}

pub async fn what_a_silent_node_held_is_closed_in_batches(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    assert!(!w.store.heartbeat("dead", w.clock.tick()).await.unwrap(), "the first");
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(w.opens("ana", "dead").await);
    }
    let seen = w.later(SECOND);
    assert!(w.store.heartbeat("dead", seen).await.unwrap());
    assert_eq!(w.all_connections().await[0].seen_at, seen, "as its node is");
    let unheard = w.opens("ana", "dead").await;
    w.store.heartbeat("alive", w.later(SECOND)).await.unwrap();
    let kept = w.opens("ana", "alive").await;

    assert!(w.close_all(&Lost::Silent { since: seen }).await.is_empty(), "heard of just then");
    let lost = Lost::Silent { since: seen.plus(SECOND / 2) };
    assert_eq!(w.close_all(&lost).await, [2, 2]);
    let listed = w.all_connections().await;
    assert_eq!(listed[0], kept);
    let at = unheard.connected_at;
    assert_eq!(listed[1], ended(&unheard, at, NODE_LOST), "not before it began");
    for (listed, held) in listed[2..].iter().rev().zip(&held) {
        assert_eq!(*listed, ended(held, seen, NODE_LOST));
    }
}

pub async fn a_node_that_was_taken_for_lost_says_so_again(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.store.heartbeat("a", w.clock.tick()).await.unwrap();
    let connection = w.opens("ana", "a").await;
    let now = w.later(HOUR);
    w.close_all(&Lost::Silent { since: now }).await;
    assert!(!w.store.heartbeat("a", now).await.unwrap(), "it hears that it was given up");
    w.note(vec![opened(&connection)]).await;
    assert_eq!(w.all_connections().await, [Connection { seen_at: now, ..connection }]);
}

pub async fn what_a_node_held_before_it_was_restarted_is_closed(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.store.heartbeat("a", w.clock.tick()).await.unwrap();
    let before = w.opens("ana", "a").await;
    let other = w.opens("ana", "b").await;
    let at = w.clock.tick();
    let after = w.opens("ana", "a").await;
    assert_eq!(w.close_all(&Lost::Restarted { node: "a".into(), at }).await, [1]);
    assert_eq!(w.all_connections().await, [after, other, ended(&before, at, NODE_LOST)]);
}

pub async fn ended_ones_are_taken_away_the_first_to_end_first(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let (one, two, open) =
        (w.opens("ana", "a").await, w.opens("bo", "a").await, w.opens("ana", "a").await);
    let (first, second) = (w.clock.tick(), w.clock.tick());
    w.note(vec![closed(&two, first, "x"), closed(&one, second, "x")]).await;
    let until = w.clock.tick();
    assert_eq!(w.store.ended_connections(second, 10).await.unwrap(), [ended(&two, first, "x")]);
    let found = w.store.ended_connections(until, 1).await.unwrap();
    assert_eq!(found, [ended(&two, first, "x")]);
    w.store.remove_connections(&[two.id]).await.unwrap();
    let found = w.store.ended_connections(until, 10).await.unwrap();
    assert_eq!(found, [ended(&one, second, "x")]);
    w.store.remove_connections(&[one.id, two.id]).await.unwrap();
    assert_eq!(w.all_connections().await, [open]);
}
