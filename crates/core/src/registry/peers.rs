//! Which nodes are taken for dead. In doubt none is: a registry that was away, or has lost what
//! it knew, says nothing about anybody's users.

use std::{collections::BTreeMap, time::Duration};

use super::{Incarnation, Roster};
use crate::time::Timestamp;

/// The other nodes, as one node judges them.
#[derive(Debug)]
pub struct Peers {
    /// How long a node may give no sign of life.
    timeout: Duration,
    newest: Incarnation,
    known: BTreeMap<Incarnation, Peer>,
    /// Since when which are believed to be dead.
    dead: BTreeMap<Incarnation, Timestamp>,
    /// Since when the registry answers without a longer break; what it tells of others is
    /// believed when that is long enough for those to have been heard too.
    steady_since: Timestamp,
    heard_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Peer {
    id: String,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    /// The registry says so, and it is not believed yet.
    Doubtful,
    /// The registry does not know it any more.
    Missing(Timestamp),
}

/// What follows from a roster.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Taken for dead from now on.
    pub lost: Vec<Incarnation>,
    /// They are dead, and what they left behind has yet to be taken away.
    pub to_reap: Vec<Incarnation>,
    /// Of these every node has heard by now: nobody has to know them any more.
    pub to_bury: Vec<Incarnation>,
}

impl Peers {
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            newest: Incarnation::default(),
            known: BTreeMap::new(),
            dead: BTreeMap::new(),
            steady_since: Timestamp::EPOCH,
            heard_at: None,
        }
    }

    /// Takes what the registry says now.
    pub fn learn(&mut self, roster: Roster, now: Timestamp) -> Verdict {
        let broke = self.heard_at.is_none_or(|at| now.since(at) > self.timeout / 2);
        if broke {
            self.steady_since = now;
        }
        self.heard_at = Some(now);
        self.newest = self.newest.max(roster.newest);
        let believed = now.since(self.steady_since) >= self.timeout;
        let mut verdict = Verdict::default();
        let Roster { live, dead, .. } = roster;
        let (timeout, steady_since) = (self.timeout, self.steady_since);
        self.known.retain(|at, peer| {
            let missing_since = match peer.state {
                State::Missing(since) => since.max(steady_since),
                State::Live | State::Doubtful => now,
            };
            let is_lost = if live.contains_key(at) {
                peer.state = State::Live;
                false
            } else if dead.contains(at) {
                peer.state = State::Doubtful;
                believed
            } else {
                // Somebody has cleared it away, or the registry has lost what it knew.
                peer.state = State::Missing(missing_since);
                now.since(missing_since) >= timeout
            };
            if is_lost {
                verdict.lost.push(*at);
            }
            !is_lost
        });
        for (at, id) in live {
            self.known.entry(at).or_insert(Peer { id, state: State::Live });
        }
        self.dead.retain(|at, _| dead.contains(at));
        for at in dead {
            if believed {
                let since = *self.dead.entry(at).or_insert(now);
                verdict.to_reap.push(at);
                if now.since(since) >= self.timeout {
                    verdict.to_bury.push(at);
                }
            } else {
                let unknown = || Peer { id: String::new(), state: State::Doubtful };
                self.known.entry(at).or_insert_with(unknown);
            }
        }
        verdict
    }

    /// Whether what a node says of its connections counts. One that began after the last look
    /// does: the registry would not have taken anything from one that it does not know.
    pub fn lives(&self, at: Incarnation) -> bool {
        at > self.newest || self.known.contains_key(&at)
    }

    /// Ids of the nodes that give signs of life.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        let live = self.known.values().filter(|peer| peer.state == State::Live);
        live.map(|peer| peer.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn roster(live: &[u64], dead: &[u64]) -> Roster {
        let live = live.iter().map(|n| (Incarnation(*n), format!("n{n}"))).collect();
        Roster {
            newest: Incarnation(9),
            live,
            dead: dead.iter().map(|n| Incarnation(*n)).collect(),
        }
    }

    fn steady(peers: &mut Peers, until: i64) {
        for second in (0..=until).step_by(2) {
            assert_eq!(peers.learn(roster(&[1, 2], &[]), at(second)), Verdict::default());
        }
    }

    #[test]
    fn a_node_is_lost_when_the_registry_says_so_and_was_never_away() {
        let mut peers = Peers::new(TIMEOUT);
        steady(&mut peers, 20);
        let dead = vec![Incarnation(2)];
        let verdict = peers.learn(roster(&[1], &[2]), at(22));
        assert_eq!((&verdict.lost, &verdict.to_reap, verdict.to_bury), (&dead, &dead, vec![]));
        assert!(!peers.lives(Incarnation(2)) && peers.lives(Incarnation(1)));
        assert!(peers.lives(Incarnation(10)), "began since");
        assert!(!peers.lives(Incarnation(5)), "was over before");
        // It is lost once, and to be cleared away until somebody has.
        let verdict = peers.learn(roster(&[1], &[2]), at(24));
        assert_eq!((verdict.lost, &verdict.to_reap, verdict.to_bury), (vec![], &dead, vec![]));
        for second in [28, 31] {
            assert!(peers.learn(roster(&[1], &[2]), at(second)).to_bury.is_empty());
        }
        // Every other node has looked by now.
        assert_eq!(peers.learn(roster(&[1], &[2]), at(33)).to_bury, dead);
    }

    #[test]
    fn after_a_registry_was_away_nobody_is_lost_who_comes_back_in_time() {
        let mut peers = Peers::new(TIMEOUT);
        steady(&mut peers, 20);
        // All leases have run out meanwhile.
        assert_eq!(peers.learn(roster(&[1], &[2]), at(60)), Verdict::default());
        assert!(peers.lives(Incarnation(2)));
        assert_eq!(peers.learn(roster(&[1, 2], &[]), at(64)), Verdict::default());
        for second in [66, 68, 70, 72] {
            let lost = peers.learn(roster(&[1], &[2]), at(second)).lost;
            assert_eq!(lost.len(), usize::from(second == 70), "{second}");
        }
    }

    #[test]
    fn who_vanishes_from_a_registry_that_was_emptied_has_time_to_come_back() {
        let mut peers = Peers::new(TIMEOUT);
        steady(&mut peers, 20);
        for second in [22, 26, 30] {
            assert_eq!(peers.learn(roster(&[1], &[]), at(second)), Verdict::default());
            assert!(peers.lives(Incarnation(2)));
        }
        assert_eq!(peers.learn(roster(&[1], &[]), at(34)).lost, [Incarnation(2)]);
    }
}
