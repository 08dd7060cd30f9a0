//! One tick: what changed since the last one, for each room once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{
    Board, Entry, MAX_ANNOUNCED, MAX_NAMED, Own, Socket, Status,
    board::own,
    person::{Device, Person},
    place::Place,
};
use crate::{ids::UserId, room::RoomName, time::Timestamp};

/// Everything that is to be told after a tick.
#[derive(Debug, Default)]
pub struct Round {
    pub rooms: Vec<RoomUpdate>,
    pub coming: Vec<Coming>,
    pub going: Vec<Going>,
    /// Changes that a user's own devices are told of, invisible or not.
    pub own: Vec<(UserId, Own)>,
    /// Who went offline, and when others last saw them.
    pub last_seen: Vec<(UserId, Timestamp)>,
    /// Users of whom connections of this node ceased to count.
    pub ended: Vec<UserId>,
}

#[derive(Debug)]
pub struct RoomUpdate {
    pub room: RoomName,
    /// Users who are seen in the room.
    pub online: usize,
    /// For everybody in the room but the newcomers.
    pub news: Option<News>,
    /// Connections that are told everything, `snapshot`.
    pub newcomers: Vec<Socket>,
    pub snapshot: Option<News>,
}

/// What a room is told.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum News {
    Users {
        /// Who came or changed; `offline`: who went. With `full` everybody who is here.
        users: Vec<Entry>,
        /// Who is in the room no more, but elsewhere.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        left: Vec<UserId>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        full: bool,
    },
    /// For rooms with too many to tell of each.
    Counts {
        large: bool,
        joined: Vec<UserId>,
        left: Vec<UserId>,
        /// More came or went than are named.
        more: bool,
    },
}

/// Somebody is seen in rooms from now on.
#[derive(Debug)]
pub struct Coming {
    pub entry: Entry,
    pub rooms: Vec<RoomName>,
    /// Who is in one of these knows it already.
    pub known: Vec<RoomName>,
}

/// Somebody went offline.
#[derive(Debug)]
pub struct Going {
    pub user: UserId,
    pub last_seen: Option<Timestamp>,
    pub rooms: Vec<RoomName>,
}

/// What a room's members did since it was last told.
#[derive(Default)]
struct Moves {
    came: Vec<UserId>,
    changed: Vec<UserId>,
    offline: Vec<UserId>,
    left: Vec<UserId>,
}

/// What is gathered over all rooms of a round.
#[derive(Default)]
struct Gathered {
    round: Round,
    coming: BTreeMap<UserId, Vec<RoomName>>,
    going: BTreeMap<UserId, Vec<RoomName>>,
    /// Who went offline in this round, and may be forgotten already.
    ceased: HashMap<UserId, Timestamp>,
}

impl Board {
    /// What is to be told now. What did not change takes no part in it.
    pub fn tick(&mut self, now: Timestamp) -> Round {
        let mut gathered = Gathered::default();
        let buried = self.bury(now);
        let was_here = |devices: &Vec<Device>| devices.iter().any(Device::is_here);
        let ended = buried.iter().filter(|(_, devices)| was_here(devices));
        gathered.round.ended = ended.map(|(user, _)| user.clone()).collect();
        let touched = std::mem::take(&mut self.touched);
        for user in &touched {
            self.look_at(user, &buried, now, &mut gathered);
        }
        for room in std::mem::take(&mut self.dirty) {
            self.tell(&room, now, &mut gathered);
        }
        let round = self.announce(gathered);
        for user in &touched {
            self.forget_stranger(user);
        }
        round
    }

    /// Ended connections whose time of grace is over cease to count.
    fn bury(&mut self, now: Timestamp) -> HashMap<UserId, Vec<Device>> {
        let mut buried: HashMap<UserId, Vec<Device>> = HashMap::new();
        while let Some((at, _)) = self.leaving.first()
            && *at <= now
            && let Some((_, user)) = self.leaving.pop_first()
        {
            let Some(person) = self.people.get_mut(&user) else { continue };
            let devices = person.bury(&self.settings, now);
            for device in &devices {
                self.unseat(&user, device);
            }
            self.touched.insert(user.clone());
            buried.entry(user).or_default().extend(devices);
        }
        buried
    }

    fn look_at(
        &mut self,
        user: &UserId,
        buried: &HashMap<UserId, Vec<Device>>,
        now: Timestamp,
        gathered: &mut Gathered,
    ) {
        let Some(person) = self.people.get_mut(user) else { return };
        let view = person.view();
        let (was, is) = (person.shown.status, view.status);
        let changed = view != person.shown || person.is_invisible() != person.invisible_shown;
        if was == Status::Offline && is != Status::Offline {
            let is_here = person.devices.iter().all(Device::is_here);
            person.since = person.earliest().filter(|_| !is_here).unwrap_or(now);
        }
        if was != Status::Offline && is == Status::Offline {
            let buried = buried.get(user).map(Vec::as_slice).unwrap_or_default();
            let ceased = person.ceased(buried, now);
            person.last_seen = Some(ceased);
            gathered.ceased.insert(user.clone(), ceased);
            if person.devices.iter().chain(buried).any(Device::is_here) {
                gathered.round.last_seen.push((user.clone(), ceased));
            }
        }
        let counts = is != Status::Offline && person.devices.iter().any(Device::is_here);
        if counts != person.counted {
            person.counted = counts;
            self.online = if counts { self.online + 1 } else { self.online.saturating_sub(1) };
        }
        let seen = view != person.shown;
        person.shown = view;
        person.invisible_shown = person.is_invisible();
        if changed && person.has_several() {
            gathered.round.own.push((user.clone(), own(person)));
        }
        if seen {
            for room in person.rooms() {
                if let Some(place) = self.rooms.get_mut(room) {
                    place.changed.insert(user.clone(), true);
                    self.dirty.insert(room.clone());
                }
            }
        }
        if person.devices.is_empty() {
            self.people.remove(user);
        }
    }

