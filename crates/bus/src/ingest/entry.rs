//! An entry of the stream.

use redis::{Value, from_redis_value_ref, streams::StreamId};

/// What an application left.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: String,
    /// `None`: it has no field of that name.
    pub payload: Option<Vec<u8>>,
    /// Where it was published, if it was.
    pub channel: Option<String>,
}

impl From<StreamId> for Entry {
    fn from(found: StreamId) -> Self {
        let bytes = |name: &str| -> Option<Vec<u8>> {
            let value: &Value = found.map.get(name)?;
            from_redis_value_ref(value).ok()
        };
        let channel = bytes("channel").map(|name| String::from_utf8_lossy(&name).into_owned());
        Self { payload: bytes("payload"), channel, id: found.id }
    }
}
