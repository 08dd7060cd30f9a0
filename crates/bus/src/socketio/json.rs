//! JSON as MessagePack values, and MessagePack values as JSON.

use std::{cell::Cell, fmt};

use bytes::Bytes;
use rmpv::Value;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tidings_core::time::Timestamp;

use super::{MAX_ATTACHMENTS, MAX_DEPTH, MAX_VALUES, Malformed, Result};

/// The field that stands for a binary value in the JSON of Socket.IO's own packets.
const PLACEHOLDER: &str = "_placeholder";

/// Reads a text in one pass that ends where there is too much of it.
pub(super) fn parse(text: &[u8]) -> Result<Value> {
    let (left, too_deep) = (Cell::new(MAX_VALUES), Cell::new(false));
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let node = Node { left: &left, too_deep: &too_deep, depth: MAX_DEPTH };
    let value = node.deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) if too_deep.get() => Err(Malformed::TooDeep),
        Err(_) if left.get() == 0 => Err(Malformed::TooMany("values")),
        Err(_) => Err(Malformed::Syntax),
    }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    left: &'a Cell<usize>,
    too_deep: &'a Cell<bool>,
    depth: usize,
}

impl<'a> Node<'a> {
    fn inside<E: de::Error>(self) -> std::result::Result<Node<'a>, E> {
        let Some(depth) = self.depth.checked_sub(1) else {
            self.too_deep.set(true);
            return Err(E::custom("too deep"));
        };
        Ok(Node { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| de::Error::custom("too many"))?);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.push((key.into(), map.next_value_seed(inside)?));
        }
        Ok(Value::Map(entries))
    }
}

/// What becomes of binary values.
pub(super) enum Binary<'a> {
    /// Attachments, for whom a packet may have some.
    Attached(&'a mut Vec<Bytes>),
    /// Texts in base64, for others.
    Encoded,
}

/// Writes a value as JSON, as JavaScript does. Its depth is bounded by whoever read it.
pub(super) fn write(value: &Value, out: &mut String, binary: &mut Binary<'_>) -> Result<()> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::F32(number) => write_float(f64::from(*number), out),
        Value::F64(number) => write_float(*number, out),
        // Half of a surrogate pair is all that can be wrong with a text of JavaScript's.
        Value::String(text) => write_text(&String::from_utf8_lossy(text.as_bytes()), out),
        Value::Binary(bytes) => write_binary(bytes, out, binary)?,
        Value::Array(values) => write_list(values, out, binary)?,
        Value::Map(entries) => write_object(entries, out, binary)?,
        Value::Ext(kind, bytes) => write_extension(*kind, bytes, out, binary)?,
    }
    Ok(())
}

fn write_float(number: f64, out: &mut String) {
    match serde_json::Number::from_f64(number) {
        Some(number) => out.push_str(&number.to_string()),
        None => out.push_str("null"),
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn write_list(values: &[Value], out: &mut String, binary: &mut Binary<'_>) -> Result<()> {
    out.push('[');
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write(value, out, binary)?;
    }
    out.push(']');
    Ok(())
}

fn write_object(
    entries: &[(Value, Value)],
    out: &mut String,
    binary: &mut Binary<'_>,
) -> Result<()> {
    out.push('{');
    for (n, (key, value)) in entries.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        match key {
            // It would stand for an attachment of somebody else's.
            Value::String(key) if key.as_bytes() == PLACEHOLDER.as_bytes() => {
                return Err(Malformed::Shape(PLACEHOLDER));
            }
            Value::String(key) => write_text(&String::from_utf8_lossy(key.as_bytes()), out),
            Value::Integer(key) => write_text(&key.to_string(), out),
            _ => return Err(Malformed::Shape("a key")),
        }
        out.push(':');
        write(value, out, binary)?;
    }
    out.push('}');
    Ok(())
}

fn write_binary(bytes: &[u8], out: &mut String, binary: &mut Binary<'_>) -> Result<()> {
    match binary {
        Binary::Attached(attachments) => {
            if attachments.len() == MAX_ATTACHMENTS {
                return Err(Malformed::TooMany("attachments"));
            }
            let num = attachments.len();
            out.push_str(&format!(r#"{{"{PLACEHOLDER}":true,"num":{num}}}"#));
            attachments.push(Bytes::copy_from_slice(bytes));
        }
        Binary::Encoded => {
            use base64::Engine as _;
            out.push('"');
            base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
            out.push('"');
        }
    }
    Ok(())
}

/// JavaScript's dates, and what older encoders made of `undefined` and of buffers.
fn write_extension(
    kind: i8,
    bytes: &[u8],
    out: &mut String,
    binary: &mut Binary<'_>,
) -> Result<()> {
    match (kind, bytes.len()) {
        (-1, _) => match millis(bytes) {
            Some(millis) => write_text(&Timestamp::from_millis(millis).to_string(), out),
            None => out.push_str("null"),
        },
        (0, 1) => out.push_str("null"),
        (0, _) => write_binary(bytes, out, binary)?,
        _ => {
            out.push_str(&format!("[{kind},"));
            write_binary(bytes, out, binary)?;
            out.push(']');
        }
    }
    Ok(())
}

/// The timestamp of MessagePack, in its three lengths.
fn millis(bytes: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, u32::try_from(both >> 34).ok()?)
        }
        12 => {
            let (nanos, seconds) = bytes.split_at(4);
            let nanos = u32::from_be_bytes(nanos.try_into().ok()?);
            (i64::from_be_bytes(seconds.try_into().ok()?), nanos)
        }
        _ => return None,
    };
    seconds.checked_mul(1_000)?.checked_add(i64::from(nanos / 1_000_000))
}

