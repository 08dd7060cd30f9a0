//! Sockets of ours that others put into rooms, take out of rooms, or send away.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use tidings_bus::socketio::{Answer, Whom};
use tidings_gateway::Socket;

use super::{
    Interop, NAMESPACE, ReplyTo,
    metrics::Outcome,
    names::{self, Room},
    requests::selected,
};
use crate::{inbox::InboxSession, rooms, state::AppState};

/// Sockets that are moved at the same time.
const AT_ONCE: usize = 32;
/// What is said next waits so long for a change: whoever was put into a room hears what is said there. A change that takes
/// longer goes on beside it.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) enum Change {
    Join(Vec<String>),
    Leave(Vec<String>),
    Disconnect { close: bool },
}

pub(super) async fn change(
    state: &AppState,
    interop: &Interop,
    whom: Whom,
    change: Change,
    reply: Option<ReplyTo>,
) -> Outcome {
    let Some(gateway) = state.rooms.gateway() else { return Outcome::Unreached };
    let (sockets, reply) = match whom {
        Whom::Selected(whom) => (selected(&gateway, &whom), None),
        Whom::One(id) => (gateway.socket(NAMESPACE, &id).into_iter().collect(), reply),
    };
    if sockets.is_empty() {
        return Outcome::Served;
    }
    let Ok(place) = Arc::clone(&interop.moving).try_acquire_owned() else {
        return Outcome::Overrun;
    };
    let state = state.clone();
    let moving = tokio::spawn(async move {
        let one = |socket: Arc<Socket>| apply(&state, socket, &change);
        stream::iter(sockets).for_each_concurrent(AT_ONCE, one).await;
        if let (Some(reply), Some(interop)) = (&reply, &state.interop) {
            interop.answer(reply, &Answer::Done);
        }
        drop(place);
    });
    // A panic there is reported where it happened.
    let _ = tokio::time::timeout(PATIENCE, moving).await;
    Outcome::Served
}

async fn apply(state: &AppState, socket: Arc<Socket>, change: &Change) {
    if let Change::Disconnect { close } = change {
        tracing::info!(event = "socketio.disconnected", socket_id = socket.id());
        return socket.disconnect(*close);
    }
    // Who is no more than about to be connected has no session that could be in rooms.
    let Some(session) = socket.data::<InboxSession>() else { return };
    match change {
        Change::Join(names) => {
            let most = state.config.limits.rooms_per_connection;
            for name in names.iter().take(most) {
                join(state, &session, name).await;
            }
        }
        Change::Leave(names) => {
            for name in names {
                leave(state, &session, name).await;
            }
        }
        Change::Disconnect { .. } => {}
    }
}

async fn join(state: &AppState, session: &InboxSession, name: &str) {
    match names::room(state, name) {
        Room::Ours(room) => rooms::bring(state, session, room).await,
        Room::Foreign => {
            // Beside its own rooms and those of the gateway that belong to them.
            let most = 4 * state.config.limits.rooms_per_connection + 4;
            if session.socket.rooms().len() < most {
                session.socket.join(name);
            }
        }
        Room::Never => {}
    }
}

async fn leave(state: &AppState, session: &InboxSession, name: &str) {
    match names::room(state, name) {
        Room::Ours(room) => rooms::send_out(state, session, &room).await,
        Room::Foreign => session.socket.leave(name),
        Room::Never => {}
    }
}
