//! The mark that every message carries: which it is, and when it was due.
//!
//! It is one short word without quotes or escapes, `~NUMBER.NANOSECONDS.STREAM~`, so that it can
//! stand anywhere in a message and survives whatever the server makes of the JSON around it.

use std::io::Write as _;

use memchr::memchr_iter;

/// One message of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Counts the messages of a stream from 0.
    pub number: u32,
    /// When it was due, in nanoseconds of the generator's clock.
    pub due: u64,
    /// Messages of one stream arrive in their order.
    pub stream: u32,
}

impl Mark {
    pub fn write_to(&self, out: &mut Vec<u8>) {
        // Writing into memory cannot fail.
        let _ = write!(out, "~{}.{}.{}~", self.number, self.due, self.stream);
    }

    /// The mark in a message, if it has one.
    pub fn find(message: &[u8]) -> Option<Self> {
        memchr_iter(b'~', message).find_map(|at| Self::parse(message.get(at + 1..)?))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (number, text) = digits(text, b'.')?;
        let (due, text) = digits(text, b'.')?;
        let (stream, _) = digits(text, b'~')?;
        let (number, stream) = (u32::try_from(number).ok()?, u32::try_from(stream).ok()?);
        Some(Self { number, due, stream })
    }
}

/// A number that ends with `end`, and what follows.
fn digits(text: &[u8], end: u8) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    for (at, byte) in text.iter().enumerate() {
        if *byte == end && at > 0 {
            return Some((number, text.get(at + 1..)?));
        }
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_stands() {
        let mark = Mark { number: 7, due: 123_456_789_012, stream: 3 };
        let mut message = br#"42["x",{"tilde":"~ 1~2.3~","mark":""#.to_vec();
        mark.write_to(&mut message);
        assert_eq!(Mark::find(&message), Some(mark));
        message.extend(br#""}]"#);
        assert_eq!(Mark::find(&message), Some(mark));
    }

    #[test]
    fn what_is_no_mark_is_none() {
        for message in ["", "~", "~~", "~..~", "~1.2~", "~1.2.3", "~1.2.x~", "~-1.2.3~"] {
            assert_eq!(Mark::find(message.as_bytes()), None, "{message}");
        }
        let huge = format!("~{}.1.1~", u64::MAX);
        assert_eq!(Mark::find(huge.as_bytes()), None);
        assert_eq!(Mark::find(format!("~1.{}0.1~", u64::MAX).as_bytes()), None);
    }
}
