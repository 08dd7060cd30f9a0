//! Socket.IO servers of others on the same Redis.

use serde::{Deserialize, Serialize};

use super::{Config, RedisUrl};

/// Whether, and how, this server is one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketIo {
    pub enabled: bool,
    /// Their Redis; without it `redis_url`.
    pub redis_url: Option<RedisUrl>,
    /// The option `key` of the adapter and the emitter.
    pub prefix: String,
    /// The option `publishOnSpecificResponseChannel` of the adapter.
    pub specific_responses: bool,
    /// Whether events with names of ours, such as `notification`, go through to clients.
    pub own_events: bool,
    /// Largest message from there, in bytes.
    pub max_message: usize,
}

impl Default for SocketIo {
    fn default() -> Self {
        Self {
            enabled: false,
            redis_url: None,
            prefix: "socket.io".into(),
            specific_responses: false,
            own_events: false,
            max_message: 1_000_000,
        }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let socketio = &config.socketio;
    need(
        !socketio.enabled || socketio.redis_url.is_some() || config.redis_url.is_some(),
        "socketio.enabled: name the Redis of the Socket.IO servers by socketio.redis_url or redis_url",
    );
    if let Some(Err(problem)) = socketio.redis_url.as_ref().map(|url| config.redis_at(url)) {
        need(false, &format!("socketio.redis_url: {problem}"));
    }
    let prefix = &socketio.prefix;
    need(
        (1..=64).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_graphic()),
        "socketio.prefix: must have 1 to 64 visible characters",
    );
    need(
        (1_000..=16_000_000).contains(&socketio.max_message),
        "socketio.max_message: must be between 1000 and 16000000 bytes",
    );
}
