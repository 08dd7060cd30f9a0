//! Events that are kept for clients which come back on another node. They are said like others, without anybody waiting
//! for Redis; but Redis also gives them a place in their room, and keeps them for a while.

use std::sync::{Arc, LazyLock};

use redis::{Cmd, FromRedisValue as _, Value};
use tidings_core::{
    ports::BusError,
    room::{Epoch, Memory, Position, RoomEvent, RoomName, RoomSignal},
};

use super::{
    channel::Topic,
    history,
    shared::{Shared, away},
    speaker::Utterance,
    wire,
};

/// As it is, but for the comments: a script that Redis was only told the sum of might be gone by the time that this is said.
static SAY: LazyLock<String> = LazyLock::new(|| {
    let script = concat!(include_str!("lua/history_keep.lua"), include_str!("lua/memory_say.lua"));
    let lines = script.lines().map(str::trim);
    lines.filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n")
});
/// What is kept of one room at most, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// An event that is to be kept, until it is known whether it was.
pub(super) struct Kept {
    shared: Arc<Shared>,
    room: RoomName,
    id: u64,
    at: i64,
    memory: Memory,
    settled: bool,
}

/// Says it here at once, and to the others.
pub(super) fn publish(
    shared: &Arc<Shared>,
    signal: &Arc<RoomSignal>,
    event: &RoomEvent,
    memory: Memory,
) -> Result<(), BusError> {
    shared.tell_room(signal);
    let topic = Topic::Room(event.room.clone());
    let kept = Kept {
        shared: Arc::clone(shared),
        room: event.room.clone(),
        id: memory.id,
        at: event.at.as_millis(),
        memory,
        settled: false,
    };
    let payload = wire::event_text(event).into_bytes();
    let channel = shared.redis.names().channel(&topic);
    match shared.utter(&topic, Utterance { channel, payload, kept: Some(Box::new(kept)) }) {
        true => Ok(()),
        false => {
            shared.counters.unpublished.add(1);
            Err(away())
        }
    }
}

impl Kept {
    pub(super) fn command(&self, channel: &str, event: &[u8]) -> Cmd {
        let (names, voice) = (self.shared.redis.names(), &self.shared.voice);
        let [meta, events] = history::keys(names, &self.room);
        let limits = self.memory.limits;
        let mut command = redis::cmd("EVAL");
        command.arg(SAY.as_str()).arg(2).arg(meta).arg(events);
        command.arg(history::new_epoch()).arg(self.at).arg(limits.messages);
        command.arg(history::millis(limits)).arg(MAX_BYTES).arg(names.publish()).arg(channel);
        command.arg(voice.kept()).arg(event).arg(voice.event());
        command
    }

    /// What stands before the event if it is not kept.
    pub(super) fn plain(&self) -> Vec<u8> {
        self.shared.voice.event()
    }

    /// What Redis answered.
    pub(super) fn settle(mut self, answer: Value) {
        let Some(position) = position(answer) else { return };
        self.settled = true;
        self.shared.sink.placed(&self.room, self.id, Some(position));
    }
}

/// One that was not kept, or of which that is not known, is missing: nobody may believe what was kept whole.
impl Drop for Kept {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.breaks(&self.room);
            self.shared.sink.placed(&self.room, self.id, None);
        }
    }
}

fn position(answer: Value) -> Option<Position> {
    let (epoch, offset) = <(String, u64)>::from_redis_value(answer).ok()?;
    Some(Position { epoch: Epoch::try_from(epoch).ok()?, offset })
}
