//! What rooms remember, in Redis: positions are of each room, and an epoch ends with what is
//! known of the room.

use std::sync::{Arc, LazyLock};

use redis::{FromRedisValue, RedisResult, Script, Value};
use tidings_core::{
    ports::BusError,
    room::{Epoch, History, Past, Position, RoomEvent, RoomName, RoomSignal},
    time::Timestamp,
};

use super::{
    channel::{Names, Topic},
    handle::Redis,
    partition::Partition,
    wire::{self, Voice},
};

static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("lua/history_keep.lua"),
        include_str!("lua/history_publish.lua")
    ))
});
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/history_read.lua")));

/// What one room remembers at most, in bytes.
const MAX_BYTES: usize = 8 << 20;

pub(super) fn keys(names: &Names, room: &RoomName) -> [String; 2] {
    let partition = Partition::of(room.as_str());
    ["history", "events"].map(|noun| names.key(partition, noun, room.as_str()))
}

pub(super) fn new_epoch() -> String {
    Epoch(rand::random()).to_string()
}

/// Why an event is not kept.
pub(super) enum NotKept {
    /// Nobody heard of it.
    Refused(BusError),
    /// There was no answer: perhaps it is, and everybody heard of it.
    Unknown(BusError),
}

/// Everybody who listens, also this node, hears of it with its position.
pub(super) async fn publish(
    redis: &Redis,
    voice: &Voice,
    event: &RoomEvent,
    limits: History,
) -> Result<(), NotKept> {
    let names = redis.names();
    let channel = names.channel(&Topic::Room(event.room.clone()));
    let [meta, events] = keys(names, &event.room);
    let mut connection = redis.connection().await.map_err(NotKept::Refused)?;
    let mut script = PUBLISH.key(meta);
    script.key(events);
    script.arg(new_epoch()).arg(event.at.as_millis()).arg(limits.messages);
    script.arg(millis(limits)).arg(MAX_BYTES).arg(names.publish()).arg(channel);
    script.arg(voice.history()).arg(wire::event_text(event));
    // A connection to a Cluster may send it again by itself.
    script.arg(format!("{:016x}", rand::random::<u64>()));
    let answer: RedisResult<Value> = script.invoke_async(&mut connection).await;
    let is_refusal = answer.as_ref().is_err_and(|problem| problem.code().is_some());
    match redis.judge(answer).await {
        Ok(_) => Ok(()),
        Err(problem) if is_refusal => Err(NotKept::Refused(problem)),
        Err(problem) => Err(NotKept::Unknown(problem)),
    }
}

pub(super) async fn read(
    redis: &Redis,
    room: &RoomName,
    since: Option<Position>,
    limits: History,
    now: Timestamp,
) -> Result<Past, BusError> {
    let [meta, events] = keys(redis.names(), room);
    let answer: Vec<Value> = redis
        .run(&READ, |script| {
            script.key(meta).key(events);
            script.arg(new_epoch()).arg(now.as_millis()).arg(limits.messages).arg(millis(limits));
            match since {
                Some(since) => script.arg(since.epoch.to_string()).arg(since.offset),
                None => script.arg("").arg(0),
            };
        })
        .await?;
    past(answer).ok_or_else(|| BusError(format!("the history of {room} was not understood")))
}

/// The history of a room is not whole any more: it begins again.
pub(super) async fn forget(redis: &Redis, room: &RoomName) -> Result<(), BusError> {
    redis.query(redis::cmd("DEL").arg(&keys(redis.names(), room))).await
}

pub(super) fn millis(limits: History) -> u64 {
    u64::try_from(limits.age.as_millis()).unwrap_or(u64::MAX)
}

fn past(answer: Vec<Value>) -> Option<Past> {
    let mut values = answer.into_iter();
    let epoch = Epoch::try_from(String::from_redis_value(values.next()?).ok()?).ok()?;
    let offset = u64::from_redis_value(values.next()?).ok()?;
    let whole = i64::from_redis_value(values.next()?).ok()? == 1;
    let entry = |value: Value| {
        let text = String::from_redis_value(value).ok()?;
        let (offset, rest) = text.split_once(' ')?;
        let (_, event) = rest.split_once(' ')?;
        let position = Position { epoch, offset: offset.parse().ok()? };
        wire::kept(event, position).ok().map(Arc::new)
    };
    let missed: Option<Vec<Arc<RoomSignal>>> = values.map(entry).collect();
    Some(Past { position: Position { epoch, offset }, missed: missed.filter(|_| whole) })
}
