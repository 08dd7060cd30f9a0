use std::time::Duration;

use super::*;
use crate::presence::{News, Round, Settings};

const ME: Incarnation = Incarnation(1);
const HOLD: Duration = Duration::from_secs(1);

struct World {
    board: Board,
    now: Timestamp,
    dead: Vec<Incarnation>,
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn at(node: u64, socket: &str, rooms: &[&str]) -> Connection {
    let opened_at = Timestamp::from_millis(900_000);
    let rooms = rooms.iter().map(|name| room(name)).collect();
    Connection { rooms, ..Connection::new(Incarnation(node), socket.into(), opened_at) }
}

fn record(name: &str, version: u64, connections: &[Connection]) -> Record {
    Record { user: user(name), version, connections: connections.to_vec() }
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            grace: Duration::from_secs(5),
            large_room: 8,
            large_pause: Duration::from_secs(1),
            hold: Some(HOLD),
        };
        Self { board: Board::new(settings), now: Timestamp::from_millis(1_000_000), dead: vec![] }
    }

    /// Bob is here, in this room, and it was read.
    fn with_bob(name: &str) -> Self {
        let mut world = Self::new();
        world.joins("bob", 1, name);
        world.board.has_been_read(&room(name));
        world.tick();
        world
    }

    fn joins(&mut self, name: &str, id: u64, joined: &str) {
        let (id, socket) = (super::super::DeviceId(id), format!("s{id}"));
        if self.board.of_this_node(&user(name), ME).is_none_or(|own| own.is_empty()) {
            let socket = Some(socket.as_str().into());
            self.board.connect(&user(name), id, socket, None, self.now);
        }
        self.board.enter(&user(name), id, &socket, &room(joined), self.now);
    }

    fn hear(&mut self, record: &Record, scope: Scope<'_>) {
        let dead = self.dead.clone();
        let lives = |node| !dead.contains(&node);
        self.board.hear(record, scope, Here { me: ME, lives: &lives }, self.now);
    }

    fn tick(&mut self) -> Vec<String> {
        told(&self.board.tick(self.now))
    }

    fn later(&mut self, seconds: u64) -> Vec<String> {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.tick()
    }
}

/// `room: user=status …; -left`, and who came and went.
fn told(round: &Round) -> Vec<String> {
    let mut told = Vec::new();
    for update in &round.rooms {
        let news = update.news.iter().chain(&update.snapshot);
        for one in news {
            let News::Users { users, left, full } = one else { continue };
            let mut users: Vec<String> =
                users.iter().map(|e| format!("{}={:?}", e.user_id, e.status)).collect();
            users.extend(left.iter().map(|user| format!("-{user}")));
            users.sort();
            let full = if *full { "all " } else { "" };
            told.push(format!("{}: {full}{}", update.room, users.join(" ")));
        }
    }
    told.extend(round.coming.iter().map(|one| format!("{} comes", one.entry.user_id)));
    told.extend(round.going.iter().map(|one| format!("{} goes", one.user)));
    told.sort();
    told
}

#[test]
fn a_room_waits_until_it_is_read_and_then_those_elsewhere_were_always_there() {
    let mut w = World::new();
    w.joins("bob", 1, "post:1");
    assert_eq!(w.tick(), [""; 0]);
    assert_eq!(w.board.take_unread(), HashSet::from([room("post:1")]));
    w.hear(&record("alice", 1, &[at(2, "a", &["post:1"])]), Scope::All);
    w.board.has_been_read(&room("post:1"));
    // The update without the snapshot is for those who are no newcomers, and there are none.
    let all = ["bob comes", "post:1: all alice=Online bob=Online", "post:1: bob=Online"];
    assert_eq!(w.tick(), all);
}

#[test]
fn a_room_that_cannot_be_read_is_told_what_is_known_and_the_rest_as_news() {
    let mut w = World::new();
    w.joins("bob", 1, "post:1");
    let first = ["bob comes", "post:1: all bob=Online", "post:1: bob=Online"];
    assert_eq!(w.later(1), first);
    w.hear(&record("alice", 1, &[at(2, "a", &["post:1"])]), Scope::All);
    assert_eq!(w.tick(), ["alice comes", "post:1: alice=Online"]);
}

#[test]
fn what_is_older_or_said_twice_changes_nothing() {
    let mut w = World::with_bob("post:1");
    let (one, two) = (room("post:1"), room("post:2"));
    let there = record("alice", 5, &[at(2, "a", &["post:1"])]);
    w.hear(&there, Scope::Room(&one));
    w.hear(&there, Scope::Room(&one));
    assert_eq!(w.tick(), ["alice comes", "post:1: alice=Online"]);
    w.hear(&record("alice", 4, &[]), Scope::Room(&one));
    w.hear(&record("carol", 4, &[at(2, "c", &["post:2"])]), Scope::Room(&two));
    assert_eq!(w.later(60), [""; 0]);
    assert!(!w.board.knows(&user("carol")), "nobody here is in that room");
}