/// Puts attachments where their placeholders stand.
pub(super) fn attach(value: &mut Value, attachments: &[Bytes]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| attach(value, attachments)),
        Value::Map(entries) => {
            let field = |name| entries.iter().find(|(key, _)| key.as_str() == Some(name));
            let is_placeholder =
                field(PLACEHOLDER).is_some_and(|(_, it)| it.as_bool() == Some(true));
            let num = field("num").and_then(|(_, num)| usize::try_from(num.as_u64()?).ok());
            match num.filter(|_| is_placeholder).and_then(|num| attachments.get(num)) {
                Some(bytes) => *value = Value::Binary(bytes.to_vec()),
                None => entries.iter_mut().for_each(|(_, value)| attach(value, attachments)),
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> (String, Vec<Bytes>) {
        let (mut out, mut attachments) = (String::new(), Vec::new());
        write(value, &mut out, &mut Binary::Attached(&mut attachments)).unwrap();
        (out, attachments)
    }

    #[test]
    fn json_comes_out_as_it_went_in() {
        let text = r#"{"b":[1,-2,1.5,18446744073709551615,true,null],"a":{"é\n":"\"x\""},"":[]}"#;
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(written(&value), (text.to_owned(), Vec::new()));
    }

    #[test]
    fn bounds_hold() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(Malformed::TooDeep));
        assert_eq!(parse(nested(100_000).as_bytes()), Err(Malformed::TooDeep));
        let wide = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert!(parse(wide(MAX_VALUES - 1).as_bytes()).is_ok());
        assert_eq!(parse(wide(MAX_VALUES).as_bytes()), Err(Malformed::TooMany("values")));
        for bad in ["", "{", "{} x", "[1,]", "nul"] {
            assert_eq!(parse(bad.as_bytes()), Err(Malformed::Syntax), "{bad}");
        }
    }

    #[test]
    fn what_json_has_not_becomes_what_javascript_makes_of_it() {
        let cases = [
            (Value::F64(f64::NAN), "null"),
            (Value::F64(2.0), "2.0"),
            (Value::Ext(0, vec![0]), "null"),
            (Value::Ext(-1, vec![0x65, 0x92, 0x00, 0x80]), r#""2024-01-01T00:00:00.000Z""#),
            (Value::Ext(-1, vec![0; 3]), "null"),
            (Value::Map(vec![(1.into(), 2.into())]), r#"{"1":2}"#),
        ];
        for (value, json) in cases {
            assert_eq!(written(&value).0, json);
        }
    }

    #[test]
    fn timestamps_have_three_lengths() {
        let nanos = 500_000_000_u64 << 34 | 1_704_067_200;
        let long = [&0_u32.to_be_bytes()[..], &(-1_i64).to_be_bytes()].concat();
        assert_eq!(millis(&nanos.to_be_bytes()), Some(1_704_067_200_500));
        assert_eq!(millis(&long), Some(-1_000));
    }

    #[test]
    fn binary_values_are_attached_or_encoded() {
        let value = Value::Array(vec![Value::Binary(vec![1, 2]), Value::Binary(vec![255])]);
        let placeholder = |num| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
        let (text, attachments) = written(&value);
        assert_eq!(text, format!("[{},{}]", placeholder(0), placeholder(1)));
        assert_eq!(attachments, [Bytes::from_static(&[1, 2]), Bytes::from_static(&[255])]);
        let mut out = String::new();
        write(&value, &mut out, &mut Binary::Encoded).unwrap();
        assert_eq!(out, r#"["AQI=","/w=="]"#);
        let mut back = parse(text.as_bytes()).unwrap();
        attach(&mut back, &attachments);
        assert_eq!(back, value);
    }

    #[test]
    fn nobody_forges_a_placeholder() {
        let forged = parse(br#"{"a":{"_placeholder":true,"num":7}}"#).unwrap();
        let problem = write(&forged, &mut String::new(), &mut Binary::Encoded);
        assert_eq!(problem, Err(Malformed::Shape("_placeholder")));
    }
}
