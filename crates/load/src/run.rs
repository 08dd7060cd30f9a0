//! Messages at their times, and who comes and goes meanwhile.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use crate::{
    Error,
    churn::Churn,
    clock::{nanos, thread_cpu},
    dice::Dice,
    emit::Emit,
    engine::{Engine, POSTERS},
    ledger::MAX_STREAMS,
    poster::{Posters, Request},
    socket::Role,
    tally::Tally,
};

/// A closed loop without a delivery for so long has lost some, and goes on without them.
const STALLED: u64 = 2_000_000_000;
/// Between two looks at clients that come and go, and at percentiles for whoever watches.
const LOOK: u64 = 500_000_000;
/// When messages are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// At fixed times, so many a second, whether or not the server keeps up.
    Rate(f64),
    /// The next one as soon as fewer than this are on their way.
    InFlight(u64),
}

/// Who sends.
#[derive(Debug, Clone)]
pub enum Via {
    Http(Request),
    Emit(Emit),
}

#[derive(Debug, Clone)]
pub struct Flow {
    pub pace: Pace,
    pub via: Via,
}

/// What happens while it is measured.
#[derive(Clone)]
pub struct Load {
    pub broadcast: Option<Flow>,
    /// To one connection each, at random.
    pub unicast: Option<Flow>,
    pub churn: Option<Churn>,
    pub duration: Duration,
    /// For the last messages to arrive.
    pub grace: Duration,
    /// Sent by this thread; the others listen.
    pub sends: bool,
}

/// A kind of message, while it is sent.
struct Sending {
    to_all: bool,
    pace: Pace,
    start: u64,
    due: u64,
    scheduled: u64,
    /// Deliveries that a closed loop no longer waits for.
    forgiven: u64,
    /// Which posters, or what clients emit.
    posters: Option<usize>,
    emit: Option<Emit>,
    messages: u64,
}

impl Sending {
    fn is_over(&self, end: u64) -> bool {
        matches!(self.pace, Pace::InFlight(_)) || self.due >= end
    }
}

impl Load {
    /// Streams to everybody, given so many clients that emit.
    pub fn streams(&self, senders: usize) -> usize {
        let streams = match self.broadcast.as_ref().map(|flow| &flow.via) {
            Some(Via::Http(request)) => request.connections.max(1),
            Some(Via::Emit(_)) => senders,
            None => 0,
        };
        streams.min(MAX_STREAMS)
    }
}

impl Engine {
    /// Opens the books. All threads do so before the first message is sent.
    pub fn prepare(&mut self, streams: usize) {
        self.ledger.start();
        self.tally = Tally::default();
        self.opened = crate::tally::Opened::default();
        self.senders = self.places(Role::Sender);
        self.passers.clear();
        let ledger = Arc::clone(&self.ledger);
        for socket in &mut self.sockets {
            socket.books.start(streams, &ledger);
        }
    }

    /// Sends, if this thread does, and accounts for what comes.
    pub fn run(&mut self, load: &Load) -> Result<Tally, Error> {
        let (start, cpu) = (self.clock.now(), thread_cpu());
        let end = start + nanos(load.duration);
        let mut sendings = self.sendings(load, start);
        let mut dice = Dice::new(0x5eed_5eed);
        let mut passed = 0;
        let (mut look, mut moved, mut delivered, mut over) = (start + LOOK, start, 0, None);
        while !self.ledger.is_stopped() {
            let now = self.clock.now();
            let mut next = now + LOOK;
            for sending in &mut sendings {
                next = next.min(self.send(sending, now, end, &mut dice));
            }
            if let Some(churn) = &load.churn {
                next = next.min(self.churn(churn, start, now.min(end), &mut passed)?);
            }
            // What was due by the end is sent, also if that is late.
            let all_sent = sendings.iter().all(|sending| sending.is_over(end));
            let all_came = load.churn.as_ref().is_none_or(|churn| churn.due(start, passed) >= end);
            if now >= end && all_sent && all_came {
                let since = *over.get_or_insert(now);
                if load.sends && sendings.iter().all(|sending| self.waiting(sending) == 0) {
                    self.ledger.end(true);
                }
                let all = self.ledger.has_ended() && self.is_quiet();
                if all || now > since + nanos(load.grace) {
                    break;
                }
                next = now + 5_000_000;
            } else {
                next = next.min(end.max(now));
            }
            self.turn(next)?;
            let now = self.clock.now();
            if self.ledger.delivered.load(Relaxed) != delivered {
                (delivered, moved) = (self.ledger.delivered.load(Relaxed), now);
            } else if now > moved + STALLED {
                sendings
                    .iter_mut()
                    .for_each(|sending| sending.forgiven = self.ledger.outstanding());
            }
            if now > look {
                look = now + LOOK;
                self.sweep(now);
                self.show();
            }
        }
        self.ledger.end(true);
        self.unsend(&sendings);
        let elapsed = self.clock.now().saturating_sub(start) as f64 / 1e9;
        self.finish(sendings, elapsed, thread_cpu() - cpu, start)
    }

    /// Nothing is on its way any more.
    fn is_quiet(&self) -> bool {
        self.ledger.outstanding() == 0
            && self.posters.iter().all(|posters| posters.unanswered() == 0)
            && self.has_passed()
    }

