//! A registry inside one process, for its nodes.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_core::{
    ids::UserId,
    ports::{Enlisted, Registry, RegistryError, Seated},
    registry::{Connection, Incarnation, Leftover, Record, RoomRecord, Roster, Seats},
    room::RoomName,
};

#[derive(Default)]
pub struct MemoryRegistry(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    newest: Incarnation,
    versions: u64,
    nodes: BTreeMap<Incarnation, Node>,
    users: HashMap<UserId, Record>,
    rooms: HashMap<RoomName, RoomRecord>,
}

struct Node {
    id: String,
    until: Instant,
    /// Who takes away what it left, and until when nobody else does.
    claim: Option<(Incarnation, Instant)>,
}

impl Inner {
    fn put(&mut self, me: Incarnation, user: &UserId, connections: &[Connection]) -> Record {
        let known = self.users.get(user);
        let others = known.into_iter().flat_map(|record| &record.connections);
        let is_other = |one: &&Connection| {
            one.at != me && connections.iter().all(|mine| mine.socket != one.socket)
        };
        let others: Vec<Connection> = others.filter(is_other).cloned().collect();
        let connections: Vec<Connection> = others.into_iter().chain(connections.to_vec()).collect();
        self.versions += 1;
        let record = Record { user: user.clone(), version: self.versions, connections };
        match record.connections.is_empty() {
            true => drop(self.users.remove(user)),
            false => drop(self.users.insert(user.clone(), record.clone())),
        }
        record
    }

    fn seat(&mut self, me: Incarnation, seats: &Seats) -> usize {
        let Seats { room, user, connections } = seats;
        let users = &mut self.rooms.entry(room.clone()).or_default().users;
        let nodes = users.entry(user.clone()).or_default();
        match connections {
            0 => nodes.remove(&me),
            n => nodes.insert(me, *n),
        };
        if nodes.is_empty() {
            users.remove(user);
        }
        let left = users.len();
        if left == 0 {
            self.rooms.remove(room);
        }
        left
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn enlist(
        &self,
        node: &str,
        before: Option<Incarnation>,
        lease: Duration,
    ) -> Result<Enlisted, RegistryError> {
        let mut inner = self.0.lock();
        let now = Instant::now();
        for (at, other) in inner.nodes.iter_mut().filter(|(_, other)| other.id == node) {
            if other.until > now && Some(*at) != before {
                return Ok(Enlisted::Taken { by: *at, left: other.until - now });
            }
            other.until = now;
        }
        let me = Incarnation(inner.newest.0 + 1);
        inner.newest = me;
        inner.nodes.insert(me, Node { id: node.to_owned(), until: now + lease, claim: None });
        Ok(Enlisted::As(me))
    }

    async fn renew(
        &self,
        me: Incarnation,
        lease: Duration,
    ) -> Result<Option<Roster>, RegistryError> {
        let mut inner = self.0.lock();
        let now = Instant::now();
        let Some(node) = inner.nodes.get_mut(&me).filter(|node| node.until > now) else {
            return Ok(None);
        };
        node.until = now + lease;
        let mut roster = Roster { newest: inner.newest, ..Roster::default() };
        for (at, node) in &inner.nodes {
            match node.until > now {
                true => drop(roster.live.insert(*at, node.id.clone())),
                false => roster.dead.push(*at),
            }
        }
        Ok(Some(roster))
    }

    async fn quit(&self, me: Incarnation) -> Result<(), RegistryError> {
        if let Some(node) = self.0.lock().nodes.get_mut(&me) {
            node.until = Instant::now();
        }
        Ok(())
    }

    async fn put(
        &self,
        me: Incarnation,
        users: &[(UserId, Vec<Connection>)],
    ) -> Result<Vec<Record>, RegistryError> {
        let mut inner = self.0.lock();
        Ok(users.iter().map(|(user, connections)| inner.put(me, user, connections)).collect())
    }

    async fn records(&self, users: &[UserId]) -> Result<Vec<Record>, RegistryError> {
        let inner = self.0.lock();
        let record = |user: &UserId| inner.users.get(user).cloned();
        let nothing = |user: &UserId| Record::nothing(user.clone(), inner.versions);
        let found = |user: &UserId| record(user).unwrap_or_else(|| nothing(user));
        Ok(users.iter().map(found).collect())
    }

    async fn seat(
        &self,
        me: Incarnation,
        seats: &Seats,
        most: usize,
    ) -> Result<Seated, RegistryError> {
        let mut inner = self.0.lock();
        if let Some(room) = inner.rooms.get(&seats.room)
            && room.users.len() >= most
            && !room.users.contains_key(&seats.user)
        {
            return Ok(Seated::Full);
        }
        Ok(Seated::Yes { users: inner.seat(me, seats) })
    }

    async fn put_seats(&self, me: Incarnation, seats: &[Seats]) -> Result<(), RegistryError> {
        let mut inner = self.0.lock();
        for one in seats {
            inner.seat(me, one);
        }
        Ok(())
    }

    async fn room(&self, room: &RoomName) -> Result<RoomRecord, RegistryError> {
        Ok(self.0.lock().rooms.get(room).cloned().unwrap_or_default())
    }

    async fn claim(
        &self,
        me: Incarnation,
        dead: Incarnation,
        hold: Duration,
    ) -> Result<bool, RegistryError> {
        let mut inner = self.0.lock();
        let now = Instant::now();
        let Some(node) = inner.nodes.get_mut(&dead).filter(|node| node.until <= now) else {
            return Ok(false);
        };
        if node.claim.is_some_and(|(by, until)| by != me && until > now) {
            return Ok(false);
        }
        node.claim = Some((me, now + hold));
        Ok(true)
    }

    async fn leftovers(
        &self,
        of: Incarnation,
        most: usize,
    ) -> Result<Vec<Leftover>, RegistryError> {
        let inner = self.0.lock();
        let has = |record: &&Record| record.connections.iter().any(|one| one.at == of);
        let users = inner.users.values().filter(has);
        let users = users.map(|record| Leftover::User(record.user.clone()));
        let seats = inner.rooms.iter().flat_map(|(name, room)| {
            let users = room.users.iter().filter(|(_, nodes)| nodes.contains_key(&of));
            users.map(|(user, _)| Leftover::Seats(name.clone(), user.clone()))
        });
        Ok(users.chain(seats).take(most).collect())
    }

    async fn bury(&self, dead: Incarnation) -> Result<(), RegistryError> {
        let mut inner = self.0.lock();
        let now = Instant::now();
        if inner.nodes.get(&dead).is_some_and(|node| node.until <= now) {
            inner.nodes.remove(&dead);
        }
        Ok(())
    }
}
