//! A look at JSON without building it: how deep it is, what it starts with.
//!
//! serde_json decides whether a text is JSON, when it makes a [`RawValue`] of it (a loop there, no
//! recursion). What it does not tell is found here, in one pass over the text that is safe on any
//! input: on a text that is not JSON the answers mean nothing, but serde_json refuses it anyway.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// The deepest nesting that a client may send. Whoever walks the value later may use recursion.
pub const MAX_DEPTH: usize = 128;

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON.
    #[error("malformed JSON")]
    Malformed,
    /// Arrays and objects within one another beyond the limit.
    #[error("JSON nested deeper than {limit} levels")]
    TooDeep {
        /// The limit that was given.
        limit: usize,
    },
}

/// A piece of JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// `[`
    OpenArray,
    /// `{`
    OpenObject,
    /// `]` or `}`
    Close,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// A string as it is written, without its quotes; see [`unescape`].
    String(&'a str),
    /// A number, `true`, `false`, `null`; or anything else, if the text is not JSON.
    Scalar(&'a str),
}

/// Splits a text into its tokens. Ends at the end of the text, whatever it holds.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    /// The tokens of `text`.
    pub fn new(text: &'a str) -> Tokens<'a> {
        Tokens { rest: text }
    }

    /// Takes `len` bytes. Every caller stops in front of an ASCII byte, thus between two characters.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// The rest of a string whose opening quote was taken.
    fn string(&mut self) -> Token<'a> {
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        while let Some(&byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let text = self.take(end);
        self.take(1);
        Token::String(text)
    }

    fn scalar(&mut self) -> Token<'a> {
        let is_end = |byte: &u8| {
            matches!(byte, b'[' | b'{' | b']' | b'}' | b':' | b',' | b'"') || is_space(*byte)
        };
        let end = self.rest.as_bytes().iter().position(is_end).unwrap_or(self.rest.len());
        Token::Scalar(self.take(end))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.rest.as_bytes();
        let start = bytes.iter().position(|byte| !is_space(*byte))?;
        self.take(start);
        let token = match self.rest.as_bytes().first()? {
            b'"' => {
                self.take(1);
                return Some(self.string());
            }
            b'[' => Token::OpenArray,
            b'{' => Token::OpenObject,
            b']' | b'}' => Token::Close,
            b':' => Token::Colon,
            b',' => Token::Comma,
            _ => return Some(self.scalar()),
        };
        self.take(1);
        Some(token)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// What one pass over a text shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The first token: tells an array from an object, a string, a scalar.
    pub root: Option<Token<'a>>,
    /// The token after it: of an array that is not empty, the beginning of its first element.
    pub first: Option<Token<'a>>,
}

/// Checks the depth of a text and reads its beginning, in one pass.
pub fn outline(text: &str, max_depth: usize) -> Result<Outline<'_>, Error> {
    let mut ahead = Tokens::new(text);
    let outline = Outline { root: ahead.next(), first: ahead.next() };
    let mut depth = 0_usize;
    for token in Tokens::new(text) {
        match token {
            Token::OpenArray | Token::OpenObject if depth == max_depth => {
                return Err(Error::TooDeep { limit: max_depth });
            }
            Token::OpenArray | Token::OpenObject => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(outline)
}

/// Makes a [`RawValue`] of a text that is JSON and not too deep: safe to walk by recursion, unlike what
/// serde_json lets through here (a raw value of a million open brackets).
pub fn parse_raw(text: &str, max_depth: usize) -> Result<Box<RawValue>, Error> {
    outline(text, max_depth)?;
    raw(text)
}

/// Makes a [`RawValue`] of a text whose depth is known to be bounded.
pub(crate) fn raw(text: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text.to_owned()).map_err(|_| Error::Malformed)
}

/// The value of a string token. Copies only if there is an escape in it.
pub fn unescape(written: &str) -> Result<Cow<'_, str>, Error> {
    if !written.contains('\\') {
        return Ok(Cow::Borrowed(written));
    }
    let quoted = format!("\"{written}\"");
    serde_json::from_str(&quoted).map(Cow::Owned).map_err(|_| Error::Malformed)
}
