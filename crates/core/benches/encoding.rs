//! A notification's JSON: the tail that all recipients share, and the head that each has of its own.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so by failing")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::value::RawValue;
use tidings_core::{
    ids::{EntityId, NotificationId, Rev, UserId},
    notification::{Item, Message, MessageParts, Priority},
    time::Timestamp,
};

fn message() -> Message {
    let data = r#"{"postId":"post-1","url":"/posts/1"}"#.to_owned();
    MessageParts {
        id: NotificationId(uuid::Uuid::from_u128(7)),
        kind: "like".into(),
        actor: None,
        actor_id: UserId::new("bob").ok(),
        entity_type: Some("post".into()),
        entity_id: EntityId::new("post-1").ok(),
        tenant: None,
        title: None,
        message: "Bob liked your post".into(),
        data: RawValue::from_string(data).expect("JSON").into(),
        actions: Vec::new(),
        priority: Priority::Normal,
        group_key: None,
        collapse_key: None,
        trace_id: None,
        created_at: Timestamp::EPOCH,
        expires_at: None,
    }
    .into()
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("notification");
    let message = message();
    let recipient = UserId::new("alice").expect("an id");
    let item = Item::new(NotificationId(uuid::Uuid::from_u128(7)), Rev(3));
    group.bench_function("head, for each recipient", |b| {
        b.iter(|| black_box(&item).head(black_box(&recipient)));
    });
    group.bench_function("tail, once", |b| b.iter(|| black_box(&message).tail()));
    group.finish();
}

criterion_group!(benches, encoding);
criterion_main!(benches);
