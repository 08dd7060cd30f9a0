//! What Node.js servers with Socket.IO's classic Redis adapter say to one another, and what its emitter says to them.
//!
//! A broadcast goes to the channel of its namespace, or to that of its room if it is for exactly one. Requests (who is
//! there, join, leave, …) go to one channel that each server subscribes once: they are counted, and whoever asks waits for
//! as many answers. All of this is only the codec, and [`Link`], which holds the connection.

mod answer;
mod bounds;
mod channels;
mod event;
mod json;
mod link;
mod msgpack;
mod request;
mod shape;

pub use answer::{Answer, SocketDetails};
pub use channels::{Channel, Channels};
pub use event::{Broadcast, Event, Selection};
pub use link::{Link, Listener, Outbox, Subscriptions};
pub use request::{Ask, Request, Whom};

/// Arrays and objects within one another.
const MAX_DEPTH: usize = 64;
/// Numbers, texts, arrays, … in one message.
const MAX_VALUES: usize = 100_000;
/// Rooms that one message names for one purpose.
const MAX_ROOMS: usize = 10_000;
/// Binary values in one event.
const MAX_ATTACHMENTS: usize = 1_000;
/// Longest id of a server or a request, in bytes; they have six.
const MAX_ID: usize = 64;

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is neither MessagePack nor JSON")]
    Syntax,
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("it holds too many {0}")]
    TooMany(&'static str),
    #[error("{0} is missing or not what it should be")]
    Shape(&'static str),
}

type Result<T> = std::result::Result<T, Malformed>;
