//! The board by itself: no connection, no clock.

use super::*;
use crate::room::RoomName;

struct World {
    board: Board,
    now: Timestamp,
    next: u64,
    cards: std::collections::HashMap<DeviceId, Card>,
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn update(json: &str) -> Update {
    serde_json::from_str(json).unwrap()
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            grace: Duration::from_secs(5),
            large_room: 8,
            large_pause: Duration::from_secs(1),
            hold: None,
        };
        Self {
            board: Board::new(settings),
            now: Timestamp::from_millis(1_000_000),
            next: 0,
            cards: Default::default(),
        }
    }

    fn connect(&mut self, name: &str, rooms: &[&str]) -> DeviceId {
        self.next += 1;
        let id = DeviceId(self.next);
        self.board.connect(&user(name), id, None, None, self.now);
        rooms.iter().for_each(|joined| self.enter(name, id, joined));
        id
    }

    fn enter(&mut self, name: &str, id: DeviceId, joined: &str) {
        self.board.enter(&user(name), id, &format!("s{}", id.0), &room(joined), self.now);
    }

    fn tick(&mut self) -> Round {
        self.board.tick(self.now)
    }

    fn later(&mut self, seconds: u64) -> Round {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.tick()
    }

    fn set(&mut self, name: &str, id: DeviceId, json: &str) -> Own {
        let card = update(json).apply(&self.cards.remove(&id).unwrap_or_default());
        self.cards.insert(id, card.clone());
        self.board.say(&user(name), id, card, self.now).unwrap()
    }
}

/// What rooms are told, as `room: user=status …; -left`.
fn told(round: &Round) -> Vec<String> {
    let mut told: Vec<String> = round
        .rooms
        .iter()
        .filter_map(|update| match update.news.as_ref()? {
            News::Users { users, left, .. } => {
                let status = |entry: &Entry| format!("{}={:?}", entry.user_id, entry.status);
                let mut parts: Vec<_> = users.iter().map(status).collect();
                parts.extend(left.iter().map(|user| format!("-{user}")));
                parts.sort();
                Some(format!("{} {}: {}", update.room, update.online, parts.join(" ")))
            }
            News::Counts { joined, left, more, .. } => Some(format!(
                "{} {}: +{} -{} {more}",
                update.room,
                update.online,
                joined.len(),
                left.len()
            )),
        })
        .collect();
    told.sort();
    told
}

fn announced(round: &Round) -> Vec<String> {
    let coming = round.coming.iter().map(|c| format!("+{} {:?}", c.entry.user_id, c.rooms));
    coming.chain(round.going.iter().map(|g| format!("-{} {:?}", g.user, g.rooms))).collect()
}

