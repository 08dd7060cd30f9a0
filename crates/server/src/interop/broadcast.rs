//! What others say goes to the sockets of this node.

use tidings_bus::socketio::{Broadcast, Event, Selection};
use tidings_core::room::RoomName;
use tidings_gateway::{Frame, Gateway, Recipients, Target};

use super::{Interop, NAMESPACE, metrics::Outcome, names};
use crate::state::AppState;

/// `room`: the one that it is for, if the channel names one.
pub(super) fn receive(
    state: &AppState,
    interop: &Interop,
    room: Option<&str>,
    payload: &[u8],
) -> Outcome {
    let Some(gateway) = state.rooms.gateway() else { return Outcome::Unreached };
    // Most of what is said between others concerns nobody here: it is not even read.
    if room.is_some_and(|room| !gateway.may_reach(NAMESPACE, room)) {
        return Outcome::Unreached;
    }
    let broadcast = match Broadcast::read(payload) {
        Ok(broadcast) => broadcast,
        Err(problem) => {
            tracing::debug!(%problem, "a broadcast of Socket.IO cannot be read");
            return Outcome::Malformed;
        }
    };
    if Interop::is_ours(&broadcast.uid) {
        return Outcome::Own;
    }
    if broadcast.namespace != NAMESPACE {
        return Outcome::OtherNamespace;
    }
    if let Err(refused) = names::admit(state, interop, &broadcast.event) {
        return refused;
    }
    let frame = frame(&broadcast.event);
    with_recipients(state, &gateway, &broadcast.to, &broadcast.event.name, |recipients| {
        let recipients = if broadcast.volatile { recipients.volatile() } else { recipients };
        // Who cannot take it misses it: room events are at most once.
        recipients.emit(&frame);
    });
    Outcome::Delivered
}

pub(super) fn frame(event: &Event) -> Frame {
    let texts = |args: &[String]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Frame::event(&event.name, &args)
    };
    let frame = texts(&event.args);
    match &event.encoded {
        None => frame,
        Some(encoded) => frame.with_attachments(&event.attachments).plain_instead(&texts(encoded)),
    }
}

/// Those who are to get an event of this name: not who asked for others only.
pub(super) fn with_recipients<R>(
    state: &AppState,
    gateway: &Gateway,
    to: &Selection,
    name: &str,
    f: impl FnOnce(Recipients<'_>) -> R,
) -> R {
    let ours = to.rooms.iter().filter_map(|room| RoomName::parse(room).ok());
    let deaf: Vec<String> = ours.flat_map(|room| state.rooms.deaf_to(&room, name)).collect();
    let rooms: Vec<&str> = to.rooms.iter().map(String::as_str).collect();
    let except: Vec<&str> = to.except.iter().chain(&deaf).map(String::as_str).collect();
    f(gateway.to(NAMESPACE, Target::rooms(&rooms).except(&except)))
}
