//! Lists.

use tidings_core::{
    ids::Rev,
    inbox::{InboxOp, MAX_PAGE, PageQuery},
};

use super::{
    StoreHarness,
    world::{World, ids, reversed},
};
use crate::user;

pub async fn newest_first_by_cursor(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, 25).await;
    let (mut before, mut listed) = (None, Vec::new());
    for expected_more in [true, true, false] {
        let query = PageQuery { before, limit: 10, ..w.query(&w.alice) };
        let page = w.store.page(query).await.unwrap();
        assert_eq!((page.has_more, page.total), (expected_more, None));
        listed.extend(ids(&page.notifications));
        before = page.notifications.last().map(|notification| notification.item.seq);
        // What comes in between moves nothing.
        w.send(&w.alice).await;
    }
    assert_eq!(listed, reversed(&sent));
    // Changing an item does not move it either.
    w.change(&w.alice, InboxOp::Read(vec![sent[0]])).await;
    let query = PageQuery { before: Some(Rev(3)), ..w.query(&w.alice) };
    assert_eq!(w.list(query).await, [sent[1], sent[0]]);
    let query = PageQuery { before: Some(Rev(0)), ..w.query(&w.alice) };
    assert!(w.list(query).await.is_empty());
}

pub async fn numbered_pages_count_the_total(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = reversed(&w.fill(&w.alice, 25).await);
    for (number, range) in [(1, 0..10), (2, 10..20), (3, 20..25), (4, 25..25)] {
        let query = PageQuery { page: Some(number), limit: 10, ..w.query(&w.alice) };
        let page = w.store.page(query).await.unwrap();
        assert_eq!(ids(&page.notifications), sent[range]);
        assert_eq!((page.total, page.has_more), (Some(25), number < 3));
    }
    let query = PageQuery { page: Some(u32::MAX), limit: 100, ..w.query(&w.alice) };
    assert!(w.list(query).await.is_empty());
    w.change(&w.alice, InboxOp::Read(sent[..5].to_vec())).await;
    let query = PageQuery { page: Some(1), unread_only: true, ..w.query(&w.alice) };
    assert_eq!(w.store.page(query).await.unwrap().total, Some(20));
}

pub async fn unread_only(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, 6).await;
    w.change(&w.alice, InboxOp::Read(vec![sent[1], sent[5]])).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[2]])).await;
    let query = PageQuery { unread_only: true, ..w.query(&w.alice) };
    assert_eq!(w.list(query.clone()).await, [sent[4], sent[3], sent[0]]);
    let archived = PageQuery { archived: true, ..query };
    assert_eq!(w.list(archived.clone()).await, [sent[2]]);
    w.change(&w.alice, InboxOp::ReadAll { up_to: None }).await;
    assert!(w.list(archived).await.is_empty());
}

pub async fn archived_items_have_a_list_of_their_own(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, 6).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[1], sent[3]])).await;
    assert_eq!(w.list(w.query(&w.alice)).await, [sent[5], sent[4], sent[2], sent[0]]);
    let archived = PageQuery { archived: true, ..w.query(&w.alice) };
    assert_eq!(w.list(archived.clone()).await, [sent[3], sent[1]]);
    w.change(&w.alice, InboxOp::Unarchive(vec![sent[3]])).await;
    assert_eq!(w.list(archived).await, [sent[1]]);
    assert_eq!(w.list(w.query(&w.alice)).await.len(), 5);
}

pub async fn by_type_and_tenant(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let like = w.accept_one(w.message().tenant("acme")).await.id;
    let comment = w.accept_one(w.message().kind("comment").tenant("acme")).await.id;
    let other = w.accept_one(w.message().kind("comment").tenant("other")).await.id;
    let none = w.accept_one(w.message().kind("comment")).await.id;
    let by = |kind: Option<&str>, tenant: Option<&str>| PageQuery {
        kind: kind.map(Into::into),
        tenant: tenant.map(Into::into),
        ..w.query(&w.alice)
    };
    assert_eq!(w.list(by(Some("like"), None)).await, [like]);
    assert_eq!(w.list(by(Some("comment"), None)).await, [none, other, comment]);
    assert_eq!(w.list(by(None, Some("acme"))).await, [comment, like]);
    assert_eq!(w.list(by(Some("comment"), Some("acme"))).await, [comment]);
    assert!(w.list(by(Some("follow"), None)).await.is_empty());
    let unread = PageQuery { unread_only: true, ..by(Some("comment"), None) };
    w.change(&w.alice, InboxOp::Read(vec![other])).await;
    assert_eq!(w.list(unread).await, [none, comment]);
}

pub async fn the_limit_is_bounded(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.fill(&w.alice, MAX_PAGE + 5).await;
    for (limit, shown) in [(0, 1), (1, 1), (MAX_PAGE, MAX_PAGE), (usize::MAX, MAX_PAGE)] {
        let page = w.store.page(PageQuery { limit, ..w.query(&w.alice) }).await.unwrap();
        assert_eq!((page.notifications.len(), page.has_more), (shown, true));
    }
}

pub async fn inboxes_are_apart(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send(&w.alice).await;
    let of_bob = w.send(&w.bob).await;
    assert_eq!(w.list(w.query(&w.bob)).await, [of_bob]);
    let query = PageQuery { page: Some(1), ..w.query(&user("nobody")) };
    let page = w.store.page(query).await.unwrap();
    assert_eq!((page.notifications.len(), page.total, page.has_more), (0, Some(0), false));
}
