//! Clients of `tidings-load`, as the scenarios use them.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tidings_load::{
    Churn, Clock, Engine, Flow, Hellos, Join, Ledger, Load, Opened, Pace, Request, Role, Rush,
    Tally, Target, Template, Tokens, Via,
};

use crate::{process::Server, token::SECRET};

/// Longest that a client may take to get in.
const PATIENCE: Duration = Duration::from_secs(30);
/// For the last messages to arrive.
const GRACE: Duration = Duration::from_secs(10);
/// Connections that are made at a time, where it is not the making that is measured.
const ABREAST: usize = 200;
/// Most connections of any scenario.
pub const MOST: usize = 20_000;
/// Local ports that are needed within a minute: who comes and goes leaves one behind for so long.
const PORTS: usize = 12 * MOST;
/// Everybody is in it.
pub const ROOM: &str = "bench:all";
/// About 200 bytes, with the mark and its WebSocket header.
const EVENT: &str = r#"{"type":"bench","data":{"mark":"{mark}","fill":"{fill}"}}"#;
const FILL: usize = 136;
const NOTIFICATION: &str = r#"{"to":"{user}","type":"like","actorId":"bob","entityType":"post","entityId":"post-1","message":"{mark}","data":{"postId":"post-1","url":"/posts/1"}}"#;

const ANNOUNCEMENT: &str = r#"{"to":{"all":true},"type":"like","actorId":"bob","message":"Bob liked it","data":{"mark":"{mark}","url":"/posts/1"}}"#;

/// The crowds there are: a measurement holds its thread, so who wants it to end has to tell them.
static LEDGERS: Mutex<Vec<Weak<Ledger>>> = Mutex::new(Vec::new());

/// Ends every measurement, at once.
pub fn stop_all() {
    let ledgers = LEDGERS.lock().unwrap_or_else(PoisonError::into_inner);
    ledgers.iter().filter_map(Weak::upgrade).for_each(|ledger| ledger.stop());
}

fn ledger() -> Arc<Ledger> {
    let ledger = Arc::new(Ledger::new(MOST));
    let mut ledgers = LEDGERS.lock().unwrap_or_else(PoisonError::into_inner);
    ledgers.retain(|ledger| ledger.strong_count() > 0);
    ledgers.push(Arc::downgrade(&ledger));
    ledger
}

/// Clients in one thread, and the server that they are connected to.
pub struct Crowd {
    pub engine: Engine,
    hellos: Hellos,
    users: Arc<Vec<String>>,
    key: String,
    /// Where messages are posted.
    posts_to: Target,
    /// Connections so far.
    pub count: usize,
}

/// Where messages go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The room that everybody is in.
    All,
    /// The room of one user.
    One,
    /// The inbox of one user, which is stored.
    Inbox,
    /// An announcement: the inboxes of all.
    Users,
}

impl Crowd {
    /// Nobody yet. `in_room`: they join the room of all.
    pub fn new(server: &Server, in_room: bool) -> anyhow::Result<Self> {
        Self::named(server, in_room, "user-{n}")
    }

