//! The gateway of Tidings: transports, sessions, namespaces, rooms and the fan-out hub.
//!
//! How a message travels: a [`Frame`] is encoded once ([`frame`]); the [`hub`] walks a room's dense array of sockets
//! and gives it to each session ([`engine`]), which writes it to its TCP stream there and then, or queues it ([`out`])
//! behind what the kernel has not taken yet. The other way, one small task per WebSocket ([`engine::conn`]) reads into a
//! buffer of its thread, and hands whole packets to [`socketio`], which calls the application's [`Namespace`].
//! Over [`tls`] all of it is the same, with encryption under the session's lock ([`engine::pipe`]).
//! Clients without Socket.IO ([`plain`], [`EventStream`]) share all of it, and the rooms; those whose connection breaks may go on where
//! they were ([`recovery`]).

mod clock;
mod config;
mod cut;
mod engine;
mod frame;
mod gateway;
mod gather;
mod half_open;
mod handshake;
mod hub;
mod id;
mod layer;
mod metrics;
mod namespace;
mod out;
mod plain;
mod query;
mod reason;
mod recovery;
mod serve;
mod socketio;
mod table;
mod tls;
mod wheel;

pub use config::Config;
pub use cut::Cut;
pub use engine::{Body, EventStream, Session};
pub use frame::{Frame, Tail};
pub use gateway::{Builder, Gateway};
pub use handshake::{Admission, Guard, Handshake, Headers, Rejection};
pub use hub::{Emitted, Recipients, Target};
pub use layer::{Engine, Message};
pub use metrics::Metrics;
pub use namespace::{AckError, ConnectError, Event, Namespace, SendError};
pub use plain::{Plain, PlainError, PlainMessage, PlainSocket};
pub use reason::DisconnectReason;
pub use recovery::{Arrival, Claim, Kept, Missing, Passport, Recovery, Returning, SavedSession};
pub use serve::{PeerAddr, bind, serve};
pub use socketio::{AckSender, Acknowledged, Asked, Socket};
pub use table::{Keyed, Table};
pub use tls::{Identity, IdentityError, Tls, TlsLimits};

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    /// The allocator makes 320 and 160 bytes of the first two, with the counts of their `Arc`s, and 64 of a room. A node
    /// holds tens of thousands of these, nearly all of them idle. Whoever makes one larger says so here.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<crate::Session>() <= 304, "{}", size_of::<crate::Session>());
        assert!(size_of::<crate::Socket>() <= 144, "{}", size_of::<crate::Socket>());
        assert!(size_of::<crate::hub::Room>() <= 48, "{}", size_of::<crate::hub::Room>());
        assert!(size_of::<crate::engine::Conn>() <= 24, "{}", size_of::<crate::engine::Conn>());
    }
}
