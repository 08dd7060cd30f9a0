//! Accepting messages.

use tidings_core::{
    announcement::MAX_IMMEDIATE,
    ids::{EntityId, Rev, RoomId, UserId},
    inbox::ChangeKind,
    notification::{Action, Actor, Priority, Recipients},
    user::User,
};

use super::{
    StoreHarness,
    world::{HOUR, World, added, ids},
};
use crate::{user, users};

pub async fn a_message_is_in_the_inbox_when_accept_returns(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let accepted = w.accept_one(w.message()).await;
    assert_eq!((accepted.recipients, accepted.duplicate, accepted.announced), (1, false, false));
    assert_eq!(w.counters(&w.alice).await, (1, 1));
    let notification = w.find(&w.alice, accepted.id).await.unwrap();
    assert_eq!(notification.recipient, w.alice);
    assert_eq!((notification.item.seq, notification.item.rev), (Rev(1), Rev(1)));
    let change = w.only_change();
    assert_eq!((&change.user, change.rev, change.unread), (&w.alice, Rev(1), 1));
    assert_eq!(added(&change), &notification.item);
}

pub async fn every_field_comes_back_as_it_was_sent(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let data = r#"{ "z":1, "a":[null,1e400,123456789012345678901234567890], "nul":"\u0000" }"#;
    let message = w
        .message()
        .kind("comment")
        .tenant("acme")
        .actor("bob")
        .data(data)
        .expires_at(w.clock.tick().plus(HOUR))
        .with(|parts| {
            parts.title = Some("Ünïcode \u{1f514} \u{0}".into());
            parts.message = "line\nline \"quoted\" <b>&amp;</b> \u{202e}".into();
            parts.entity_type = Some("post".into());
            parts.entity_id = Some(EntityId::new("post:1@x").unwrap());
            parts.actions = vec![Action { label: "Open".into(), url: "/posts/1".into() }];
            parts.priority = Priority::High;
            parts.group_key = Some("g".into());
            parts.collapse_key = Some("c".into());
            parts.trace_id = Some("t".into());
        })
        .build();
    let sent = message.message.clone();
    w.accept(vec![message]).await;
    let found = w.find(&w.alice, sent.id).await.unwrap();
    assert_eq!(found.message.data.get(), data);
    assert_eq!(found.message.tail(), sent.tail());
    match &w.only_change().kind {
        ChangeKind::Added { message, .. } => assert_eq!(message.tail(), sent.tail()),
        other => panic!("{other:?}"),
    }
}

pub async fn one_message_for_many_has_one_body(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send(&w.bob).await;
    let to = [w.alice.clone(), w.bob.clone(), user("carol")];
    let accepted = w.accept_one(w.message().to(&to)).await;
    assert_eq!(accepted.recipients, 3);
    let mut seqs = Vec::new();
    for user in &to {
        seqs.push(w.item(user, accepted.id).await.seq.0);
    }
    assert_eq!(seqs, [1, 2, 1], "each inbox has a counter of its own");
}

pub async fn messages_of_one_request_keep_their_order(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    // Ids that fall while the positions rise: order is by position, not by id.
    let mut messages: Vec<_> = (0..10).map(|_| w.message().build()).collect();
    messages.reverse();
    let sent: Vec<_> = messages.iter().map(|new| new.message.id).collect();
    let outcome = w.accept(messages).await;
    assert_eq!(outcome.accepted.iter().map(|a| a.id).collect::<Vec<_>>(), sent);
    assert_eq!(ids(&w.sync(&w.alice, 0, 100).await.items), sent);
    let heard: Vec<_> = w.sink.all().iter().map(|change| added(change).id).collect();
    assert_eq!(heard, sent);
}

