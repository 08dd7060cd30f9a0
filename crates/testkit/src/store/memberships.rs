//! The members of rooms.

use tidings_core::{
    ids::{RoomId, UserId},
    ports::NewMembers,
};

use super::{StoreHarness, world::World};
use crate::user;

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

fn users<const N: usize>(names: [&str; N]) -> [UserId; N] {
    names.map(user)
}

fn names(users: &[UserId]) -> Vec<&str> {
    users.iter().map(UserId::as_str).collect()
}

pub async fn members_are_added_once_and_listed_by_id(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let team = room("team:1");
    let added = w.store.add_members(&team, &users(["cem", "ana", "cem"]), 10).await.unwrap();
    assert_eq!(added, NewMembers::Added(2));
    let added = w.store.add_members(&team, &users(["ana", "bo"]), 10).await.unwrap();
    assert_eq!(added, NewMembers::Added(1));
    w.reopen().await;
    let first = w.store.members(&team, None, 2).await.unwrap();
    assert_eq!(names(&first), ["ana", "bo"]);
    let rest = w.store.members(&team, first.last(), 2).await.unwrap();
    assert_eq!(names(&rest), ["cem"]);
    assert!(w.store.members(&room("team:2"), None, 2).await.unwrap().is_empty());
}

pub async fn a_room_takes_no_more_than_its_size(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let dm = room("dm:1");
    w.store.add_members(&dm, &users(["ana", "bo"]), 3).await.unwrap();
    let refused = w.store.add_members(&dm, &users(["cem", "dot"]), 3).await.unwrap();
    assert_eq!(refused, NewMembers::Full { members: 2 });
    assert_eq!(w.store.members(&dm, None, 10).await.unwrap().len(), 2, "all or none");
    let added = w.store.add_members(&dm, &users(["ana", "cem"]), 3).await.unwrap();
    assert_eq!(added, NewMembers::Added(1), "who is there already takes no place");
    // A size that was lowered since lets nobody in, but those who are in may be named again.
    let again = w.store.add_members(&dm, &users(["ana"]), 1).await.unwrap();
    assert_eq!(again, NewMembers::Added(0));
}

pub async fn who_is_removed_is_named_and_gone(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let team = room("team:1");
    w.store.add_members(&team, &users(["ana", "bo"]), 10).await.unwrap();
    let gone = w.store.remove_members(&team, &users(["bo", "cem"])).await.unwrap();
    assert_eq!(names(&gone), ["bo"]);
    assert_eq!(names(&w.store.members(&team, None, 10).await.unwrap()), ["ana"]);
    assert!(w.store.remove_members(&team, &users(["bo"])).await.unwrap().is_empty());
}

pub async fn the_rooms_of_a_user_among_others(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let rooms = ["team:1", "team:2", "team:3"].map(room);
    for room in [&rooms[0], &rooms[2]] {
        w.store.add_members(room, &users(["ana"]), 10).await.unwrap();
    }
    let ana = UserId::new("ana").unwrap();
    assert_eq!(
        w.store.memberships(&ana, &rooms).await.unwrap(),
        [rooms[0].clone(), rooms[2].clone()]
    );
    let bo = UserId::new("bo").unwrap();
    assert!(w.store.memberships(&bo, &rooms).await.unwrap().is_empty());
}

pub async fn all_rooms_of_a_user_by_id(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let rooms = ["a:1", "b:1", "c:1"].map(room);
    for room in rooms.iter().rev() {
        w.store.add_members(room, &users(["ana", "bo"]), 10).await.unwrap();
    }
    w.store.add_members(&room("b:2"), &users(["bo"]), 10).await.unwrap();
    let ana = user("ana");
    assert_eq!(w.store.rooms_of(&ana, None, 10).await.unwrap(), rooms);
    assert_eq!(w.store.rooms_of(&ana, None, 2).await.unwrap(), rooms[..2]);
    assert_eq!(w.store.rooms_of(&ana, Some(&rooms[1]), 2).await.unwrap(), rooms[2..]);
    assert!(w.store.rooms_of(&user("cem"), None, 10).await.unwrap().is_empty());
}