    /// Nobody yet, with other names.
    pub fn named(server: &Server, in_room: bool, user: &str) -> anyhow::Result<Self> {
        let target = server.target();
        let posts_to = target.clone();
        let sources = target.sources(PORTS);
        let engine = Engine::new(target.clone(), sources, Clock::start(), ledger())?;
        let joins = in_room.then(|| Join::new("room:join", "{room}"));
        let mut hellos = Hellos {
            tokens: Tokens::Sign { secret: SECRET.to_owned(), claims: serde_json::Map::new() },
            auth: Template::new(r#"{"token":"{token}"}"#),
            user: Template::new(user),
            room: ROOM.to_owned(),
            joins: joins.into_iter().collect(),
            wait_for: Some("connected".to_owned()),
            ..Hellos::plain(target)
        };
        if server.is_bare {
            hellos.tokens = Tokens::None;
            hellos.auth = Template::new(r#"{"user":{n}}"#);
            hellos.wait_for = None;
        }
        let users = Arc::new((0..MOST).map(|number| hellos.user(number)).collect());
        Ok(Self { engine, hellos, users, key: server.key.clone(), posts_to, count: 0 })
    }

    /// Nobody yet; they will join this room, which their tokens open.
    pub fn in_room(server: &Server, room: &str) -> anyhow::Result<Self> {
        let mut crowd = Self::new(server, true)?;
        let claims = [("rooms".to_owned(), serde_json::json!([room]))].into_iter().collect();
        crowd.hellos.tokens = Tokens::Sign { secret: SECRET.to_owned(), claims };
        room.clone_into(&mut crowd.hellos.room);
        Ok(crowd)
    }

    /// Has messages posted to another node.
    pub fn post_to(&mut self, server: &Server) {
        self.posts_to = server.target();
        self.key.clone_from(&server.key);
    }

    /// What CONNECT carries.
    pub fn set_auth(&mut self, auth: &str) {
        self.hellos.auth = Template::new(auth);
    }

    /// Makes connections until there are so many; fails if one does not get in.
    pub fn grow(&mut self, count: usize) -> anyhow::Result<()> {
        let opened = self.open(count, Rush::Abreast(ABREAST))?;
        let failures = opened.failures.sorted();
        let first = failures.first().map_or("none", |(reason, _)| reason);
        anyhow::ensure!(
            opened.connected.len() == opened.wanted && opened.unconfirmed == 0,
            "{} of {} connections were made, {} joins not confirmed; most often: {first}",
            opened.connected.len(),
            opened.wanted,
            opened.unconfirmed
        );
        Ok(())
    }

    /// Makes connections until there are so many.
    pub fn open(&mut self, count: usize, rush: Rush) -> anyhow::Result<Opened> {
        let hellos = self.hellos.make(self.count..count)?;
        self.count = self.count.max(count);
        Ok(self.engine.open(hellos, Role::Member, rush, PATIENCE)?)
    }

    /// All go.
    pub fn leave(&mut self) {
        self.engine.close_all();
        self.count = 0;
    }

    fn flow(&self, to: To, pace: Pace) -> Flow {
        let (path, body) = match to {
            To::All => ("/api/v1/rooms/{room}/events", EVENT),
            To::One => ("/api/v1/rooms/user:{user}/events", EVENT),
            To::Inbox => ("/api/v1/notifications", NOTIFICATION),
            To::Users => ("/api/v1/notifications", ANNOUNCEMENT),
        };
        let users = self.users.iter().take(self.count).cloned().collect();
        // In a closed loop every message may be on a connection of its own.
        let connections = match pace {
            Pace::InFlight(count) => usize::try_from(count).unwrap_or(1).min(16),
            Pace::Rate(_) => 16,
        };
        let authorization = format!("Authorization: Bearer {}\r\n", self.key);
        let request = Request {
            target: self.posts_to.clone(),
            path: Template::new(path),
            headers: if self.key.is_empty() { String::new() } else { authorization },
            body: Template::new(body),
            room: self.hellos.room.clone(),
            fill: "x".repeat(FILL),
            users: Arc::new(users),
            connections,
            pipeline: 32,
        };
        Flow { pace, via: Via::Http(request) }
    }

    /// Has others come, so many a second, and leave as soon as they are in.
    pub fn pass(&mut self, rate: f64, seconds: f64) -> anyhow::Result<Tally> {
        self.send_while(&[], Some(rate), seconds)
    }

    fn churn(&self, rate: f64) -> Churn {
        let hellos = Hellos { user: Template::new("passer-{n}"), ..self.hellos.clone() };
        Churn { rate, hellos, numbers: 0..MOST }
    }

    /// Sends for so long; fails if a message was lost, doubled or reordered.
    pub fn send(&mut self, flows: &[(To, Pace)], seconds: f64) -> anyhow::Result<Tally> {
        self.send_while(flows, None, seconds)
    }

    /// The same while others come and go, so many a second.
    pub fn send_while(
        &mut self,
        flows: &[(To, Pace)],
        churn: Option<f64>,
        seconds: f64,
    ) -> anyhow::Result<Tally> {
        let mut load = nothing(seconds);
        load.churn = churn.map(|rate| self.churn(rate));
        for (to, pace) in flows {
            let flow = Some(self.flow(*to, *pace));
            if matches!(to, To::All | To::Users) {
                load.broadcast = flow
            } else {
                load.unicast = flow
            };
        }
        self.engine.prepare(load.streams(0));
        Ok(self.engine.run(&load)?)
    }
}

/// What happens when nobody sends and nobody comes.
fn nothing(seconds: f64) -> Load {
    Load {
        broadcast: None,
        unicast: None,
        churn: None,
        duration: Duration::from_secs_f64(seconds),
        grace: GRACE,
        sends: true,
    }
}

/// What is wrong with the books, in words.
pub fn faults(tally: &Tally) -> Option<String> {
    let mut all = tally.broadcast.bill;
    all += tally.unicast.bill;
    let fine = all.lost + all.doubled + all.reordered + tally.astray + tally.not_taken.count() == 0;
    (!fine).then(|| {
        let first = tally
            .not_taken
            .sorted()
            .first()
            .map_or(String::new(), |(reason, _)| format!(" ({reason})"));
        format!(
            "lost (or later than 10 s) {}, doubled {}, reordered {}, astray {}, not taken {}{first}, ended {}",
            all.lost,
            all.doubled,
            all.reordered,
            tally.astray,
            tally.not_taken.count(),
            tally.ends.count()
        )
    })
}
