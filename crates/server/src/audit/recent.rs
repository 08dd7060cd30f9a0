//! What happened within the last minute, and how often.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use tidings_core::{
    audit::{Actor, AuditEntry, EventName, Happening},
    time::Timestamp,
};

use crate::address_limits::subscriber;

/// How long the same happening is counted instead of written again.
const WINDOW: Duration = Duration::from_secs(60);
/// Different happenings of one event by one actor (or from one address, if nobody knows whom)
/// that get an entry each.
const PER_ACTOR: usize = 100;
/// Different happenings of all together. Those of so many actors that this is not enough share
/// an entry for each event: a flood from many addresses cannot fill the disk either.
const ALL: usize = 1_000;

/// Who stands behind a happening: counted together.
type Who = (EventName, Actor, Option<IpAddr>);

pub(super) struct Recent {
    since: Timestamp,
    counted: HashMap<Happening, Counted>,
    /// Different happenings by each.
    by: HashMap<Who, usize>,
}

struct Counted {
    entry: AuditEntry,
    /// The count that the store was given.
    written: u64,
}

impl Recent {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { since: now, counted: HashMap::new(), by: HashMap::new() }
    }

    /// Counts a happening; gives its entry if it is the first of its kind.
    pub(super) fn count(
        &mut self,
        happening: Happening,
        now: Timestamp,
        entry: impl FnOnce(Happening, Timestamp) -> AuditEntry,
    ) -> Option<AuditEntry> {
        let happening = self.place(happening);
        if let Some(counted) = self.counted.get_mut(&happening) {
            counted.entry.count += 1;
            counted.entry.last_at = now;
            return None;
        }
        let entry = entry(happening.clone(), now);
        self.counted.insert(happening, Counted { entry: entry.clone(), written: 1 });
        Some(entry)
    }

    /// The happening itself while there is room for it, else the one that it is counted with.
    fn place(&mut self, happening: Happening) -> Happening {
        if self.counted.contains_key(&happening) {
            return happening;
        }
        let who = who(&happening);
        let different = self.by.get(&who).copied().unwrap_or_default();
        if self.counted.len() >= ALL {
            let others = Happening { event: happening.event, ..Happening::new("", Actor::System) };
            return others.with("reason", "more, by others; the server's log has each");
        }
        *self.by.entry(who.clone()).or_default() += 1;
        if different < PER_ACTOR {
            return happening;
        }
        let (event, actor, ip) = who;
        let user = match &actor {
            Actor::User(user) => Some(user.clone()),
            _ => None,
        };
        let more = Happening { event, ip, user, ..Happening::new("", actor) };
        more.with("reason", "more of the same; the server's log has each")
    }

    /// What happened again since it was last asked. With the end of a minute, counting starts
    /// anew.
    pub(super) fn take_counted(&mut self, now: Timestamp) -> Vec<AuditEntry> {
        let mut again = Vec::new();
        for counted in self.counted.values_mut() {
            if counted.entry.count > counted.written {
                counted.written = counted.entry.count;
                again.push(counted.entry.clone());
            }
        }
        if now.since(self.since) >= WINDOW {
            *self = Self::new(now);
        }
        again
    }
}

fn who(happening: &Happening) -> Who {
    let ip = match &happening.actor {
        Actor::User(_) | Actor::ApiKey(_) => None,
        Actor::Anonymous | Actor::Operator | Actor::System | Actor::Erased => {
            happening.ip.map(subscriber)
        }
    };
    (happening.event.clone(), happening.actor.clone(), ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::new_entry;

    fn refused(ip: [u8; 4], reason: &str) -> Happening {
        Happening::new("token.refused", Actor::Anonymous).from(ip.into()).with("reason", reason)
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn the_same_is_one_entry_with_a_count() {
        let mut recent = Recent::new(at(0));
        let first = recent.count(refused([1; 4], "expired"), at(1), new_entry).unwrap();
        for n in 2..1_000 {
            assert_eq!(recent.count(refused([1; 4], "expired"), at(n), new_entry), None);
        }
        let again = recent.take_counted(at(1_000));
        assert_eq!(again, [AuditEntry { count: 999, last_at: at(999), ..first }]);
        assert!(recent.take_counted(at(1_001)).is_empty(), "nothing since");
        recent.take_counted(at(60_000));
        assert!(recent.count(refused([1; 4], "expired"), at(60_001), new_entry).is_some());
    }

    #[test]
    fn one_address_gets_so_many_entries_and_no_more() {
        let mut recent = Recent::new(at(0));
        let mut entries = 0;
        for n in 0..10_000 {
            let entry = recent.count(refused([1; 4], &n.to_string()), at(n), new_entry);
            entries += usize::from(entry.is_some());
        }
        assert_eq!(entries, PER_ACTOR + 1);
        assert!(recent.count(refused([2; 4], "x"), at(1), new_entry).is_some(), "others do");
        let counts: u64 = recent.take_counted(at(1)).iter().map(|entry| entry.count).sum();
        assert_eq!(counts, 10_000 - PER_ACTOR as u64, "and nothing is left out");
    }

    #[test]
    fn all_addresses_together_get_so_many_entries() {
        let mut recent = Recent::new(at(0));
        let mut entries = 0;
        for n in 0..100_000_u32 {
            let entry = recent.count(refused(n.to_be_bytes(), "x"), at(0), new_entry);
            entries += usize::from(entry.is_some());
        }
        assert_eq!(entries, ALL + 1);
        assert!(recent.by.len() <= ALL);
    }
}
