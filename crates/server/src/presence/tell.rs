//! Tells the rooms what a tick found out.

use std::sync::Arc;

use tidings_core::{
    ids::UserId,
    presence::{Coming, Going, Own, RoomUpdate, Round},
    room::RoomName,
    time::Timestamp,
};
use tidings_gateway::{Gateway, Socket, Target};

use super::events;
use crate::{
    rooms::{own_room, say},
    state::AppState,
};

/// Rooms that are told before other work gets a turn.
const AT_ONCE: usize = 64;

/// One tick: what changed since the last one goes to those who share a room with it.
pub(crate) async fn tell(state: &AppState, now: Timestamp) {
    let (round, online) = {
        let mut board = state.presence.board.lock();
        (board.tick(now), state.presence.online_with(&board))
    };
    let Round { rooms, coming, going, own, last_seen, ended } = round;
    // Other nodes count the time of grace themselves.
    ended.iter().for_each(|user| state.cluster.touch_quietly(user));
    state.presence.remember_seen(last_seen);
    state.metrics.users_online(online);
    let Some(gateway) = state.rooms.gateway() else { return };
    let teller = Teller { state, gateway: &gateway, backlog: state.config.gateway.send_buffer / 4 };
    for (n, update) in rooms.iter().enumerate() {
        teller.room(update);
        if n % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
    for (n, coming) in coming.iter().enumerate() {
        teller.coming(coming);
        if n % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
    for (n, going) in going.iter().enumerate() {
        teller.going(going);
        if n % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
    for (user, own) in &own {
        teller.own(user, own);
    }
}

struct Teller<'a> {
    state: &'a AppState,
    gateway: &'a Gateway,
    /// Who has more than this waiting is told later what holds then.
    backlog: usize,
}

impl Teller<'_> {
    fn room(&self, update: &RoomUpdate) {
        let RoomUpdate { room, online, news, newcomers, snapshot } = update;
        let mut missed = Vec::new();
        let mut sent = 0;
        if let Some(news) = news {
            let deaf = self.state.rooms.deaf_to(room, events::UPDATE);
            let new = newcomers.iter().map(|socket| &**socket);
            let except: Vec<&str> = new.chain(deaf.iter().map(String::as_str)).collect();
            let rooms = [room.as_str()];
            let recipients = self.gateway.to("/", Target::rooms(&rooms).except(&except));
            let frame = events::update(room, *online, news);
            let emitted = recipients.emit_unless_behind(&frame, self.backlog);
            missed.extend(emitted.missed.iter().map(|socket| socket.id().into()));
            sent += emitted.queued;
        }
        if let Some(snapshot) = snapshot {
            let deaf = self.state.rooms.deaf_to(room, events::UPDATE);
            let frame = events::update(room, *online, snapshot);
            for id in newcomers {
                // Who has left meanwhile is told nothing more of the room, nor who did not ask.
                let socket = self.gateway.socket("/", id);
                let hears = |socket: &Arc<Socket>| {
                    socket.is_in(room.as_str()) && !deaf.iter().any(|name| socket.is_in(name))
                };
                let Some(socket) = socket.filter(hears) else { continue };
                let behind = socket.send_queue_bytes() > self.backlog;
                match behind || socket.emit(&frame).is_err() {
                    true => missed.push(Arc::clone(id)),
                    false => sent += 1,
                }
            }
        }
        self.state.metrics.presence_sent(sent);
        if !missed.is_empty() {
            self.state.presence.board.lock().missed(room, missed);
        }
    }

    fn coming(&self, coming: &Coming) {
        let own = own_room(&coming.entry.user_id);
        let known = coming.known.iter().map(RoomName::as_str);
        let deaf = self.deaf(&coming.rooms, events::ONLINE);
        let deaf = deaf.iter().map(String::as_str);
        let except: Vec<&str> = known.chain([own.as_str()]).chain(deaf).collect();
        let rooms: Vec<&str> = coming.rooms.iter().map(RoomName::as_str).collect();
        self.send(Target { rooms: &rooms, except: &except }, &events::coming(coming));
    }

    fn going(&self, going: &Going) {
        let own = own_room(&going.user);
        let rooms: Vec<&str> = going.rooms.iter().map(RoomName::as_str).collect();
        let deaf = self.deaf(&going.rooms, events::OFFLINE);
        let deaf = deaf.iter().map(String::as_str);
        let except: Vec<&str> = deaf.chain([own.as_str()]).collect();
        self.send(Target { rooms: &rooms, except: &except }, &events::going(going));
    }

    fn deaf(&self, rooms: &[RoomName], name: &str) -> Vec<String> {
        rooms.iter().flat_map(|room| self.state.rooms.deaf_to(room, name)).collect()
    }

    fn own(&self, user: &UserId, own: &Own) {
        let room = own_room(user);
        self.send(Target::rooms(&[&room]), &events::own(user, &room, own));
    }

    fn send(&self, target: Target<'_>, frame: &tidings_gateway::Frame) {
        // Who misses it finds the same in the room's next update.
        let sent = self.gateway.to("/", target).emit_unless_behind(frame, self.backlog);
        self.state.metrics.presence_sent(sent.queued);
    }
}

/// Who ceased to type without saying so.
pub(crate) async fn tell_typing(state: &AppState, now: Timestamp) {
    let (ended, count) = {
        let mut typists = state.presence.typists.lock();
        (typists.tick(now), typists.count())
    };
    state.metrics.users_typing(count);
    for (room, user) in ended {
        publish(state, &room, &user, false, now).await;
    }
}

pub(super) async fn publish(
    state: &AppState,
    room: &RoomName,
    user: &UserId,
    starts: bool,
    now: Timestamp,
) {
    let Some(event) = events::typing(room, user, starts, now) else { return };
    if let Err(problem) = say(state, event).await {
        tracing::debug!(%problem, "that somebody types was not published");
    }
}
