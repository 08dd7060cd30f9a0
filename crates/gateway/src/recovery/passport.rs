//! What another node has to know of a client that comes back there.

use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::id::Id;

use super::{Claim, Marks, Offset, SavedSession};

/// A client that may come back, without what is the application's. Whoever has it can be the client: it is a secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Passport {
    pid: String,
    sid: String,
    log: String,
    head: u64,
    first: u64,
    last: u64,
    exact: bool,
    alone: u64,
    came_with: Option<String>,
    marks: Marks,
}

/// From where on a client with a passport misses events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The position in the log of the node that it comes from.
    pub after: u64,
    /// The last of the application's marks that it certainly has.
    pub mark: Option<u64>,
}

/// A client that comes from another node: what it goes on with.
pub struct Arrival {
    pub passport: Passport,
    /// The rooms that it is in again.
    pub rooms: Vec<String>,
    /// The events that it missed, in order.
    pub missed: Vec<Frame>,
}

impl SavedSession {
    pub fn passport(&self) -> Passport {
        Passport {
            pid: self.pid.as_str().to_owned(),
            sid: self.sid.as_str().to_owned(),
            log: self.head.log().to_owned(),
            head: self.head.position,
            first: self.first,
            last: self.last,
            exact: self.exact,
            alone: self.alone,
            came_with: self.came_with.map(|offset| offset.to_string()),
            marks: self.marks().clone(),
        }
    }
}

impl Passport {
    /// The id that the socket had.
    pub fn socket_id(&self) -> &str {
        &self.sid
    }

    /// Where its node's log stood when it went.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The positions that its client can have seen, in the log that its node had.
    pub fn seen(&self) -> std::ops::RangeInclusive<u64> {
        self.first..=self.last
    }

    /// `None`: the claim is of another session, or what was kept for this client alone is missing.
    pub fn missing(&self, claim: &Claim) -> Option<Missing> {
        let offset = claim.offset;
        let came_with = self.came_with.as_deref().and_then(Offset::parse);
        let position = match came_with {
            Some(old) if old.is_at(offset) => self.first,
            _ => (offset.log() == self.log).then_some(offset.position)?,
        };
        if claim.pid() != self.pid || !self.seen().contains(&position) || position < self.alone {
            return None;
        }
        let all = self.exact && position == self.last;
        let after = if all { self.head } else { position };
        Some(Missing { after, mark: self.marks.known(position, offset.mark) })
    }

    pub(super) fn ids(&self) -> Option<(Id, Id)> {
        Some((Id::parse(&self.pid)?, Id::parse(&self.sid)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(offset: &str) -> Claim {
        let pid = Id::parse("0123456789012345678901").unwrap();
        Claim { pid, offset: Offset::parse(offset).unwrap() }
    }

    fn passport() -> Passport {
        let mut marks = Marks::default();
        marks.note(12, 1);
        Passport {
            pid: "0123456789012345678901".to_owned(),
            sid: "sid".to_owned(),
            log: "abcd".to_owned(),
            head: 30,
            first: 10,
            last: 20,
            exact: true,
            alone: 0,
            came_with: Some("wxyz5.1".to_owned()),
            marks,
        }
    }

    #[test]
    fn it_tells_from_where_on_its_client_misses_events() {
        let after = |passport: &Passport, offset| {
            passport.missing(&claim(offset)).map(|missing| (missing.after, missing.mark))
        };
        let passport = passport();
        assert_eq!(after(&passport, "abcd15"), Some((15, Some(1))));
        assert_eq!(after(&passport, "abcd20"), Some((30, Some(1))), "it has all that was sent");
        assert_eq!(after(&passport, "wxyz5.9"), Some((10, Some(1))), "as it came");
        for other in ["abcd9", "abcd21", "wxyz6", "efgh15"] {
            assert_eq!(after(&passport, other), None, "{other}");
        }
        let text = serde_json::to_string(&passport).unwrap();
        let alone = Passport { alone: 16, ..serde_json::from_str(&text).unwrap() };
        assert_eq!((after(&alone, "abcd15"), after(&alone, "abcd16")), (None, Some((16, Some(1)))));
        let other = Passport { pid: "x".to_owned(), ..passport };
        assert_eq!(after(&other, "abcd15"), None);
    }
}
