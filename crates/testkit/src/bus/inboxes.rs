//! Changes of inboxes.

use std::sync::Arc;

use tidings_core::{
    ids::{Rev, UserId},
    inbox::{ChangeKind, InboxChange},
    notification::Item,
    time::Timestamp,
};

use super::{BusHarness, node, unique};
use crate::message;

fn user(name: &str) -> UserId {
    UserId::new(unique(name)).unwrap()
}

/// A change that says nothing but its rev.
pub fn change(user: &UserId, rev: u64) -> Arc<InboxChange> {
    let kind = ChangeKind::Removed(vec![]);
    let (user, at) = (user.clone(), Timestamp::from_millis(1_000));
    Arc::new(InboxChange { user, rev: Rev(rev), unread: 3, at, kind })
}

pub async fn changes_reach_the_nodes_that_subscribed_in_order(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let (alice, bob) = (user("alice"), user("bob"));
    there.bus.subscribe(&alice).await.unwrap();
    let mixed: Vec<_> =
        (1..=200).flat_map(|rev| [change(&alice, rev), change(&bob, rev)]).collect();
    for changes in mixed.chunks(7) {
        here.bus.publish(changes).await.unwrap();
    }
    there.heard.rev(&alice, Rev(200)).await;
    assert_eq!(there.heard.revs(&alice), (1..=200).map(Rev).collect::<Vec<_>>());
    assert!(there.heard.revs(&bob).is_empty() && here.heard.changes().is_empty());
}

pub async fn a_node_hears_its_own_changes_once(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let alice = user("alice");
    here.bus.subscribe(&alice).await.unwrap();
    there.bus.subscribe(&alice).await.unwrap();
    here.bus.publish(&[change(&alice, 1)]).await.unwrap();
    assert_eq!(here.heard.revs(&alice), [Rev(1)], "at once");
    there.heard.rev(&alice, Rev(1)).await;
    // Had it come by the other way too, it would have come before this.
    there.bus.publish(&[change(&alice, 2)]).await.unwrap();
    here.heard.rev(&alice, Rev(2)).await;
    assert_eq!(here.heard.revs(&alice), [Rev(1), Rev(2)]);
}

pub async fn the_last_subscription_ends_it(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let (alice, bob) = (user("alice"), user("bob"));
    for _ in 0..2 {
        there.bus.subscribe(&alice).await.unwrap();
    }
    there.bus.unsubscribe(&alice);
    here.bus.publish(&[change(&alice, 1)]).await.unwrap();
    there.heard.rev(&alice, Rev(1)).await;
    there.bus.unsubscribe(&alice);
    // Changes may still come for a while; here they do not.
    there.bus.publish(&[change(&alice, 2)]).await.unwrap();
    assert_eq!(there.heard.revs(&alice), [Rev(1)]);
    // And again.
    there.bus.subscribe(&alice).await.unwrap();
    there.bus.subscribe(&bob).await.unwrap();
    here.bus.publish(&[change(&alice, 3)]).await.unwrap();
    there.heard.rev(&alice, Rev(3)).await;
}

pub async fn every_field_of_a_change_arrives(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let alice = user("alice");
    there.bus.subscribe(&alice).await.unwrap();
    let message = Arc::new(message(Timestamp::from_millis(7)).data(r#"{"a":[1]}"#).build().message);
    let item = Item::new(message.id, Rev(1));
    let read = Item { read_at: Some(Timestamp::from_millis(5)), ..item.clone() };
    let kinds = [
        ChangeKind::Added { message: Arc::clone(&message), item },
        ChangeKind::Updated(vec![read]),
        ChangeKind::Removed(vec![message.id]),
        ChangeKind::ReadAll { up_to: Rev(2) },
        ChangeKind::Cleared { up_to: Rev(3) },
    ];
    let changes: Vec<_> = kinds
        .into_iter()
        .zip(1..)
        .map(|(kind, rev)| {
            let at = Timestamp::from_millis(1_700_000_000_123);
            Arc::new(InboxChange { user: alice.clone(), rev: Rev(rev), unread: rev, at, kind })
        })
        .collect();
    here.bus.publish(&changes).await.unwrap();
    there.heard.rev(&alice, Rev(5)).await;
    let heard = there.heard.changes();
    for (sent, heard) in changes.iter().zip(&heard) {
        // What is only remembered of a message is not part of it.
        if let (ChangeKind::Added { message, .. }, ChangeKind::Added { message: other, .. }) =
            (&sent.kind, &heard.kind)
        {
            assert_eq!(message.tail(), other.tail());
        }
        let plain = |change: &InboxChange| match &change.kind {
            ChangeKind::Added { item, .. } => {
                format!("{:?} {} {:?}", change.user, change.rev.0, item)
            }
            _ => format!("{change:?}"),
        };
        assert_eq!(plain(sent), plain(heard));
    }
}

pub async fn a_thousand_subscriptions_at_once_hear_what_follows(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let users: Vec<UserId> = (0..1_000).map(|n| user(&format!("user-{n}"))).collect();
    let subscriptions = users.iter().map(|user| there.bus.subscribe(user));
    for confirmed in futures_util::future::join_all(subscriptions).await {
        confirmed.unwrap();
    }
    let changes: Vec<_> = users.iter().map(|user| change(user, 1)).collect();
    here.bus.publish(&changes).await.unwrap();
    for user in &users {
        there.heard.rev(user, Rev(1)).await;
    }
    assert_eq!(there.heard.changes().len(), users.len());
}
