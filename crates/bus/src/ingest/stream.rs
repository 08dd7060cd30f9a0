//! The stream, its consumer group, and where its dead go.

use std::time::Duration;

use redis::{
    Cmd, FromRedisValue, Script,
    streams::{StreamAutoClaimReply, StreamInfoConsumersReply, StreamReadReply},
};
use tidings_core::ports::BusError;

use super::{Entry, Settings};
use crate::redis::Redis;

/// A consumer that has nothing and was silent for so long is no more.
const FORGOTTEN: Duration = Duration::from_secs(3_600);
/// Longest reason of a dead entry, in characters.
const MAX_REASON: usize = 2_000;

/// This node's end of the stream.
pub struct Stream {
    redis: Redis,
    settings: Settings,
    take: Script,
    /// The group is there, as far as we know: a Redis that forgot everything has lost it too.
    has_group: bool,
}

/// What became of a message on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Here,
    Elsewhere,
    Full,
}

type Result<T> = std::result::Result<T, BusError>;

impl Stream {
    pub fn new(redis: Redis, settings: Settings) -> Self {
        let take = Script::new(include_str!("take.lua"));
        Self { redis, settings, take, has_group: false }
    }

    /// Entries of this node that it has not carried out yet, from the oldest on.
    pub async fn own(&mut self, count: usize) -> Result<Vec<Entry>> {
        self.read("0", count).await
    }

    /// Entries that nobody has yet.
    pub async fn fresh(&mut self, count: usize) -> Result<Vec<Entry>> {
        self.read(">", count).await
    }

    async fn read(&mut self, from: &str, count: usize) -> Result<Vec<Entry>> {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.settings.group).arg(&self.settings.consumer);
        command.arg("COUNT").arg(count).arg("STREAMS").arg(&self.settings.stream).arg(from);
        let reply: Option<StreamReadReply> = self.ask(&command).await?;
        let streams = reply.into_iter().flat_map(|reply| reply.keys);
        Ok(streams.flat_map(|stream| stream.ids).map(Entry::from).collect())
    }

    /// Takes over entries of nodes that have said nothing of them for that long.
    pub async fn reclaim(&mut self, idle: Duration, count: usize) -> Result<Vec<Entry>> {
        let mut command = redis::cmd("XAUTOCLAIM");
        command.arg(&self.settings.stream).arg(&self.settings.group).arg(&self.settings.consumer);
        command.arg(millis(idle)).arg("0-0").arg("COUNT").arg(count);
        let reply: StreamAutoClaimReply = self.ask(&command).await?;
        Ok(reply.claimed.into_iter().map(Entry::from).collect())
    }

    /// They are carried out, and go. Gives how many of them nobody else had said this of.
    pub async fn done(&mut self, ids: &[String]) -> Result<usize> {
        if ids.is_empty() {
            return Ok(0);
        }
        let Settings { stream, group, .. } = &self.settings;
        let mut both = redis::pipe();
        both.atomic().cmd("XACK").arg(stream).arg(group).arg(ids);
        both.cmd("XDEL").arg(stream).arg(ids).ignore();
        let mut connection = self.redis.connection().await?;
        let answer: redis::RedisResult<(usize,)> = both.query_async(&mut connection).await;
        Ok(self.redis.judge(answer).await?.0)
    }

    /// It cannot be carried out: it is put aside with the reason. In a Cluster the dead are elsewhere, so that it
    /// may be put aside twice, but never lost.
    pub async fn bury(&mut self, entry: &Entry, reason: &str) -> Result<()> {
        let reason: String = reason.chars().take(MAX_REASON).collect();
        let mut command = redis::cmd("XADD");
        command.arg(self.settings.dead()).arg("MAXLEN").arg("~").arg(self.settings.dead_length);
        command.arg("*").arg("id").arg(&entry.id).arg("reason").arg(reason);
        if let Some(channel) = &entry.channel {
            command.arg("channel").arg(channel);
        }
        command.arg("payload").arg(entry.payload.as_deref().unwrap_or_default());
        self.redis.query::<()>(&command).await?;
        self.done(std::slice::from_ref(&entry.id)).await?;
        Ok(())
    }

    /// Forgets nodes that are long gone: each start makes a new one.
    pub async fn forget_consumers(&mut self) -> Result<()> {
        let Settings { stream, group, consumer, .. } = self.settings.clone();
        let mut command = redis::cmd("XINFO");
        command.arg("CONSUMERS").arg(&stream).arg(&group);
        let reply: StreamInfoConsumersReply = self.ask(&command).await?;
        let gone = reply.consumers.into_iter().filter(|other| {
            let idle = Duration::from_millis(other.idle as u64);
            other.name != consumer && other.pending == 0 && idle >= FORGOTTEN
        });
        for other in gone {
            let mut command = redis::cmd("XGROUP");
            command.arg("DELCONSUMER").arg(&stream).arg(&group).arg(other.name);
            self.ask::<()>(&command).await?;
        }
        Ok(())
    }

    /// Puts a message of a channel into the stream, unless another node did.
    pub async fn take(&self, channel: &str, payload: &[u8]) -> Result<Taken> {
        let settings = &self.settings;
        let prepare = |invocation: &mut redis::ScriptInvocation<'_>| {
            invocation.key(settings.claim(channel, payload)).key(&settings.stream);
            invocation.arg(millis(settings.same_within)).arg(settings.max_backlog);
            invocation.arg(channel).arg(payload);
        };
        Ok(match self.redis.run::<i64>(&self.take, prepare).await? {
            1 => Taken::Here,
            0 => Taken::Elsewhere,
            _ => Taken::Full,
        })
    }

    /// Of what needs the group.
    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        if !self.has_group {
            self.make_group().await?;
            self.has_group = true;
        }
        let answer = self.redis.query(command).await;
        self.has_group = answer.is_ok();
        answer
    }

    async fn make_group(&self) -> Result<()> {
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(&self.settings.stream).arg(&self.settings.group);
        command.arg("0").arg("MKSTREAM");
        let mut connection = self.redis.connection().await?;
        match command.query_async::<()>(&mut connection).await {
            Err(problem) if problem.code() == Some("BUSYGROUP") => Ok(()),
            answer => self.redis.judge(answer).await,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