    fn sendings(&mut self, load: &Load, start: u64) -> Vec<Sending> {
        self.posters.clear();
        let mut sendings = Vec::new();
        for (to_all, flow) in [(true, &load.broadcast), (false, &load.unicast)] {
            let Some(flow) = flow.as_ref().filter(|_| load.sends) else { continue };
            let (mut posters, mut emit) = (None, None);
            match &flow.via {
                Via::Http(request) => {
                    let base = POSTERS + self.posters.len() * MAX_STREAMS;
                    posters = Some(self.posters.len());
                    self.posters.push(Posters::new(request.clone(), base));
                }
                Via::Emit(event) => emit = Some(event.clone()),
            }
            sendings.push(Sending {
                to_all,
                pace: flow.pace,
                start,
                due: start,
                scheduled: 0,
                forgiven: 0,
                posters,
                emit,
                messages: 0,
            });
        }
        sendings
    }

    /// Sends what is due; tells when to come again.
    fn send(&mut self, sending: &mut Sending, now: u64, end: u64, dice: &mut Dice) -> u64 {
        let each = if sending.to_all { self.ledger.members.load(Relaxed).max(1) } else { 1 };
        let recipients = match &self.posters.get(sending.posters.unwrap_or(usize::MAX)) {
            Some(posters) => posters.recipients(),
            None => sending.emit.as_ref().map_or(0, |emit| emit.users.len()),
        };
        let mut posted = 0;
        loop {
            let due = match sending.pace {
                Pace::Rate(_) => sending.due,
                Pace::InFlight(most) => {
                    let waiting = self.waiting(sending) * each;
                    let outstanding = self.ledger.outstanding().saturating_sub(sending.forgiven);
                    // Whole messages: what everybody but a few have is still on its way.
                    if (outstanding + waiting).div_ceil(each) >= most { u64::MAX } else { now }
                }
            };
            if due > now || due >= end {
                break;
            }
            let to = (!sending.to_all).then(|| dice.below(recipients));
            self.send_one(sending, to, due);
            posted += 1;
            sending.scheduled += 1;
            if let Pace::Rate(rate) = sending.pace {
                sending.due = sending.start + (sending.scheduled as f64 / rate * 1e9) as u64;
            }
            if posted >= 256 {
                break;
            }
        }
        if let Some(index) = sending.posters {
            let (_, posters, mut room) = self.parts();
            if let Some(posters) = posters.get_mut(index) {
                posters.pump(&mut room);
            }
        }
        match sending.pace {
            _ if posted >= 256 => now,
            Pace::Rate(_) => sending.due,
            Pace::InFlight(_) => u64::MAX,
        }
    }

    fn waiting(&self, sending: &Sending) -> u64 {
        let posters = sending.posters.and_then(|index| self.posters.get(index));
        posters.map_or(0, Posters::waiting)
    }

    fn send_one(&mut self, sending: &mut Sending, to: Option<usize>, due: u64) {
        if let Some(posters) = sending.posters.and_then(|index| self.posters.get_mut(index)) {
            return posters.post(to, due);
        }
        if let Some(emit) = &sending.emit {
            self.emit(emit, to, due, sending.scheduled);
            sending.messages += 1;
        }
    }

    /// For whoever watches.
    fn show(&self) {
        let messages = [&self.tally.broadcast.latency, &self.tally.unicast.latency];
        let times = messages.into_iter().find(|times| !times.is_empty()).unwrap_or(messages[0]);
        for (slot, percent) in self.ledger.so_far.iter().zip([50.0, 99.0]) {
            slot.store((times.percentile(percent) * 1e3) as u64, Relaxed);
        }
    }

    /// The time is over: what still waits to be sent is not.
    fn unsend(&mut self, sendings: &[Sending]) {
        for sending in sendings {
            if let Some(posters) = sending.posters.and_then(|at| self.posters.get_mut(at)) {
                self.tally.unsent += posters.clear();
            }
        }
    }

    fn finish(
        &mut self,
        sendings: Vec<Sending>,
        elapsed: f64,
        cpu: f64,
        start: u64,
    ) -> Result<Tally, Error> {
        let mut tally = std::mem::take(&mut self.tally);
        for sending in sendings {
            let posters = sending.posters.and_then(|index| self.posters.get(index));
            let sent = posters.map_or(sending.messages, |posters| posters.messages);
            let messages = if sending.to_all { &mut tally.broadcast } else { &mut tally.unicast };
            messages.sent = sent;
        }
        for socket in self.sockets.iter().filter(|socket| socket.role == Role::Member) {
            let (everybody, own) = socket.books.bills(&self.ledger);
            tally.broadcast.bill += everybody;
            tally.unicast.bill += own;
        }
        for messages in [&mut tally.broadcast, &mut tally.unicast] {
            messages.expected = messages.bill.received + messages.bill.lost;
        }
        tally.churn = std::mem::take(&mut self.opened);
        tally.churn.seconds = elapsed;
        tally.elapsed = elapsed;
        let last = tally.last_receipt.saturating_sub(start) as f64 / 1e9;
        tally.seconds = if last > 0.0 { last } else { elapsed };
        tally.cpu = vec![cpu / elapsed.max(1e-9)];
        self.posters.clear();
        Ok(tally)
    }
}