    fn tell(&mut self, room: &RoomName, now: Timestamp, gathered: &mut Gathered) {
        let Some(place) = self.rooms.get_mut(room) else { return };
        if place.hold.is_some_and(|until| until > now) {
            self.dirty.insert(room.clone());
            return;
        }
        place.hold = None;
        if place.large && place.told_at.plus(self.settings.large_pause) > now {
            self.dirty.insert(room.clone());
            return;
        }
        let moves = place.take_moves(&self.people);
        let was_large = place.large;
        place.large = place.is_large(self.settings.large_room);
        place.told_at = now;
        if !place.large {
            let announced = |users: &Vec<UserId>| match users.len() <= MAX_ANNOUNCED {
                true => users.clone(),
                false => Vec::new(),
            };
            for user in announced(&moves.came) {
                gathered.coming.entry(user).or_default().push(room.clone());
            }
            for user in announced(&moves.offline) {
                gathered.going.entry(user).or_default().push(room.clone());
            }
        }
        let newcomers = std::mem::take(&mut place.newcomers);
        let everybody = || place.snapshot(&self.people);
        let news = match (place.large, was_large) {
            (true, _) => moves.counts(),
            (false, true) => Some(everybody()),
            (false, false) => moves.users(&self.people, &gathered.ceased),
        };
        // Counts, and everybody's state, tell newcomers all that there is to tell.
        let is_complete = place.large || was_large;
        let newcomers: Vec<Socket> = match news {
            Some(_) if is_complete => Vec::new(),
            _ => newcomers.into_iter().collect(),
        };
        let snapshot = (!newcomers.is_empty()).then(|| match place.large {
            true => Moves::default().count(),
            false => everybody(),
        });
        if news.is_some() || snapshot.is_some() {
            let online = place.online;
            let room = room.clone();
            gathered.round.rooms.push(RoomUpdate { room, online, news, newcomers, snapshot });
        }
        if place.is_empty() {
            self.rooms.remove(room);
        }
    }

    /// Puts the coming and going of each user together, over all rooms.
    fn announce(&self, gathered: Gathered) -> Round {
        let Gathered { mut round, coming, going, ceased } = gathered;
        for (user, rooms) in coming {
            let Some(person) = self.people.get(&user) else { continue };
            let knows = |room: &&RoomName| {
                let place = self.rooms.get(*room);
                !rooms.contains(room)
                    && place.is_some_and(|p| !p.large && p.seats.get(&user).is_some_and(|s| s.told))
            };
            let known: BTreeSet<&RoomName> = person.rooms().filter(knows).collect();
            let known = known.into_iter().cloned().collect();
            round.coming.push(Coming { entry: person.entry(&user), rooms, known });
        }
        for (user, rooms) in going {
            round.going.push(Going { last_seen: ceased.get(&user).copied(), user, rooms });
        }
        round
    }
}

impl Place {
    fn take_moves(&mut self, people: &HashMap<UserId, Person>) -> Moves {
        let mut moves = Moves::default();
        for (user, looks_different) in std::mem::take(&mut self.changed) {
            let Some(seat) = self.seats.get_mut(&user) else { continue };
            let person = people.get(&user);
            let visible = person.is_some_and(|person| person.shown.status != Status::Offline);
            let is_here = visible && seat.devices > 0;
            match (seat.told, is_here) {
                (false, true) => {
                    self.online += 1;
                    moves.came.push(user.clone());
                }
                (true, false) => {
                    self.online -= 1;
                    if visible { &mut moves.left } else { &mut moves.offline }.push(user.clone());
                }
                (true, true) if looks_different => moves.changed.push(user.clone()),
                _ => {}
            }
            seat.told = is_here;
            if seat.devices == 0 {
                self.seats.remove(&user);
            }
        }
        if self.seats.capacity() > 64 && self.seats.len() < self.seats.capacity() / 8 {
            self.seats.shrink_to_fit();
        }
        moves
    }

    fn snapshot(&self, people: &HashMap<UserId, Person>) -> News {
        let here = self.seats.iter().filter(|(_, seat)| seat.told);
        let entry = |(user, _): (&UserId, _)| Some(people.get(user)?.entry(user));
        News::Users { users: here.filter_map(entry).collect(), left: Vec::new(), full: true }
    }
}

impl Moves {
    fn users(
        self,
        people: &HashMap<UserId, Person>,
        ceased: &HashMap<UserId, Timestamp>,
    ) -> Option<News> {
        let Self { came, changed, offline, left } = self;
        let here = came.iter().chain(&changed);
        let mut users: Vec<Entry> =
            here.filter_map(|user| Some(people.get(user)?.entry(user))).collect();
        let last_seen =
            |user: &UserId| ceased.get(user).copied().or_else(|| people.get(user)?.last_seen);
        users.extend(offline.into_iter().map(|user| {
            let last_seen = last_seen(&user);
            Entry::offline(user, last_seen)
        }));
        let nothing = users.is_empty() && left.is_empty();
        (!nothing).then_some(News::Users { users, left, full: false })
    }

    fn counts(self) -> Option<News> {
        let nothing = self.came.is_empty() && self.offline.is_empty() && self.left.is_empty();
        (!nothing).then(|| self.count())
    }

    fn count(self) -> News {
        let Self { came: mut joined, mut left, offline, .. } = self;
        left.extend(offline);
        let more = joined.len() > MAX_NAMED || left.len() > MAX_NAMED;
        joined.truncate(MAX_NAMED);
        left.truncate(MAX_NAMED);
        News::Counts { large: true, joined, left, more }
    }
}