#[test]
fn who_leaves_is_elsewhere_and_who_ends_is_offline_after_the_grace() {
    let mut w = World::with_bob("post:1");
    let one = room("post:1");
    let all = [at(2, "a", &["post:1"]), at(3, "b", &["post:1"])];
    w.hear(&record("alice", 1, &all), Scope::Room(&one));
    w.hear(&record("carol", 1, &[at(2, "c", &["post:1"])]), Scope::Room(&one));
    w.tick();
    // One of two connections is not all of her.
    w.hear(&record("alice", 2, &all[1..]), Scope::Room(&one));
    assert_eq!(w.later(60), [""; 0]);
    w.hear(&record("alice", 3, &[at(3, "b", &[])]), Scope::Room(&one));
    assert_eq!(w.tick(), ["post:1: -alice"]);
    assert!(!w.board.knows(&user("alice")));
    let gone = Connection { gone: Some(w.now), ..at(2, "c", &["post:1"]) };
    w.hear(&record("carol", 2, &[gone]), Scope::Room(&one));
    assert_eq!(w.tick(), [""; 0]);
    assert_eq!(w.later(5), ["carol goes", "post:1: carol=Offline"]);
}

#[test]
fn a_dead_nodes_connections_end_unless_they_are_said_again_by_its_next_run() {
    let mut w = World::with_bob("post:1");
    let one = room("post:1");
    w.hear(&record("alice", 1, &[at(2, "a", &["post:1"])]), Scope::Room(&one));
    w.hear(&record("carol", 1, &[at(2, "c", &["post:1"])]), Scope::Room(&one));
    w.tick();
    w.dead.push(Incarnation(2));
    w.board.lost(Incarnation(2), w.now);
    assert_eq!(w.tick(), [""; 0]);
    w.hear(&record("alice", 2, &[at(7, "a", &["post:1"])]), Scope::Room(&one));
    // The record of others has it yet, and that does not count.
    w.hear(&record("carol", 2, &[at(2, "c", &["post:1"])]), Scope::Room(&one));
    assert_eq!(w.later(5), ["carol goes", "post:1: carol=Offline"]);
    assert_eq!(w.later(60), [""; 0]);
}

#[test]
fn when_nobody_here_is_in_the_room_any_more_those_elsewhere_are_forgotten() {
    let mut w = World::with_bob("post:1");
    let bob = super::super::DeviceId(1);
    w.hear(&record("alice", 1, &[at(2, "a", &["post:1"])]), Scope::All);
    w.hear(&record("bob", 1, &[at(2, "x", &["post:1"])]), Scope::All);
    w.tick();
    w.board.leave(&user("bob"), bob, &room("post:1"));
    assert!(!w.board.knows(&user("alice")) && !w.board.follows(&room("post:1")));
    assert_eq!(w.later(60), [""; 0]);
    assert!(w.board.rooms.is_empty() && w.board.online() == 1);
    // Bob's own connection elsewhere makes a difference to bob.
    let busy = Connection { status: Status::Busy, ..at(2, "x", &[]) };
    w.hear(&record("bob", 2, &[busy]), Scope::All);
    let round = w.board.tick(w.now);
    assert_eq!(round.own.len(), 1);
    assert_eq!(round.own[0].1.status, Status::Busy);
}

#[test]
fn who_hides_on_one_node_is_hidden_on_all() {
    let mut w = World::with_bob("post:1");
    let hidden = Connection { invisible: true, ..at(2, "a", &[]) };
    w.joins("alice", 2, "post:1");
    assert_eq!(
        w.tick(),
        ["alice comes", "post:1: alice=Online", "post:1: all alice=Online bob=Online"]
    );
    w.hear(&record("alice", 1, &[hidden]), Scope::All);
    assert_eq!(w.tick(), ["alice goes", "post:1: alice=Offline"]);
    w.hear(&record("alice", 2, &[]), Scope::All);
    assert_eq!(w.later(5), ["alice comes", "post:1: alice=Online"]);
}

#[test]
fn a_connection_that_goes_on_here_is_not_two() {
    let mut w = World::with_bob("post:1");
    w.hear(&record("alice", 1, &[at(2, "s9", &["post:1"])]), Scope::All);
    w.tick();
    w.joins("alice", 9, "post:2");
    let own = w.board.of_this_node(&user("alice"), ME).unwrap();
    assert_eq!(own.len(), 1);
    w.hear(&record("alice", 2, &[at(2, "s9", &["post:1"])]), Scope::All);
    assert_eq!(w.board.elsewhere(), 0);
}
