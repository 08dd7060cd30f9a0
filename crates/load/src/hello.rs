//! What a client says when it comes: made before the clock runs.

use std::sync::Arc;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value};
use tidings_protocol::socketio;

use crate::{
    Error,
    target::Target,
    template::{Template, Values},
    wire,
};

/// What clients prove who they are with.
#[derive(Clone)]
pub enum Tokens {
    None,
    One(String),
    /// One each, from the start again when there are more connections.
    List(Vec<String>),
    /// A JSON Web Token (HS256) each, for the user's name, with these further claims.
    Sign {
        secret: String,
        claims: Map<String, Value>,
    },
}

/// A token must outlive the measurement, and no more.
const DAY: u64 = 24 * 3600;

impl Tokens {
    fn of(&self, number: usize, user: &str) -> Result<String, Error> {
        Ok(match self {
            Self::None => String::new(),
            Self::One(token) => token.clone(),
            Self::List(tokens) => {
                tokens.get(number % tokens.len().max(1)).cloned().unwrap_or_default()
            }
            Self::Sign { secret, claims } => {
                let mut claims = claims.clone();
                claims.insert("sub".to_owned(), user.into());
                claims.entry("exp").or_insert_with(|| (now() + DAY).into());
                let key = EncodingKey::from_secret(secret.as_bytes());
                jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(Error::Sign)?
            }
        })
    }
}

#[allow(clippy::disallowed_methods, reason = "`exp` is of the calendar; there is no domain here")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// An event that a client emits when it is in: its name and one argument.
#[derive(Debug, Clone)]
pub struct Join {
    pub event: String,
    pub argument: Template,
}

impl Join {
    /// `EVENT=ARGUMENT`; what is no JSON is a string.
    pub fn parse(text: &str) -> Option<Self> {
        let (event, argument) = text.split_once('=')?;
        Some(Self::new(event, argument))
    }

    pub fn new(event: &str, argument: &str) -> Self {
        let template = Template::new(argument);
        let sample = template.render(&Values::default());
        let argument = match serde_json::from_str::<Value>(&sample).is_ok() {
            true => template,
            false => Template::new(&Value::from(argument).to_string()),
        };
        Self { event: event.to_owned(), argument }
    }
}

/// How all clients come.
#[derive(Clone)]
pub struct Hellos {
    pub target: Target,
    /// Lines of the upgrade request, each with its end.
    pub headers: String,
    pub tokens: Tokens,
    pub user: Template,
    /// The JSON object of CONNECT.
    pub auth: Template,
    pub room: String,
    pub joins: Vec<Join>,
    /// A client is connected when this event has come, or, without one, with the server's yes.
    pub wait_for: Option<String>,
}

/// What one client sends.
#[derive(Debug)]
pub struct Hello {
    pub number: usize,
    /// The upgrade request: the same for all.
    pub upgrade: Arc<[u8]>,
    /// Frames.
    pub connect: Vec<u8>,
    pub joins: Vec<u8>,
    pub join_count: u16,
    /// `["NAME"`
    pub wait_for: Option<Arc<[u8]>>,
}

impl Hellos {
    /// Clients without a token, and without anything else.
    pub fn plain(target: Target) -> Self {
        Self {
            target,
            headers: String::new(),
            tokens: Tokens::None,
            user: Template::new("user-{n}"),
            auth: Template::new("{}"),
            room: String::new(),
            joins: Vec::new(),
            wait_for: None,
        }
    }

    pub fn user(&self, number: usize) -> String {
        self.user.render(&Values { number, ..Values::default() })
    }

    /// Those of the connections with these numbers.
    pub fn make(&self, numbers: impl IntoIterator<Item = usize>) -> Result<Vec<Hello>, Error> {
        let upgrade: Arc<[u8]> = wire::upgrade(&self.target, &self.headers).into_bytes().into();
        let wait_for = self.wait_for.as_deref().map(event_start);
        let one = |number| self.one(number, Arc::clone(&upgrade), wait_for.clone());
        numbers.into_iter().map(one).collect()
    }

    fn one(
        &self,
        number: usize,
        upgrade: Arc<[u8]>,
        wait_for: Option<Arc<[u8]>>,
    ) -> Result<Hello, Error> {
        let user = self.user(number);
        let token = self.tokens.of(number, &user)?;
        let values =
            Values { number, user: &user, token: &token, room: &self.room, ..Values::default() };
        let namespace = self.target.namespace.as_str();
        let connect = socketio::encode_connect(namespace, &self.auth.render(&values));
        let mut joins = Vec::new();
        for (id, join) in (0..).zip(&self.joins) {
            let data =
                format!("[{},{}]", Value::from(join.event.as_str()), join.argument.render(&values));
            let packet = socketio::encode_event(namespace, Some(id), &data, 0);
            joins.extend(wire::text(&format!("4{packet}")));
        }
        Ok(Hello {
            number,
            upgrade,
            connect: wire::text(&format!("4{connect}")),
            joins,
            join_count: u16::try_from(self.joins.len()).unwrap_or(u16::MAX),
            wait_for,
        })
    }
}

/// How the data of an event with this name begins.
pub(crate) fn event_start(name: &str) -> Arc<[u8]> {
    format!("[{}", Value::from(name)).into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hellos() -> Hellos {
        Hellos::plain(Target::parse("http://127.0.0.1:1", None).unwrap())
    }

    /// Unmasked, by the server's own decoder.
    fn packets(mut bytes: &[u8]) -> Vec<String> {
        let mut decoder = tidings_protocol::websocket::Decoder::new(1 << 20);
        let mut packets = Vec::new();
        while let Some(message) = decoder.decode(&mut bytes).unwrap() {
            match message {
                tidings_protocol::websocket::Message::Text(text) => packets.push(text),
                other => panic!("{other:?}"),
            }
        }
        packets
    }

    #[test]
    fn a_client_says_who_it_is_and_where_it_wants_to_be() {
        let hellos = Hellos {
            tokens: Tokens::List(vec!["a".into(), "b".into()]),
            auth: Template::new(r#"{"token":"{token}","as":"{user}"}"#),
            room: "task:1".into(),
            joins: vec![Join::parse("room:join={room}").unwrap(), Join::new("x", r#"{"n":{n}}"#)],
            ..hellos()
        };
        let hello = hellos.make([3]).unwrap().remove(0);
        assert_eq!(packets(&hello.connect), [r#"40{"token":"b","as":"user-3"}"#]);
        let joins = packets(&hello.joins);
        assert_eq!(joins, [r#"420["room:join","task:1"]"#, r#"421["x",{"n":3}]"#]);
    }

    #[test]
    fn tokens_are_signed_for_each_user() {
        let secret = "0123456789abcdef0123456789abcdef";
        let claims = Map::from_iter([("rooms".to_owned(), serde_json::json!(["task:*"]))]);
        let tokens = Tokens::Sign { secret: secret.into(), claims };
        let token = tokens.of(0, "ann").unwrap();
        let key = jsonwebtoken::DecodingKey::from_secret(secret.as_bytes());
        let read =
            jsonwebtoken::decode::<Value>(&token, &key, &jsonwebtoken::Validation::default());
        let claims = read.unwrap().claims;
        assert_eq!(claims["sub"], "ann");
        assert_eq!(claims["rooms"][0], "task:*");
        assert!(claims["exp"].as_u64().unwrap() > now());
    }
}