#[test]
fn devices_add_up_and_busy_wins() {
    let mut w = World::new();
    let (one, two) = (w.connect("alice", &["post:1"]), w.connect("alice", &[]));
    assert_eq!(told(&w.tick()), ["post:1 1: alice=Online"]);
    w.set("alice", one, r#"{"status":"away"}"#);
    assert_eq!(told(&w.tick()), [""; 0], "the other is still online");
    w.set("alice", two, r#"{"status":"away"}"#);
    assert_eq!(told(&w.tick()), ["post:1 1: alice=Away"]);
    w.set("alice", two, r#"{"status":"busy"}"#);
    w.set("alice", one, r#"{"status":"online"}"#);
    assert_eq!(told(&w.tick()), ["post:1 1: alice=Busy"]);
    w.set("alice", two, r#"{"status":"offline"}"#);
    assert_eq!(told(&w.tick()), ["post:1 1: alice=Online"]);
    w.set("alice", one, r#"{"status":"offline"}"#);
    assert_eq!(told(&w.tick()), ["post:1 0: alice=Offline"]);
}

#[test]
fn one_tab_closed_is_not_offline_and_a_return_is_silent() {
    let mut w = World::new();
    let one = w.connect("alice", &["post:1"]);
    w.tick();
    w.board.disconnect(&user("alice"), one, w.now);
    assert_eq!(told(&w.later(4)), [""; 0]);
    let two = w.connect("alice", &["post:1"]);
    assert_eq!(told(&w.later(60)), [""; 0], "the old one was never missed");
    let gone = w.now;
    w.board.disconnect(&user("alice"), two, gone);
    let round = w.later(5);
    assert_eq!(told(&round), ["post:1 0: alice=Offline"]);
    assert_eq!(announced(&round), ["-alice [\"post:1\"]"]);
    assert_eq!(round.last_seen, [(user("alice"), gone)]);
    assert!(w.board.people.is_empty() && w.board.rooms.is_empty() && w.board.online() == 0);
}

#[test]
fn what_is_said_stays_over_a_reload_until_its_time_is_over() {
    let mut w = World::new();
    let one = w.connect("alice", &["post:1"]);
    w.set("alice", one, r#"{"status":"busy","currentFeature":"board"}"#);
    w.tick();
    w.board.disconnect(&user("alice"), one, w.now);
    let two = w.connect("alice", &["post:1"]);
    assert_eq!(told(&w.later(1)), [""; 0]);
    w.set("alice", two, r#"{"status":"busy","currentFeature":"board"}"#);
    assert_eq!(told(&w.later(60)), [""; 0]);
}

#[test]
fn who_leaves_a_room_but_stays_elsewhere_has_left_it() {
    let mut w = World::new();
    let one = w.connect("alice", &["post:1", "post:2"]);
    w.tick();
    w.board.leave(&user("alice"), one, &room("post:1"));
    let round = w.tick();
    assert_eq!(told(&round), ["post:1 0: -alice"]);
    assert_eq!(announced(&round), [""; 0]);
}

#[test]
fn a_user_is_announced_once_to_those_who_did_not_know() {
    let mut w = World::new();
    let one = w.connect("alice", &["post:1"]);
    assert_eq!(announced(&w.tick()), ["+alice [\"post:1\"]"]);
    w.enter("alice", one, "post:2");
    let round = w.tick();
    assert_eq!(announced(&round), ["+alice [\"post:2\"]"]);
    assert_eq!(round.coming[0].known, [room("post:1")]);
}

#[test]
fn who_is_invisible_looks_like_somebody_who_left() {
    let mut w = World::new();
    let one = w.connect("alice", &["post:1"]);
    w.connect("alice", &[]);
    w.tick();
    let own = w.set("alice", one, r#"{"invisible":true}"#);
    assert!(own.invisible && own.status == Status::Online);
    let round = w.later(1);
    assert_eq!(told(&round), ["post:1 0: alice=Offline"]);
    assert_eq!(round.last_seen, [(user("alice"), w.now)]);
    assert_eq!(round.own.len(), 1, "the own devices know better");
    let entry = w.board.of_user(&user("alice")).unwrap();
    assert_eq!((entry.status, entry.last_seen), (Status::Offline, Some(w.now)));
    // Whatever is done meanwhile is not seen, by nobody.
    w.set("alice", one, r#"{"status":"busy","currentFeature":"secret"}"#);
    w.connect("alice", &["post:1"]);
    assert_eq!(told(&w.later(1)), [""; 0]);
    w.set("alice", one, r#"{"invisible":false}"#);
    assert_eq!(told(&w.tick()), ["post:1 1: alice=Busy"]);
}

#[test]
fn who_says_nothing_does_not_count_until_speaking_again() {
    let mut w = World::new();
    let one = w.connect("alice", &["post:1"]);
    w.tick();
    let silent_since = w.now;
    w.now = w.now.plus(Duration::from_secs(3_600));
    w.board.lapse(&user("alice"), one, Some(silent_since));
    let round = w.tick();
    assert_eq!(told(&round), ["post:1 0: alice=Offline"]);
    assert_eq!(round.last_seen, [(user("alice"), silent_since)]);
    w.board.lapse(&user("alice"), one, None);
    assert_eq!(told(&w.tick()), ["post:1 1: alice=Online"]);
}

#[test]
fn newcomers_and_those_who_missed_something_are_told_everything() {
    let mut w = World::new();
    w.connect("alice", &["post:1"]);
    let round = w.tick();
    assert_eq!(round.rooms[0].newcomers, ["s1".into()]);
    w.connect("bob", &["post:1"]);
    let round = w.tick();
    assert_eq!(told(&round), ["post:1 2: bob=Online"]);
    assert_eq!(round.rooms[0].newcomers, ["s2".into()]);
    let Some(News::Users { users, full: true, .. }) = &round.rooms[0].snapshot else { panic!() };
    assert_eq!(users.len(), 2);
    w.board.missed(&room("post:1"), ["s1".into()]);
    let round = w.tick();
    assert!(round.rooms[0].news.is_none() && round.rooms[0].newcomers == ["s1".into()]);
    assert!(w.tick().rooms.is_empty(), "told once");
}

#[test]
fn large_rooms_get_counts_and_a_few_names_at_their_own_pace() {
    let mut w = World::new();
    let ids: Vec<_> = (0..50).map(|n| w.connect(&format!("u{n}"), &["post:1"])).collect();
    let round = w.tick();
    assert_eq!(told(&round), ["post:1 50: +20 -0 true"]);
    assert!(announced(&round).is_empty());
    let leave = |w: &mut World, n: usize| {
        w.board.leave(&user(&format!("u{n}")), ids[n], &room("post:1"));
    };
    leave(&mut w, 0);
    assert_eq!(told(&w.tick()), [""; 0], "not before its time");
    assert_eq!(told(&w.later(1)), ["post:1 49: +0 -1 false"]);
    // At the edge it stays large; well below it, everybody is told everything.
    (1..43).for_each(|n| leave(&mut w, n));
    assert_eq!(told(&w.later(1)), ["post:1 7: +0 -20 true"]);
    leave(&mut w, 43);
    let round = w.later(1);
    let Some(News::Users { users, full: true, .. }) = &round.rooms[0].news else { panic!() };
    assert_eq!(users.len(), 6);
}

#[test]
fn of_a_crowd_only_the_update_tells() {
    let mut w = World::new();
    w.board.settings.large_room = 100;
    for n in 0..21 {
        w.connect(&format!("u{n}"), &["post:1"]);
    }
    let round = w.tick();
    assert!(announced(&round).is_empty());
    assert_eq!(round.rooms[0].online, 21);
}

#[test]
fn connections_that_come_and_go_are_forgotten_but_for_the_last() {
    let mut w = World::new();
    for _ in 0..100 {
        let id = w.connect("alice", &["post:1"]);
        w.board.disconnect(&user("alice"), id, w.now);
    }
    assert!(w.board.people[&user("alice")].devices.len() <= 5);
    assert_eq!(told(&w.tick()), ["post:1 1: alice=Online"]);
    assert_eq!(told(&w.later(5)), ["post:1 0: alice=Offline"]);
    assert!(w.board.rooms.is_empty() && w.board.leaving.is_empty());
}

#[test]
fn updates_are_bounded_and_name_the_field() {
    let long = "x".repeat(129);
    let cases = [
        (format!(r#"{{"currentFeature":"{long}"}}"#), "currentFeature"),
        (format!(r#"{{"role":"{}"}}"#, &long[..33]), "role"),
        (format!(r#"{{"device":"{}"}}"#, &long[..33]), "device"),
        (format!(r#"{{"metadata":{{"a":"{}"}}}}"#, "x".repeat(1_024)), "metadata"),
        (r#"{"metadata":[1]}"#.to_owned(), "metadata"),
        (r#"{"role":"a\nb"}"#.to_owned(), "role"),
    ];
    for (json, field) in cases {
        assert_eq!(update(&json).check().unwrap_err().field, field);
    }
    let most = format!(r#"{{"currentFeature":"{}","metadata":{{}}}}"#, "ü".repeat(128));
    assert_eq!(update(&most).check(), Ok(()));
}

#[test]
fn null_takes_a_field_away_and_silence_leaves_it() {
    let mut w = World::new();
    let id = w.connect("alice", &[]);
    w.set("alice", id, r#"{"currentFeature":"a","role":"r","metadata":{"x":1}}"#);
    let own = w.set("alice", id, r#"{"currentFeature":null}"#);
    assert_eq!((own.details.current_feature, own.details.role.as_deref()), (None, Some("r")));
    assert_eq!(own.details.metadata.unwrap().get(), r#"{"x":1}"#);
}

#[test]
fn typing_is_told_once_and_ends_by_itself() {
    let (alice, post) = (user("alice"), room("post:1"));
    let (one, two) = (DeviceId(1), DeviceId(2));
    let mut typists = Typists::new(Duration::from_secs(5));
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
    assert_eq!(typists.start(&alice, one, &post, at(0)), Ok(true));
    assert_eq!(typists.start(&alice, one, &post, at(3)), Ok(false));
    assert_eq!(typists.start(&alice, two, &post, at(4)), Ok(false));
    assert_eq!(typists.tick(at(8)), [], "the other device still types");
    assert_eq!(typists.tick(at(9)), [(post.clone(), alice.clone())]);
    assert_eq!(typists.count(), 0);
    assert_eq!(typists.start(&alice, one, &post, at(10)), Ok(true));
    assert!(typists.stop(one, &post) && !typists.stop(one, &post));
    // Gone and back before anybody was told: there is nothing to tell.
    assert_eq!(typists.start(&alice, one, &post, at(11)), Ok(true));
    typists.leave(&alice, one, &post);
    assert_eq!(typists.start(&alice, two, &post, at(11)), Ok(false));
    assert_eq!(typists.tick(at(12)), []);
    for n in 2..9 {
        assert_eq!(typists.start(&alice, two, &room(&format!("post:{n}")), at(12)), Ok(true));
    }
    assert_eq!(typists.start(&alice, two, &room("post:9"), at(12)), Err(TooManyTyping));
    typists.tick(at(60));
    assert_eq!(typists.count(), 0);
}
