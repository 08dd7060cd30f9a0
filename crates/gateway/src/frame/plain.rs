//! A frame as plain WebSocket clients get it: one JSON object per message.
//!
//! `42["name",{…}]` becomes `{"type":"name",…}`. An argument that has a field `type` of its own would hide ours, so it
//! goes under a key ([`Frame::under_key`]) or, like anything that is not exactly one object, into `"args":[…]`.
//! Attachments are left out, since messages are text; what they get instead is told by
//! [`Frame::plain_instead`].

use std::sync::Arc;

use tidings_protocol::json::{Token, Tokens};
use tidings_protocol::websocket::{self, Opcode};

use super::{Frame, Prefix, Suffix, quoted};

/// What a text is, given that an object was opened before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The rest of that object and nothing more.
    Fields,
    /// As `Fields`, and one of them is called `type`.
    Typed,
    Other,
}

/// How a frame's arguments become an object.
enum Shape {
    /// Its fields stand beside `type`.
    Fields,
    /// One object, kept whole.
    Whole,
    Args,
}

impl Frame {
    /// This event for plain clients; made once.
    pub(crate) fn plain(&self) -> &Arc<Self> {
        self.plain.get_or_init(|| Arc::new(self.to_plain()))
    }

    /// Plain clients and event streams get this event in its place: one that needs no attachments.
    #[must_use]
    pub fn plain_instead(self, other: &Self) -> Self {
        let (plain, stream) = (Arc::clone(other.plain()), Arc::clone(other.stream()));
        Self { plain: plain.into(), stream: stream.into(), ..self }
    }

    fn to_plain(&self) -> Self {
        let text = self.first_payload();
        let Some(start) = text.iter().position(|byte| *byte == b'[') else { return self.clone() };
        let (name, args) = text.split_at(start + 1 + usize::from(self.name));
        let name = name.get(start + 1..).unwrap_or_default();
        let other = self.plain_type.map(quoted);
        let name = other.as_ref().map_or(name, |other| other.as_bytes());
        let args = args.strip_prefix(b",").unwrap_or_default();
        if self.prefix().is_empty() {
            self.plain_whole(name, args.strip_suffix(b"]").unwrap_or_default())
        } else {
            self.plain_headed(name, args)
        }
    }

    fn shape(&self, rest: Rest) -> Shape {
        match (rest, self.key) {
            (Rest::Other, _) => Shape::Args,
            (_, Some(_)) => Shape::Whole,
            (Rest::Fields, None) => Shape::Fields,
            (Rest::Typed, None) => Shape::Args,
        }
    }

    fn plain_whole(&self, name: &[u8], args: &[u8]) -> Self {
        let args = std::str::from_utf8(args).unwrap_or_default().trim();
        let name = std::str::from_utf8(name).unwrap_or_default();
        let rest = args.strip_prefix('{').map_or(Rest::Other, rest);
        let key = self.key.unwrap_or_default();
        let frame = match self.shape(rest) {
            Shape::Fields => {
                let fields = args.get(1..).unwrap_or_default();
                Self::text(&[r#"{"type":"#, name, comma(fields), fields])
            }
            Shape::Whole => Self::text(&[r#"{"type":"#, name, ",\"", key, "\":", args, "}"]),
            Shape::Args => Self::text(&[r#"{"type":"#, name, r#","args":["#, args, "]}"]),
        };
        Self { name: 0, ..frame }
    }

    fn plain_headed(&self, name: &[u8], head: &[u8]) -> Self {
        let head = std::str::from_utf8(head).unwrap_or_default();
        let opened = head.trim_start().strip_prefix('{');
        let rest = match (opened.map(fields), self.rest) {
            (Some(Fields { depth: 1, typed: true, .. }), Rest::Fields) => Rest::Typed,
            (Some(Fields { depth: 1, .. }), rest) => rest,
            _ => Rest::Other,
        };
        // The bracket that closes the arguments.
        let tail = self.body.slice(..self.body.len().saturating_sub(1));
        let key = self.key.unwrap_or_default();
        match self.shape(rest) {
            Shape::Fields => {
                let fields = opened.unwrap_or_default();
                let ends = fields.trim().is_empty() && tail.trim_ascii_start().starts_with(b"}");
                let comma = if ends { "" } else { "," };
                self.assembled(
                    &[br#"{"type":"#, name, comma.as_bytes(), fields.as_bytes()],
                    tail,
                    "",
                )
            }
            Shape::Whole => self.assembled(
                &[br#"{"type":"#, name, b",\"", key.as_bytes(), b"\":", head.as_bytes()],
                tail,
                "}",
            ),
            Shape::Args => self.assembled(
                &[br#"{"type":"#, name, br#","args":["#, head.as_bytes()],
                self.body.clone(),
                "}",
            ),
        }
    }

    /// A frame with another beginning and end around a shared body.
    fn assembled(&self, start: &[&[u8]], body: bytes::Bytes, end: &str) -> Self {
        let start = start.concat();
        let header = websocket::header(Opcode::Text, start.len() + body.len() + end.len());
        Self {
            prefix: Prefix::concat(&[header.as_slice(), &start]),
            suffix: Suffix::new(end.as_bytes()),
            ..Self::shared(body, 0)
        }
    }
}

/// What stands between `type` and these fields, which end with the bracket of their object.
fn comma(fields: &str) -> &'static str {
    if fields.trim_start().starts_with('}') { "" } else { "," }
}

/// What the beginning of a text is, given that an object was opened before it.
struct Fields {
    /// Objects and arrays that are open at its end.
    depth: usize,
    typed: bool,
    /// The object was closed, and something follows.
    more: bool,
}

fn fields(text: &str) -> Fields {
    let mut found = Fields { depth: 1, typed: false, more: false };
    let mut tokens = Tokens::new(text).peekable();
    while let Some(token) = tokens.next() {
        found.more |= found.depth == 0;
        match token {
            Token::OpenArray | Token::OpenObject => found.depth += 1,
            Token::Close => found.depth = found.depth.saturating_sub(1),
            Token::String("type") if found.depth == 1 => {
                found.typed |= tokens.peek() == Some(&Token::Colon);
            }
            _ => {}
        }
    }
    found
}

pub(super) fn rest(text: &str) -> Rest {
    match fields(text) {
        Fields { depth: 0, more: false, typed: true } => Rest::Typed,
        Fields { depth: 0, more: false, typed: false } => Rest::Fields,
        _ => Rest::Other,
    }
}
