//! The loop: all clients of one thread, and whoever sends.

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use mio::{Events, Poll, Token};

use crate::{
    Error,
    clock::{Clock, nanos},
    hello::Hello,
    ledger::{Ledger, MAX_STREAMS},
    pipe::Pipe,
    poster::Posters,
    socket::{Role, Room, Socket, Stage},
    tally::{Opened, Tally},
    target::Target,
    timer::Timer,
};

const TIMER: Token = Token(usize::MAX - 1);
/// The first poster; there are no so many sockets.
pub(crate) const POSTERS: usize = 1 << 30;
/// Longest sleep: somebody may want us to stop.
const NAP: Duration = Duration::from_millis(100);
/// Connections that are begun before the loop looks at those that are under way.
const AT_A_TIME: usize = 32;
/// How long a server may take to confirm joins. Many never do.
pub(crate) const CONFIRMATION: u64 = 2_000_000_000;
/// With so many failures and no success there will be none.
const HOPELESS: u64 = 50;

/// How fast connections are made.
#[derive(Debug, Clone, Copy)]
pub enum Rush {
    /// All at the same moment.
    AtOnce,
    /// So many under way.
    Abreast(usize),
    /// At fixed times.
    PerSecond(f64),
}

/// Clients in one thread. Its methods return when their work is done; between two of them
/// nothing is read and no ping is answered, so that [`Engine::idle`] is how to wait.
pub struct Engine {
    poll: Poll,
    events: Events,
    timer: Timer,
    pub(crate) clock: Clock,
    pub(crate) ledger: Arc<Ledger>,
    target: Target,
    sources: Vec<IpAddr>,
    next_source: usize,
    scratch: Vec<u8>,
    listen: Option<Arc<[u8]>>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) posters: Vec<Posters>,
    /// The places of those who emit, and of those who come and go.
    pub(crate) senders: Vec<usize>,
    pub(crate) passers: VecDeque<usize>,
    pub(crate) tally: Tally,
    pub(crate) opened: Opened,
}

