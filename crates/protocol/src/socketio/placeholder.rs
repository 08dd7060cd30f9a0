//! Where attachments belong in the JSON of a binary packet: `{"_placeholder":true,"num":<index>}`.

use super::Error;
use crate::json::{self, Token, Tokens};

/// An array or object around the current token.
#[derive(Default)]
struct Level<'a> {
    object: bool,
    /// In an object: the key whose value comes next, unless a key is to come.
    key: Option<Key>,
    is_placeholder: bool,
    num: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Placeholder,
    Num,
    Other,
}

/// Checks that every placeholder in `data` has one of the `attachments`, so that nobody behind the decoder
/// indexes with a number of a stranger. `data` is JSON of bounded depth. A key given twice counts as
/// JavaScript counts it: the last one wins.
pub(super) fn check(data: &str, attachments: usize) -> Result<(), Error> {
    let mut levels: Vec<Level<'_>> = Vec::new();
    for token in Tokens::new(data) {
        match token {
            Token::OpenArray | Token::OpenObject => {
                if let Some(level) = levels.last_mut() {
                    level.value(None);
                }
                levels.push(Level { object: token == Token::OpenObject, ..Level::default() });
            }
            Token::Close => levels.pop().unwrap_or_default().check(attachments)?,
            Token::String(written) => {
                if let Some(level) = levels.last_mut() {
                    level.string(written);
                }
            }
            Token::Scalar(scalar) => {
                if let Some(level) = levels.last_mut() {
                    level.value(Some(scalar));
                }
            }
            Token::Colon | Token::Comma => {}
        }
    }
    Ok(())
}

impl<'a> Level<'a> {
    /// A string is a key if the object waits for one, else a value.
    fn string(&mut self, written: &str) {
        if self.object && self.key.is_none() {
            self.key = Some(Key::read(written));
        } else {
            self.value(None);
        }
    }

    /// The value of the last key; `None` for one that is neither number nor literal.
    fn value(&mut self, scalar: Option<&'a str>) {
        match self.key.take() {
            Some(Key::Placeholder) => self.is_placeholder = scalar == Some("true"),
            Some(Key::Num) => self.num = scalar,
            Some(Key::Other) | None => {}
        }
    }

    fn check(&self, attachments: usize) -> Result<(), Error> {
        let index = self.num.and_then(|num| num.parse::<usize>().ok());
        match index {
            _ if !self.is_placeholder => Ok(()),
            Some(index) if index < attachments => Ok(()),
            _ => Err(Error::BadPlaceholder),
        }
    }
}

impl Key {
    fn read(written: &str) -> Key {
        match json::unescape(written).as_deref() {
            Ok("_placeholder") => Key::Placeholder,
            Ok("num") => Key::Num,
            _ => Key::Other,
        }
    }
}
