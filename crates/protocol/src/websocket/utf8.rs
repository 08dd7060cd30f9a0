//! UTF-8 checked while it arrives (RFC 6455 §8.1).
//!
//! A peer must not be able to have us buffer a megabyte of text that its first byte already spoils, so
//! every piece is checked when it comes. A character may be cut anywhere, by a fragment or by TCP:
//! the check stops in front of an unfinished one and starts there again with the next piece.

use super::Error;

/// Checks `text` from byte `checked` on, where the characters before it are known to be good. Answers
/// the position up to which everything is good; the at most three bytes behind it are the beginning of
/// a character that could still become valid.
pub(super) fn check_prefix(text: &[u8], checked: usize) -> Result<usize, Error> {
    let unchecked = text.get(checked..).unwrap_or_default();
    match std::str::from_utf8(unchecked) {
        Ok(_) => Ok(text.len()),
        // `error_len` is None exactly if the input ended within a character.
        Err(error) if error.error_len().is_none() => Ok(checked + error.valid_up_to()),
        Err(_) => Err(Error::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_character_is_left_for_later() {
        let text = "aé€😀".as_bytes();
        let mut checked = 0;
        for end in 0..=text.len() {
            checked = check_prefix(&text[..end], checked).unwrap();
            assert!(end - checked <= 3);
        }
        assert_eq!(checked, text.len());
    }

    #[test]
    fn a_prefix_that_no_byte_can_save_is_refused() {
        let hopeless: [&[u8]; 9] = [
            b"\x80",           // a continuation byte on its own
            b"\xff",           // never a first byte
            b"\xc0",           // overlong
            b"\xe0\x80",       // overlong
            b"\xed\xa0",       // a surrogate
            b"\xf4\x90",       // above U+10FFFF
            b"\xf5",           // above U+10FFFF
            b"\xe2\x82a",      // interrupted
            b"ok\xf0\x80\x80", // overlong
        ];
        for bytes in hopeless {
            assert_eq!(check_prefix(bytes, 0), Err(Error::InvalidUtf8), "{bytes:x?}");
        }
    }
}
