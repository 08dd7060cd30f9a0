//! Rooms: who is in which, who may be, and what is said there.
//!
//! A node subscribes a room on the bus while a connection of it is in the room; what comes from
//! the bus goes to everybody in it by the gateway. Who may join is decided in this order: the
//! rule of the kind, the token, the memberships that the application keeps, the application itself
//! where a kind wants it asked. Until a connection leaves, that stays to be proven: a lost membership
//! is decided again at once, a renewed token too, and what store and application said every minute.

mod access;
mod again;
mod application;
pub(crate) mod commands;
mod elsewhere;
mod event_log;
mod events;
mod heard;
mod history;
mod hub;
mod join;
mod joined;
mod lens;
mod message;
mod publish;
mod resume;
mod subscription;
mod trail;
mod types;

pub(crate) use access::may_look;
pub(crate) use again::{Which, decide_again};
pub use application::Application;
pub(crate) use application::signing_key;
pub(crate) use elsewhere::{Held, missed, trail};
pub use event_log::EventLog;
pub(crate) use heard::catch_up;
pub(crate) use history::frame_for;
pub use hub::{Presence, RoomHub};
pub(crate) use join::{bring, close, open, own_room, send_out};
pub use joined::JoinedRooms;
pub(crate) use publish::{publish, say};
pub(crate) use resume::{
    Left, LeftRoom, Parked, Resumed, authorise, enter as resume, leave_behind,
};
pub(crate) use trail::Trail;
pub(crate) use types::TypeError;
pub use types::{EventSpec, EventTypes};
