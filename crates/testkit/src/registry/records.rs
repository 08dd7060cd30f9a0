//! The connections of users.

use std::sync::Arc;

use serde_json::value::RawValue;
use tidings_core::{
    ids::UserId,
    ports::Registry,
    presence::{Details, Status},
    registry::{Connection, Incarnation, Record},
    time::Timestamp,
};

use super::{LONG, connection, node, room};
use crate::{user, users};

async fn put(
    registry: &Arc<dyn Registry>,
    me: Incarnation,
    of: &UserId,
    connections: &[Connection],
) -> Record {
    let put = registry.put(me, &[(of.clone(), connections.to_vec())]).await.unwrap();
    put.into_iter().next().expect("its record")
}

fn sockets(record: &Record) -> Vec<String> {
    let mut all: Vec<_> = record.connections.iter().map(|one| one.socket.to_string()).collect();
    all.sort();
    all
}

pub async fn connections_of_all_nodes_make_one_record(registry: Arc<dyn Registry>) {
    let (a, b) = (node(&registry, "a", LONG).await, node(&registry, "b", LONG).await);
    let alice = user("alice");
    put(&registry, a, &alice, &[connection(a, "1"), connection(a, "2")]).await;
    let both = put(&registry, b, &alice, &[connection(b, "3")]).await;
    assert_eq!(sockets(&both), ["1", "2", "3"]);
    assert!(both.is_shared(a) && both.is_shared(b));
    let read = registry.records(&[user("bob"), alice.clone()]).await.unwrap();
    assert_eq!((sockets(&read[0]), sockets(&read[1])), (vec![], sockets(&both)));
    assert_eq!((&read[0].user, read[1].version), (&user("bob"), both.version));
    let left = put(&registry, a, &alice, &[connection(a, "2")]).await;
    assert_eq!(sockets(&left), ["2", "3"]);
    assert!(left.version > both.version);
}

pub async fn saying_it_again_changes_nothing_but_the_version(registry: Arc<dyn Registry>) {
    let a = node(&registry, "a", LONG).await;
    let alice = user("alice");
    let once = put(&registry, a, &alice, &[connection(a, "1")]).await;
    let twice = put(&registry, a, &alice, &[connection(a, "1")]).await;
    assert_eq!(once.connections, twice.connections);
    assert!(twice.version > once.version);
}

pub async fn a_connection_that_moves_is_of_the_node_it_came_to(registry: Arc<dyn Registry>) {
    let (a, b) = (node(&registry, "a", LONG).await, node(&registry, "b", LONG).await);
    let alice = user("alice");
    put(&registry, a, &alice, &[connection(a, "1")]).await;
    put(&registry, b, &alice, &[connection(b, "1")]).await;
    // The node that had it says that it has ended.
    let record = put(&registry, a, &alice, &[]).await;
    assert_eq!(record.connections, [connection(b, "1")]);
}

pub async fn everything_of_a_connection_comes_back(registry: Arc<dyn Registry>) {
    let a = node(&registry, "a", LONG).await;
    let details = Details {
        current_feature: Some("é \"quoted\"".into()),
        role: Some("lead".into()),
        device: Some("web".into()),
        metadata: RawValue::from_string(r#"{"a": [1, {}], "b": "\u0000"}"#.into()).ok(),
    };
    let full = Connection {
        said_at: Some(Timestamp::from_millis(1_700_000_000_123)),
        status: Status::Away,
        invisible: true,
        details: Arc::new(details),
        lapsed: Some(Timestamp::from_millis(2)),
        gone: Some(Timestamp::from_millis(3)),
        rooms: (0..128).map(|n| room(&format!("post:{n}"))).collect(),
        ..connection(a, "1")
    };
    let alice = user("alice");
    let answer = put(&registry, a, &alice, std::slice::from_ref(&full)).await;
    assert_eq!(answer.connections, [full]);
    assert_eq!(registry.records(&[alice]).await.unwrap(), [answer]);
}

pub async fn nothing_is_newer_than_what_was_there(registry: Arc<dyn Registry>) {
    let a = node(&registry, "a", LONG).await;
    let alice = user("alice");
    let there = put(&registry, a, &alice, &[connection(a, "1")]).await;
    let gone = put(&registry, a, &alice, &[]).await;
    let read = registry.records(std::slice::from_ref(&alice)).await.unwrap();
    let again = put(&registry, a, &alice, &[connection(a, "1")]).await;
    let versions = [there.version, gone.version, again.version];
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    assert!(
        read[0].version + 1 >= gone.version && read[0].version <= again.version,
        "{versions:?}"
    );
}

pub async fn what_is_said_after_a_look_is_newer_than_what_was_seen(registry: Arc<dyn Registry>) {
    let a = node(&registry, "a", LONG).await;
    // A clock that is not fine enough shows when one follows the other at once: not each time.
    for user in users("u", 100) {
        let seen = registry.records(std::slice::from_ref(&user)).await.unwrap();
        let said = put(&registry, a, &user, &[connection(a, "1")]).await;
        assert!(said.version > seen[0].version, "{} {}", seen[0].version, said.version);
    }
}

pub async fn what_nodes_say_at_once_is_all_there(registry: Arc<dyn Registry>) {
    let mut tasks = tokio::task::JoinSet::new();
    let names: Vec<UserId> = users("u", 30);
    for n in 0..8 {
        let (registry, names) = (Arc::clone(&registry), names.clone());
        tasks.spawn(async move {
            let me = node(&registry, &format!("n{n}"), LONG).await;
            let one = |name: &UserId| (name.clone(), vec![connection(me, &format!("s{n}"))]);
            let said: Vec<_> = names.iter().map(one).collect();
            registry.put(me, &said).await.unwrap();
        });
    }
    tasks.join_all().await;
    let records = registry.records(&names).await.unwrap();
    let expected: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    for (name, record) in names.iter().zip(&records) {
        assert_eq!((name, sockets(record)), (&record.user, expected.clone()));
    }
}
