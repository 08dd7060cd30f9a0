//! The registry in Redis. Everything of a user, or of a room, lies in its partition, together with
//! what each node has there: one script does what belongs together, in one round trip.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use redis::Script;
use tidings_core::{
    ids::UserId,
    ports::{BusError, Enlisted, Registry, RegistryError, Seated},
    registry::{Connection, Incarnation, Leftover, Record, RoomRecord, Roster, Seats},
    room::RoomName,
};

use super::{handle::Redis, partition::Partition};

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));
    };
}

script!(ENLIST, "lua/registry_enlist.lua");
script!(RENEW, "lua/registry_renew.lua");
script!(END, "lua/registry_end.lua");
script!(CLAIM, "lua/registry_claim.lua");
script!(PUT, "lua/registry_put.lua");
script!(RECORD, "lua/registry_record.lua");
script!(SEAT, "lua/registry_seat.lua");

/// Questions under way at the same time: they travel together.
const SIDE_BY_SIDE: usize = 256;

/// A cluster's registry in Redis.
pub struct RedisRegistry {
    redis: Redis,
}

impl RedisRegistry {
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn nodes(&self) -> String {
        self.redis.names().key(Partition::of("nodes"), "registry", "nodes")
    }

    fn user(&self, user: &UserId) -> String {
        self.redis.names().key(Partition::of(user.as_str()), "connections", user.as_str())
    }

    fn room(&self, room: &RoomName) -> String {
        self.redis.names().key(Partition::of(room.as_str()), "members", room.as_str())
    }

    /// What a node has in a partition.
    fn of_node(&self, node: Incarnation, partition: Partition) -> String {
        self.redis.names().key(partition, "left", &format!("{node}:{}", partition.tag()))
    }

    async fn put_one(
        &self,
        me: Incarnation,
        user: &UserId,
        connections: &[Connection],
    ) -> Result<Record, RegistryError> {
        let values: Result<Vec<String>, _> = connections
            .iter()
            .map(|one| Ok(format!("{me} {}", serde_json::to_string(one)?)))
            .collect();
        let values = values.map_err(|problem: serde_json::Error| unreadable(&problem))?;
        let answer = self.redis.run(&PUT, |script| {
            script.key(self.user(user)).key(self.of_node(me, Partition::of(user.as_str())));
            script.arg(me.0).arg(format!("u {user}"));
            for (one, value) in connections.iter().zip(&values) {
                script.arg(&*one.socket).arg(value);
            }
        });
        record(user, answer.await.map_err(away)?)
    }

    async fn record(&self, user: &UserId) -> Result<Record, RegistryError> {
        let answer = self.redis.run(&RECORD, |script| {
            script.key(self.user(user));
        });
        record(user, answer.await.map_err(away)?)
    }

    async fn seat_one(
        &self,
        me: Incarnation,
        seats: &Seats,
        most: Option<usize>,
    ) -> Result<i64, RegistryError> {
        let Seats { room, user, connections } = seats;
        let answer = self.redis.run(&SEAT, |script| {
            script.key(self.room(room)).key(self.of_node(me, Partition::of(room.as_str())));
            script.arg(me.0).arg(user.as_str()).arg(*connections);
            script.arg(most.map(|most| most.to_string()).unwrap_or_default());
            script.arg(format!("r {room} {user}"));
        });
        answer.await.map_err(away)
    }
}

fn away(problem: BusError) -> RegistryError {
    RegistryError(problem.0)
}

fn unreadable(problem: &impl ToString) -> RegistryError {
    RegistryError(format!("what it holds was not understood: {}", problem.to_string()))
}

fn record(user: &UserId, answer: Vec<String>) -> Result<Record, RegistryError> {
    let mut values = answer.into_iter();
    let version = values.next().unwrap_or_default();
    let version = version.parse().map_err(|problem| unreadable(&problem))?;
    // What a later version of the server wrote is left out rather than let it all fail.
    let connection = |value: String| {
        let (_, json) = value.split_once(' ')?;
        serde_json::from_str::<Connection>(json).ok()
    };
    Ok(Record { user: user.clone(), version, connections: values.filter_map(connection).collect() })
}

