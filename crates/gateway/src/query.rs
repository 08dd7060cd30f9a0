//! Parameters of a query string.

use std::borrow::Cow;

/// The decoded value of the first parameter called `name`.
pub(crate) fn param<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value))
    })
}

/// `application/x-www-form-urlencoded`: `+` is a space, `%41` a byte, bad UTF-8 replaced.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        (bytes, rest) = match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                (bytes, after)
            }
            (b'+', _) => {
                bytes.push(b' ');
                (bytes, tail)
            }
            _ => {
                bytes.push(*first);
                (bytes, tail)
            }
        };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let query = "EIO=4&transport=polling&token=a%2Bb+c&flag&bad=%zz%f&token=second";
        assert_eq!(param(query, "EIO").as_deref(), Some("4"));
        assert_eq!(param(query, "token").as_deref(), Some("a+b c"));
        assert_eq!(param(query, "flag").as_deref(), Some(""));
        assert_eq!(param(query, "bad").as_deref(), Some("%zz%f"));
        assert_eq!(param(query, "none"), None);
        assert_eq!(param("", "EIO"), None);
    }
}