pub async fn an_id_that_is_known_adds_nothing(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let message = w.message().to(&[w.alice.clone(), w.bob.clone()]);
    let first = w.accept_one(message.clone()).await;
    assert_eq!(w.accept_one(message.clone()).await, first);
    assert_eq!((w.counters(&w.alice).await, w.counters(&w.bob).await), ((1, 1), (1, 1)));
    // Not even for somebody who deleted it meanwhile.
    w.change(&w.alice, tidings_core::inbox::InboxOp::Delete(vec![first.id])).await;
    w.accept_one(message).await;
    assert_eq!(w.counters(&w.alice).await, (2, 0));
    assert!(w.find(&w.alice, first.id).await.is_none());
}

pub async fn the_actor_is_taken_from_the_users(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let bob = User {
        id: w.bob.clone(),
        name: Some("Bob".into()),
        avatar_url: Some("https://a.example/bob.png".into()),
        created_at: w.clock.tick(),
    };
    w.store.put_user(bob).await.unwrap();
    let known = w.accept_one(w.message().actor("bob")).await.id;
    let unknown = w.accept_one(w.message().actor("nobody")).await.id;
    let actor = w.find(&w.alice, known).await.unwrap().message.actor.clone();
    let expected = Actor {
        id: w.bob.clone(),
        name: Some("Bob".into()),
        avatar_url: Some("https://a.example/bob.png".into()),
    };
    assert_eq!(actor, Some(expected.clone()));
    match &w.sink.all()[0].kind {
        ChangeKind::Added { message, .. } => assert_eq!(message.actor, Some(expected)),
        other => panic!("{other:?}"),
    }
    let message = w.find(&w.alice, unknown).await.unwrap().message;
    assert_eq!((&message.actor, &message.actor_id), (&None, &Some(user("nobody"))));
}

pub async fn a_thousand_items_are_stored_at_once(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let many = users("user", MAX_IMMEDIATE / 2);
    let messages = (0..2).map(|_| w.message().to(&many).build()).collect();
    let outcome = w.accept(messages).await;
    assert!(outcome.accepted.iter().all(|a| !a.announced && a.recipients == 500));
    assert_eq!(w.sink.all().len(), MAX_IMMEDIATE);
    assert_eq!(w.counters(&many[499]).await, (2, 2));
}

pub async fn more_than_a_thousand_items_are_announced(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let many = users("user", MAX_IMMEDIATE / 2);
    let mut more = many.clone();
    more.push(w.alice.clone());
    // The request as a whole is too large, so every message of it becomes a job.
    let outcome =
        w.accept(vec![w.message().to(&many).build(), w.message().to(&more).build()]).await;
    assert!(outcome.accepted.iter().all(|a| a.announced));
    assert_eq!(outcome.accepted[1].recipients, 501);
    assert!(w.sink.all().is_empty(), "nobody has it yet");
    for accepted in &outcome.accepted {
        assert_eq!(w.announce(accepted.id, 1_000).await, accepted.recipients);
    }
    assert_eq!(w.counters(&w.alice).await, (1, 1));
    assert_eq!(w.counters(&many[0]).await, (2, 2));
}

pub async fn what_is_not_for_named_users_now_is_announced(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let later = w.clock.tick().plus(HOUR);
    let messages = vec![
        w.message().build(),
        w.message().to_all().build(),
        w.message().to_room(&RoomId::new("post:1").unwrap()).build(),
        w.message().send_at(later).build(),
    ];
    assert!(matches!(messages[0].recipients, Recipients::Users(_)));
    let announced: Vec<_> = w.accept(messages).await.accepted.iter().map(|a| a.announced).collect();
    // One of a request being a job does not make jobs of the others.
    assert_eq!(announced, [false, true, true, true]);
    assert_eq!(w.counters(&w.alice).await, (1, 1));
}

pub async fn what_was_accepted_survives_a_restart(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let sent = w.send_many(&w.alice.clone(), 3).await;
    let before: Vec<UserId> = vec![w.alice.clone()];
    w.reopen().await;
    assert_eq!(ids(&w.sync(&before[0], 0, 10).await.items), sent);
    // The counter goes on where it was.
    w.send(&w.alice.clone()).await;
    assert_eq!(w.counters(&w.alice).await, (4, 4));
}
