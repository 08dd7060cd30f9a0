//! A look at MessagePack without building it: how many values it holds, and how deep it is.

use super::{MAX_DEPTH, MAX_VALUES, Malformed, Result};

/// Checks that there are not too many values, not too deep, and that each has all its bytes. In memory a value takes
/// many times the byte that it may take here.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    let mut values = 1_usize;
    // Of each array and object around: the values that it announced and that were not seen yet.
    let mut due = vec![1_usize];
    while let Some(left) = due.last_mut() {
        let Some(others) = left.checked_sub(1) else {
            due.pop();
            continue;
        };
        *left = others;
        let (value, after) = head(rest)?;
        values = values.saturating_add(value.children);
        if values > MAX_VALUES {
            return Err(Malformed::TooMany("values"));
        }
        rest = after.get(value.bytes..).ok_or(Malformed::Syntax)?;
        if value.is_nest {
            due.push(value.children);
        }
        if due.len() > MAX_DEPTH + 1 {
            return Err(Malformed::TooDeep);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(Malformed::Syntax) }
}

#[derive(Default)]
struct Head {
    /// What belongs to it beside its head.
    bytes: usize,
    /// An array or an object, with so many values in it.
    is_nest: bool,
    children: usize,
}

fn head(bytes: &[u8]) -> Result<(Head, &[u8])> {
    let (&marker, rest) = bytes.split_first().ok_or(Malformed::Syntax)?;
    let bytes = |bytes| Head { bytes, ..Head::default() };
    let children = |children| Head { bytes: 0, is_nest: true, children };
    // Lengths of 1, 2 and 4 bytes stand in this order.
    let sized = |first: u8| length(rest, 1 << (marker - first));
    Ok(match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (Head::default(), rest),
        0x80..=0x8f => (children(2 * usize::from(marker & 0x0f)), rest),
        0x90..=0x9f => (children(usize::from(marker & 0x0f)), rest),
        0xa0..=0xbf => (bytes(usize::from(marker & 0x1f)), rest),
        0xc4..=0xc6 => {
            let (length, rest) = sized(0xc4)?;
            (bytes(length), rest)
        }
        0xc7..=0xc9 => {
            let (length, rest) = sized(0xc7)?;
            (bytes(length.saturating_add(1)), rest)
        }
        0xca | 0xce | 0xd2 => (bytes(4), rest),
        0xcb | 0xcf | 0xd3 => (bytes(8), rest),
        0xcc | 0xd0 => (bytes(1), rest),
        0xcd | 0xd1 => (bytes(2), rest),
        0xd4..=0xd8 => (bytes(1 + (1 << (marker - 0xd4))), rest),
        0xd9..=0xdb => {
            let (length, rest) = sized(0xd9)?;
            (bytes(length), rest)
        }
        0xdc | 0xdd => {
            let (length, rest) = length(rest, 2 << (marker - 0xdc))?;
            (children(length), rest)
        }
        0xde | 0xdf => {
            let (length, rest) = length(rest, 2 << (marker - 0xde))?;
            (children(length.saturating_mul(2)), rest)
        }
        0xc1 => return Err(Malformed::Syntax),
    })
}

fn length(bytes: &[u8], size: usize) -> Result<(usize, &[u8])> {
    let (length, rest) = bytes.split_at_checked(size).ok_or(Malformed::Syntax)?;
    Ok((length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_all_its_bytes_passes() {
        let good: [&[u8]; 12] = [
            &[0x01],
            &[0xff],
            &[0xc0],
            &[0x92, 0x01, 0xa1, b'x'],
            &[0x81, 0xa1, b'a', 0xc3],
            &[0xc4, 2, 0, 0],
            &[0xc7, 1, 5, 0],
            &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xd6, 0xff, 0, 0, 0, 0],
            &[0xd8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xdc, 0, 1, 0x07],
            &[0xde, 0, 1, 0x07, 0x08],
        ];
        for bytes in good {
            assert_eq!(check(bytes), Ok(()), "{bytes:x?}");
            for cut in 0..bytes.len() {
                assert_eq!(check(&bytes[..cut]), Err(Malformed::Syntax), "{bytes:x?} cut at {cut}");
            }
            let more = [bytes, &[0x00]].concat();
            assert_eq!(check(&more), Err(Malformed::Syntax), "{more:x?}");
        }
        assert_eq!(check(&[0xc1]), Err(Malformed::Syntax));
    }

    #[test]
    fn what_announces_too_much_is_refused_before_it_is_read() {
        for bytes in [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xdf, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(check(bytes), Err(Malformed::TooMany("values")));
        }
        let many = [&[0xdd, 0, 1, 0x86, 0xa0][..], &[0; 100_000]].concat();
        assert_eq!(check(&many), Err(Malformed::TooMany("values")));
        let enough = [&[0xdd, 0, 1, 0x86, 0x9f][..], &[0; 99_999]].concat();
        assert_eq!(check(&enough), Ok(()));
    }
}