impl Engine {
    /// Threads that measure together share the clock and the ledger.
    pub fn new(
        target: Target,
        sources: Vec<IpAddr>,
        clock: Clock,
        ledger: Arc<Ledger>,
    ) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1_024),
            timer,
            clock,
            ledger,
            target,
            sources,
            next_source: 0,
            scratch: Vec::new(),
            listen: None,
            sockets: Vec::new(),
            posters: Vec::new(),
            senders: Vec::new(),
            passers: VecDeque::new(),
            tally: Tally::default(),
            opened: Opened::default(),
        })
    }

    /// Takes only events with this name for messages.
    pub fn listen_to(&mut self, event: &str) {
        self.listen = Some(crate::hello::event_start(event));
    }

    /// Clients that are in and account for what they get.
    pub fn members(&self) -> usize {
        let is_member = |socket: &&Socket| socket.role == Role::Member;
        self.sockets.iter().filter(is_member).filter(|s| s.stage == Stage::Ready).count()
    }

    pub(crate) fn places(&self, role: Role) -> Vec<usize> {
        let places = self.sockets.iter().enumerate().filter(|(_, socket)| socket.role == role);
        places.map(|(place, _)| place).collect()
    }

    pub(crate) fn parts(&mut self) -> (&mut Vec<Socket>, &mut Vec<Posters>, Room<'_>) {
        let room = Room {
            clock: self.clock,
            registry: self.poll.registry(),
            scratch: &mut self.scratch,
            ledger: &self.ledger,
            tally: &mut self.tally,
            opened: &mut self.opened,
            listen: self.listen.as_ref(),
        };
        (&mut self.sockets, &mut self.posters, room)
    }

    /// Waits until `moment` at most, and handles what happens.
    pub(crate) fn turn(&mut self, moment: u64) -> Result<(), Error> {
        let now = self.clock.now();
        let mut timeout = Duration::ZERO;
        if moment > now {
            timeout = NAP.min(Duration::from_nanos(moment - now));
            if timeout < NAP {
                self.timer.arm(moment, now)?;
            }
        }
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let (sockets, posters, mut room) = self.parts();
        for event in &events {
            let Token(token) = event.token();
            if let Some(socket) = sockets.get_mut(token) {
                socket.advance(event, &mut room);
            } else if let Some(poster) = token.checked_sub(POSTERS)
                && let Some(posters) = posters.get_mut(poster / MAX_STREAMS)
            {
                posters.advance(poster % MAX_STREAMS, event, &mut room);
            }
        }
        self.events = events;
        Ok(())
    }

    /// Begins to connect, in the place of a socket that has ended or in a new one.
    pub(crate) fn begin(&mut self, hello: Hello, role: Role, due: u64, place: Option<usize>) {
        let index = place.unwrap_or(self.sockets.len());
        let source = self.sources.get(self.next_source % self.sources.len().max(1)).copied();
        self.next_source += 1;
        let opened = Pipe::open(&self.target, source, self.poll.registry(), Token(index));
        let pipe = match opened {
            Ok(pipe) => pipe,
            Err(problem) => {
                self.ledger.failed.fetch_add(1, Relaxed);
                let reason = match problem.kind() {
                    io::ErrorKind::AddrNotAvailable => {
                        "no local port is free: give more addresses to call from (--source)".into()
                    }
                    _ => format!("cannot connect: {problem}"),
                };
                return self.opened.failures.add(reason);
            }
        };
        let socket = Socket::open(hello, role, due, pipe);
        match self.sockets.get_mut(index) {
            Some(place) => *place = socket,
            None => self.sockets.push(socket),
        }
    }

    /// Makes connections and returns when all are in or have failed. What does not get on for
    /// `patience` has failed.
    pub fn open(
        &mut self,
        hellos: Vec<Hello>,
        role: Role,
        rush: Rush,
        patience: Duration,
    ) -> Result<Opened, Error> {
        let start = self.clock.now();
        let wanted = hellos.len() as u64;
        self.opened = Opened { wanted, ..Opened::default() };
        let mut hellos = hellos.into_iter();
        let (mut begun, mut done, mut progress) = (0u64, 0, start);
        while !self.ledger.is_stopped() {
            let now = self.clock.now();
            let mut next = now + nanos(NAP);
            for _ in 0..AT_A_TIME {
                let due = match rush {
                    Rush::AtOnce => start,
                    Rush::Abreast(most) if begun - done < most as u64 => now,
                    Rush::Abreast(_) => break,
                    Rush::PerSecond(rate) => start + (begun as f64 / rate * 1e9) as u64,
                };
                if due > now {
                    next = due;
                    break;
                }
                let Some(hello) = hellos.next() else { break };
                self.begin(hello, role, due, None);
                begun += 1;
                next = now;
            }
            self.turn(next)?;
            let (connected, failed) = (self.opened.connected.len(), self.opened.failures.count());
            // At a fixed rate it may be long until the next one is due; what is stuck then has its own time.
            let waits = matches!(rush, Rush::PerSecond(_)) && begun < wanted && next > now;
            if connected + failed > done || waits {
                progress = self.clock.now();
            }
            done = connected + failed;
            let is_hopeless = connected == 0 && failed >= HOPELESS;
            if done >= wanted || is_hopeless || self.clock.now() > progress + nanos(patience) {
                break;
            }
        }
        self.opened.seconds = self.clock.now().saturating_sub(start) as f64 / 1e9;
        self.confirm()?;
        self.give_up_on_the_rest(patience);
        Ok(std::mem::take(&mut self.opened))
    }

    /// Waits for the answers to joins, but not for ever.
    fn confirm(&mut self) -> Result<(), Error> {
        let end = self.clock.now() + CONFIRMATION;
        let waits = |socket: &Socket| socket.stage == Stage::Confirming;
        while self.sockets.iter().any(waits) && self.clock.now() < end && !self.ledger.is_stopped()
        {
            let soon = self.clock.now() + 5_000_000;
            self.turn(soon.min(end))?;
        }
        Ok(())
    }

    fn give_up_on_the_rest(&mut self, patience: Duration) {
        let (sockets, _, mut room) = self.parts();
        for socket in sockets {
            match socket.stage {
                Stage::Ready | Stage::Ended => {}
                // It had no time to fail.
                _ if room.ledger.is_stopped() => socket.leave(room.registry),
                Stage::Confirming => {
                    room.opened.unconfirmed += 1;
                    socket.ready(&mut room);
                }
                Stage::Connecting => {
                    let reason = format!("no connection in {} s", patience.as_secs());
                    socket.end(reason, &mut room);
                }
                _ => {
                    socket.end(format!("not let in within {} s", patience.as_secs()), &mut room);
                }
            }
        }
    }

    /// Waits, and answers pings.
    pub fn idle(&mut self, duration: Duration) -> Result<(), Error> {
        let end = self.clock.now() + nanos(duration);
        while self.clock.now() < end && !self.ledger.is_stopped() {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Closes all connections, as clients that go away.
    pub fn close_all(&mut self) {
        let (sockets, posters, room) = self.parts();
        for socket in sockets.iter_mut() {
            if socket.role == Role::Member && socket.stage == Stage::Ready {
                room.ledger.members.fetch_sub(1, Relaxed);
            }
            socket.leave(room.registry);
        }
        sockets.clear();
        posters.clear();
        self.passers.clear();
    }
}
