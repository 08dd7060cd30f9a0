//! Messages as values.

use rmpv::Value;

use super::{Malformed, Result, bounds, json};

/// Reads a message: JSON if it begins with a brace, which no array or object of MessagePack does.
pub(super) fn read(bytes: &[u8]) -> Result<Value> {
    if bytes.first() == Some(&b'{') {
        return json::parse(bytes);
    }
    bounds::check(bytes)?;
    let mut rest = bytes;
    rmpv::decode::read_value(&mut rest).map_err(|_| Malformed::Syntax)
}

pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing into memory cannot fail.
    let _ = rmpv::encode::write_value(&mut bytes, value);
    bytes
}

/// An object with these fields, in this order.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketio::MAX_DEPTH;

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| [vec![0x91; levels], vec![0x00]].concat();
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(Malformed::TooDeep));
        assert_eq!(read(&nested(90_000)), Err(Malformed::TooDeep));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        proptest::proptest!(|(bytes: Vec<u8>)| {
            if let Ok(value) = read(&bytes) && bytes.first() != Some(&b'{') {
                proptest::prop_assert!(read(&write(&value)).is_ok());
            }
        });
    }
}
