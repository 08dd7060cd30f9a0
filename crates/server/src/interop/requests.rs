//! What others ask of every server.

use tidings_bus::socketio::{Answer, Ask, Request, Selection};
use tidings_gateway::{Gateway, Socket, Target};

use super::{
    Interop, NAMESPACE, ReplyTo, acks,
    membership::{self, Change},
    metrics::Outcome,
    names, sockets,
};
use crate::state::AppState;

pub(super) async fn receive(state: &AppState, interop: &Interop, payload: &[u8]) -> Outcome {
    let request = match Request::read(payload) {
        Ok(Some(request)) => request,
        Ok(None) => return Outcome::Unknown,
        Err(problem) => {
            tracing::debug!(%problem, "a request of Socket.IO cannot be read");
            return Outcome::Malformed;
        }
    };
    if request.uid.as_deref().is_some_and(Interop::is_ours) {
        return Outcome::Own;
    }
    // Without a gateway nothing is served any more: the connection ends too, and is not counted from then on.
    let Some(gateway) = state.rooms.gateway() else { return Outcome::Unreached };
    let reply = interop.reply_to(&request);
    let answer = |answer: &Answer<'_>| {
        if let Some(reply) = &reply {
            interop.answer(reply, answer);
        }
    };
    match request.ask {
        Ask::Sockets { rooms } => {
            let whom = Selection { rooms, except: Vec::new() };
            let found = selected(&gateway, &whom);
            let ids: Vec<_> = found.iter().map(|socket| socket.id().to_owned()).collect();
            answer(&Answer::Sockets(&ids));
        }
        Ask::AllRooms => answer(&Answer::Rooms(&all_rooms(&gateway))),
        Ask::Fetch { whom } => {
            let found = selected(&gateway, &whom);
            let details: Vec<_> =
                found.iter().map(|socket| sockets::details(state, socket)).collect();
            answer(&Answer::Fetched(&details));
        }
        Ask::Join { whom, rooms } => {
            return membership::change(state, interop, whom, Change::Join(rooms), reply).await;
        }
        Ask::Leave { whom, rooms } => {
            return membership::change(state, interop, whom, Change::Leave(rooms), reply).await;
        }
        Ask::Disconnect { whom, close } => {
            return membership::change(state, interop, whom, Change::Disconnect { close }, reply)
                .await;
        }
        // Nobody here listens to what servers tell one another; who waits for an answer gets one.
        Ask::ServerSideEmit => answer(&Answer::Heard),
        Ask::Emit { namespace, event, to, timeout } => {
            if namespace != NAMESPACE {
                return Outcome::OtherNamespace;
            }
            let Some(reply) = reply else { return Outcome::Malformed };
            if let Err(refused) = names::admit(state, interop, &event) {
                // Nobody gets it, and nobody has to be waited for.
                interop.answer(&reply, &Answer::ClientCount(0));
                return refused;
            }
            return acks::emit(
                state,
                interop,
                &gateway,
                acks::Question { event, to, timeout },
                reply,
            );
        }
    }
    Outcome::Served
}

impl Interop {
    fn reply_to(&self, request: &Request) -> Option<ReplyTo> {
        let channel = match &request.uid {
            Some(uid) if self.config.specific_responses => self.channels.response_to(uid),
            _ => self.channels.response().to_owned(),
        };
        request.id.clone().map(|request| ReplyTo { channel, request })
    }
}

pub(super) fn selected(gateway: &Gateway, whom: &Selection) -> Vec<std::sync::Arc<Socket>> {
    let rooms: Vec<&str> = whom.rooms.iter().map(String::as_str).collect();
    let except: Vec<&str> = whom.except.iter().map(String::as_str).collect();
    gateway.to(NAMESPACE, Target::rooms(&rooms).except(&except)).sockets()
}

/// To the adapter every socket is a room of its own too.
fn all_rooms(gateway: &Gateway) -> Vec<String> {
    let mut rooms = gateway.rooms(NAMESPACE);
    rooms.retain(|room| !names::is_inner(room));
    rooms.extend(gateway.sockets(NAMESPACE).iter().map(|socket| socket.id().to_owned()));
    rooms
}