fn leftover(name: &str) -> Option<Leftover> {
    let mut words = name.split(' ');
    match (words.next()?, words.next()?, words.next()) {
        ("u", user, None) => Some(Leftover::User(UserId::new(user).ok()?)),
        ("r", room, Some(user)) => {
            Some(Leftover::Seats(RoomName::parse(room).ok()?, UserId::new(user).ok()?))
        }
        _ => None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Registry for RedisRegistry {
    async fn enlist(
        &self,
        node: &str,
        before: Option<Incarnation>,
        lease: Duration,
    ) -> Result<Enlisted, RegistryError> {
        let answer = self.redis.run(&ENLIST, |script| {
            script.key(self.nodes()).arg(node);
            script.arg(before.map(|run| run.to_string()).unwrap_or_default()).arg(millis(lease));
        });
        let (done, at, left): (u8, u64, u64) = answer.await.map_err(away)?;
        Ok(match done {
            1 => Enlisted::As(Incarnation(at)),
            _ => Enlisted::Taken { by: Incarnation(at), left: Duration::from_millis(left) },
        })
    }

    async fn renew(
        &self,
        me: Incarnation,
        lease: Duration,
    ) -> Result<Option<Roster>, RegistryError> {
        let answer = self.redis.run(&RENEW, |script| {
            script.key(self.nodes()).arg(me.0).arg(millis(lease));
        });
        let answer: Vec<String> = answer.await.map_err(away)?;
        let Some((newest, nodes)) = answer.split_first() else { return Ok(None) };
        let number = |text: &str| text.parse().map(Incarnation).map_err(|e| unreadable(&e));
        let mut roster = Roster { newest: number(newest)?, ..Roster::default() };
        for node in nodes.chunks_exact(3) {
            if let [at, lives, id] = node {
                match lives.as_str() {
                    "1" => drop(roster.live.insert(number(at)?, id.clone())),
                    _ => roster.dead.push(number(at)?),
                }
            }
        }
        Ok(Some(roster))
    }

    async fn quit(&self, me: Incarnation) -> Result<(), RegistryError> {
        let answer = self.redis.run::<()>(&END, |script| {
            script.key(self.nodes()).arg(me.0).arg("quit");
        });
        answer.await.map_err(away)
    }

    async fn put(
        &self,
        me: Incarnation,
        users: &[(UserId, Vec<Connection>)],
    ) -> Result<Vec<Record>, RegistryError> {
        let puts = users.iter().map(|(user, connections)| self.put_one(me, user, connections));
        stream::iter(puts.collect::<Vec<_>>()).buffered(SIDE_BY_SIDE).try_collect().await
    }

    async fn records(&self, users: &[UserId]) -> Result<Vec<Record>, RegistryError> {
        let records = users.iter().map(|user| self.record(user));
        stream::iter(records.collect::<Vec<_>>()).buffered(SIDE_BY_SIDE).try_collect().await
    }

    async fn seat(
        &self,
        me: Incarnation,
        seats: &Seats,
        most: usize,
    ) -> Result<Seated, RegistryError> {
        let users = self.seat_one(me, seats, Some(most)).await?;
        Ok(usize::try_from(users).map_or(Seated::Full, |users| Seated::Yes { users }))
    }

    async fn put_seats(&self, me: Incarnation, seats: &[Seats]) -> Result<(), RegistryError> {
        let puts = seats.iter().map(|one| self.seat_one(me, one, None));
        stream::iter(puts.collect::<Vec<_>>())
            .buffered(SIDE_BY_SIDE)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    async fn room(&self, room: &RoomName) -> Result<RoomRecord, RegistryError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(RedisRegistry::room(self, room));
        let users: BTreeMap<String, String> = self.redis.query(&command).await.map_err(away)?;
        let mut record = RoomRecord::default();
        for (user, nodes) in users {
            let Ok(user) = UserId::new(user) else { continue };
            let node = |part: &str| {
                let (at, connections) = part.split_once(':')?;
                Some((Incarnation(at.parse().ok()?), connections.parse().ok()?))
            };
            record.users.insert(user, nodes.split(',').filter_map(node).collect());
        }
        Ok(record)
    }

    async fn claim(
        &self,
        me: Incarnation,
        dead: Incarnation,
        hold: Duration,
    ) -> Result<bool, RegistryError> {
        let answer = self.redis.run(&CLAIM, |script| {
            script.key(self.nodes()).arg(me.0).arg(dead.0).arg(millis(hold));
        });
        answer.await.map_err(away)
    }

    async fn leftovers(
        &self,
        of: Incarnation,
        most: usize,
    ) -> Result<Vec<Leftover>, RegistryError> {
        // Some of each partition, so that not most of what comes is thrown away.
        let each = (most / 64).max(1);
        let some = |partition| async move {
            let mut command = redis::cmd("SRANDMEMBER");
            command.arg(self.of_node(of, partition)).arg(each);
            self.redis.query::<Vec<String>>(&command).await
        };
        let found: Vec<Vec<String>> = stream::iter(Partition::all().map(some))
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await
            .map_err(away)?;
        Ok(found.iter().flatten().filter_map(|name| leftover(name)).take(most).collect())
    }

    async fn bury(&self, dead: Incarnation) -> Result<(), RegistryError> {
        let answer = self.redis.run::<()>(&END, |script| {
            script.key(self.nodes()).arg(dead.0).arg("bury");
        });
        answer.await.map_err(away)
    }
}
