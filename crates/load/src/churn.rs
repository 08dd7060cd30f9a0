//! Clients that come and go while messages are sent.

use crate::{
    Error,
    engine::{CONFIRMATION, Engine},
    hello::Hellos,
    socket::{Role, Stage},
};

/// A client that is not in by then will not be.
const PATIENCE: u64 = 10_000_000_000;
/// Clients that come and go at the same moment, at most.
const MAX_PASSERS: usize = 2_000;

/// Clients that come and go: so many a second.
#[derive(Clone)]
pub struct Churn {
    pub rate: f64,
    pub hellos: Hellos,
    /// The numbers of their users.
    pub numbers: std::ops::Range<usize>,
}

impl Churn {
    /// When the client after so many is due.
    pub(crate) fn due(&self, start: u64, passed: usize) -> u64 {
        start + (passed as f64 / self.rate * 1e9) as u64
    }
}

impl Engine {
    /// Lets clients come; tells when the next one does.
    pub(crate) fn churn(
        &mut self,
        churn: &Churn,
        start: u64,
        now: u64,
        passed: &mut usize,
    ) -> Result<u64, Error> {
        loop {
            let due = churn.due(start, *passed);
            if due >= now {
                return Ok(due);
            }
            // The one that has been here for longest has most likely gone.
            let ended =
                |at: &&usize| self.sockets.get(**at).is_some_and(|s| s.stage == Stage::Ended);
            let place = self.passers.front().filter(ended).copied();
            match place {
                Some(_) => self.passers.rotate_left(1),
                // It stays due: that is part of what it waits for.
                None if self.passers.len() >= MAX_PASSERS => return Ok(now + 1_000_000),
                None => self.passers.push_back(self.sockets.len()),
            }
            let number = churn.numbers.start + *passed % churn.numbers.len().max(1);
            *passed += 1;
            self.opened.wanted += 1;
            for hello in churn.hellos.make([number])? {
                self.begin(hello, Role::Passer, due, place);
            }
        }
    }

    /// Nobody who came is still here.
    pub(crate) fn has_passed(&self) -> bool {
        let ended = |at: &usize| self.sockets.get(*at).is_none_or(|s| s.stage == Stage::Ended);
        self.passers.iter().all(ended)
    }

    /// Ends clients that came and are stuck.
    pub(crate) fn sweep(&mut self, now: u64) {
        let (sockets, _, mut room) = self.parts();
        for socket in sockets.iter_mut().filter(|socket| socket.role == Role::Passer) {
            let age = now.saturating_sub(socket.due());
            match socket.stage {
                Stage::Ready | Stage::Ended => {}
                Stage::Confirming if age > CONFIRMATION => {
                    room.opened.unconfirmed += 1;
                    socket.ready(&mut room);
                }
                _ if age > PATIENCE => socket.end("not let in within 10 s".to_owned(), &mut room),
                _ => {}
            }
        }
    }
}
