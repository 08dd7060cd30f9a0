//! Texts with places for what differs from message to message.

use crate::mark::Mark;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Number,
    User,
    Token,
    Room,
    Mark,
    Fill,
}

/// A text in which `{n}`, `{user}`, `{token}`, `{room}`, `{mark}` and `{fill}` stand for
/// something. Other braces are themselves: most templates are JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// What the places stand for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// Of the connection, from 0.
    pub number: usize,
    pub user: &'a str,
    pub token: &'a str,
    pub room: &'a str,
    pub mark: Option<Mark>,
    pub fill: &'a str,
}

const PLACES: [(&str, Piece); 6] = [
    ("{n}", Piece::Number),
    ("{user}", Piece::User),
    ("{token}", Piece::Token),
    ("{room}", Piece::Room),
    ("{mark}", Piece::Mark),
    ("{fill}", Piece::Fill),
];

impl Template {
    pub fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut plain = String::new();
        while let Some(next) = rest.chars().next() {
            let place = PLACES.iter().find(|(name, _)| rest.starts_with(name));
            if let Some((name, piece)) = place {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece.clone());
                rest = rest.get(name.len()..).unwrap_or_default();
            } else {
                plain.push(next);
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self(pieces)
    }

    pub fn has_mark(&self) -> bool {
        self.0.contains(&Piece::Mark)
    }

    pub fn write_to(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Number => out.extend_from_slice(values.number.to_string().as_bytes()),
                Piece::User => out.extend_from_slice(values.user.as_bytes()),
                Piece::Token => out.extend_from_slice(values.token.as_bytes()),
                Piece::Room => out.extend_from_slice(values.room.as_bytes()),
                Piece::Fill => out.extend_from_slice(values.fill.as_bytes()),
                Piece::Mark => {
                    if let Some(mark) = values.mark {
                        mark.write_to(out);
                    }
                }
            }
        }
    }

    pub fn render(&self, values: &Values<'_>) -> String {
        let mut out = Vec::new();
        self.write_to(values, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        let template = Template::new(r#"{"to":"{user}","n":{n},"x":{"y":"{mark}"},"ö":{}}"#);
        let mark = Some(Mark { number: 1, due: 2, stream: 3 });
        let values = Values { number: 5, user: "ann", mark, ..Values::default() };
        let text = template.render(&values);
        assert_eq!(text, r#"{"to":"ann","n":5,"x":{"y":"~1.2.3~"},"ö":{}}"#);
        assert!(template.has_mark() && !Template::new("{user}").has_mark());
    }
}
