//! The names of the channels.

/// The channels of one namespace.
#[derive(Debug, Clone)]
pub struct Channels {
    broadcast: String,
    request: String,
    response: String,
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel<'a> {
    /// `None`: more than one room, or everybody.
    Broadcast(Option<&'a str>),
    Request,
    Response,
}

impl Channels {
    pub fn new(prefix: &str, namespace: &str) -> Self {
        Self {
            broadcast: format!("{prefix}#{namespace}#"),
            request: format!("{prefix}-request#{namespace}#"),
            response: format!("{prefix}-response#{namespace}#"),
        }
    }

    /// Where a broadcast to these rooms goes.
    pub fn broadcast(&self, rooms: &[String]) -> String {
        match rooms {
            [room] => format!("{}{room}#", self.broadcast),
            _ => self.broadcast.clone(),
        }
    }

    /// What every broadcast's channel matches.
    pub fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.broadcast.len() + 1);
        for character in self.broadcast.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('*');
        pattern
    }

    pub fn request(&self) -> &str {
        &self.request
    }

    pub fn response(&self) -> &str {
        &self.response
    }

    /// That of one server, for those that are asked to answer there.
    pub fn response_to(&self, uid: &str) -> String {
        format!("{}{uid}#", self.response)
    }

    pub fn read<'a>(&self, channel: &'a str) -> Option<Channel<'a>> {
        if let Some(room) = channel.strip_prefix(&self.broadcast) {
            return Some(Channel::Broadcast(room.strip_suffix('#')));
        }
        if channel == self.request {
            return Some(Channel::Request);
        }
        channel.starts_with(&self.response).then_some(Channel::Response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_those_of_the_adapter() {
        let channels = Channels::new("socket.io", "/");
        assert_eq!(channels.pattern(), "socket.io#/#*");
        assert_eq!(channels.request(), "socket.io-request#/#");
        assert_eq!(channels.response(), "socket.io-response#/#");
        assert_eq!(channels.response_to("3lIhPN"), "socket.io-response#/#3lIhPN#");
        let rooms = |rooms: &[&str]| -> Vec<String> { rooms.iter().map(|r| (*r).into()).collect() };
        assert_eq!(channels.broadcast(&rooms(&["room1"])), "socket.io#/#room1#");
        assert_eq!(channels.broadcast(&rooms(&["r1", "r2"])), "socket.io#/#");
        assert_eq!(channels.broadcast(&[]), "socket.io#/#");
        assert_eq!(
            Channels::new("notifications:", "/chat").request(),
            "notifications:-request#/chat#"
        );
    }

    #[test]
    fn a_channel_is_known_by_its_name() {
        let channels = Channels::new("socket.io", "/");
        let read = |name| channels.read(name);
        assert_eq!(read("socket.io#/#"), Some(Channel::Broadcast(None)));
        assert_eq!(read("socket.io#/#room1#"), Some(Channel::Broadcast(Some("room1"))));
        assert_eq!(read("socket.io#/#a#b#"), Some(Channel::Broadcast(Some("a#b"))));
        assert_eq!(read("socket.io-request#/#"), Some(Channel::Request));
        assert_eq!(read("socket.io-response#/#uid#"), Some(Channel::Response));
        assert_eq!(read("socket.io#/chat#"), None);
        assert_eq!(read("other"), None);
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(Channels::new("a*[b]", "/").pattern(), r"a\*\[b\]#/#*");
    }
}
