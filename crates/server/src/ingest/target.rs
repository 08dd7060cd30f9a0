//! What is made of a message, by where it came from.

use std::str::FromStr;

use tidings_core::room::RoomName;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A notification that says itself for whom it is.
    Stated,
    /// A notification for the user in the channel's name.
    User,
    /// A notification for everybody.
    All,
    /// An event in this room, or (without one) in the room that it names.
    Room(Option<RoomName>),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "notification" => Ok(Self::Stated),
            "user" => Ok(Self::User),
            "all" => Ok(Self::All),
            "room" => Ok(Self::Room(None)),
            _ => match text.strip_prefix("room:").map(RoomName::parse) {
                Some(Ok(room)) => Ok(Self::Room(Some(room))),
                Some(Err(problem)) => Err(format!("the room's name {problem}")),
                None => Err("must be notification, user, all, room or room:NAME".into()),
            },
        }
    }
}
