//! What a node writes down of a client that has gone.

use serde::{Deserialize, Serialize};
use tidings_core::{ids::UserId, presence::Card, room::RoomName};
use tidings_gateway::{Passport, SavedSession};

use crate::{
    rooms::{self, LeftRoom, Trail},
    state::AppState,
};

/// Longest record.
const MAX_BYTES: usize = 256 << 10;
/// Steps of all trails together.
const MAX_STEPS: usize = 4_096;

#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) user: UserId,
    pub(super) passport: Passport,
    pub(super) card: Option<Card>,
    /// The user's own room is among them.
    pub(super) rooms: Vec<Room>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Room {
    #[serde(flatten)]
    pub(super) left: LeftRoom,
    /// What the node told of it; `None`: the room remembers by itself, or nobody knows.
    pub(super) trail: Option<Trail>,
}

/// `None`: there is nothing that would be of use to others.
pub(super) async fn write(
    state: &AppState,
    saved: &SavedSession,
    left: &rooms::Left,
) -> Option<String> {
    let passport = saved.passport();
    let own = RoomName::of_user(&left.user).ok();
    let own = own.map(|room| LeftRoom { room, filter: None, since: 0 });
    let all: Vec<LeftRoom> = left.rooms.iter().cloned().chain(own).collect();
    let most = (MAX_STEPS / all.len().max(1)).max(16);
    let mut rooms = Vec::with_capacity(all.len());
    for left in all {
        let trail = rooms::trail(state, &left.room, passport.head(), most).await;
        // One that is not known: the client would not be recovered.
        rooms.push(Room { trail: Some(trail?), left });
    }
    let record = Record { user: left.user.clone(), passport, card: left.card.clone(), rooms };
    serde_json::to_string(&record).ok().filter(|text| text.len() <= MAX_BYTES)
}
