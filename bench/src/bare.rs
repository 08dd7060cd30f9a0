//! The bare loop: what the kernel charges for fan-out. One thread, one poll, plain `write`s;
//! it speaks just enough WebSocket, Socket.IO and HTTP for the generator to take it for a server.
//!
//! One `write` per delivery, or, coalescing, one `writev` for all that waits for a socket after
//! everything that had arrived was read.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{self, ErrorKind, IoSlice, Read as _, Write as _},
    path::Path,
};

use anyhow::Context as _;
use bytes::Bytes;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Socket, Type};
use tidings_protocol::websocket::{self, Decoder, Message, Opcode};

const LISTENER: Token = Token(usize::MAX - 1);
/// Frames that leave in one `writev`.
const MOST: usize = 64;

struct Peer {
    stream: TcpStream,
    /// Set once it is a WebSocket.
    decoder: Option<Decoder>,
    /// The part of a request that has come.
    request: Vec<u8>,
    /// What waits, of which the first has `written` bytes behind it.
    out: VecDeque<Bytes>,
    written: usize,
    dirty: bool,
    user: Option<usize>,
}

struct Server {
    poll: Poll,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    /// Who is in the room, by place.
    members: Vec<usize>,
    users: HashMap<usize, usize>,
    dirty: Vec<usize>,
    coalesce: bool,
}

/// Serves until it is killed.
pub fn serve(coalesce: bool, ready_file: &Path) -> anyhow::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4_096)?;
    let mut listener = TcpListener::from_std(socket.into());
    let address = listener.local_addr()?.to_string();
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server {
        poll,
        peers: Vec::new(),
        free: Vec::new(),
        members: Vec::new(),
        users: HashMap::new(),
        dirty: Vec::new(),
        coalesce,
    };
    let unfinished = ready_file.with_extension("tmp");
    fs::write(&unfinished, serde_json::json!({ "address": address }).to_string())?;
    fs::rename(&unfinished, ready_file)?;
    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; 64 << 10];
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept(&listener)?,
                Token(place) => {
                    if event.is_writable() {
                        server.flush(place);
                    }
                    if event.is_readable() || event.is_read_closed() {
                        server.read(place, &mut scratch);
                    }
                }
            }
        }
        for place in std::mem::take(&mut server.dirty) {
            server.flush(place);
        }
    }
}

impl Server {
    fn accept(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            };
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or(self.peers.len());
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(place), both)?;
            let peer = Peer {
                stream,
                decoder: None,
                request: Vec::new(),
                out: VecDeque::new(),
                written: 0,
                dirty: false,
                user: None,
            };
            match self.peers.get_mut(place) {
                Some(slot) => *slot = Some(peer),
                None => self.peers.push(Some(peer)),
            }
        }
    }

    fn peer(&mut self, place: usize) -> Option<&mut Peer> {
        self.peers.get_mut(place)?.as_mut()
    }

    fn read(&mut self, place: usize, scratch: &mut [u8]) {
        loop {
            let Some(peer) = self.peer(place) else { return };
            match peer.stream.read(scratch) {
                Ok(0) => return self.close(place),
                Ok(count) => {
                    let bytes = scratch.get(..count).unwrap_or_default().to_vec();
                    if self.handle(place, &bytes).is_none() {
                        return self.close(place);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.close(place),
            }
        }
    }

    fn close(&mut self, place: usize) {
        let Some(peer) = self.peers.get_mut(place).and_then(Option::take) else { return };
        if let Some(at) = self.members.iter().position(|member| *member == place) {
            self.members.swap_remove(at);
        }
        if let Some(user) = peer.user {
            self.users.remove(&user);
        }
        self.free.push(place);
    }

    /// None: it is not worth to be kept.
    fn handle(&mut self, place: usize, mut bytes: &[u8]) -> Option<()> {
        let peer = self.peer(place)?;
        if peer.decoder.is_none() {
            peer.request.extend_from_slice(bytes);
            return self.requests(place);
        }
        loop {
            let decoder = self.peer(place)?.decoder.as_mut()?;
            match decoder.decode(&mut bytes).ok()? {
                Some(Message::Text(text)) => self.packet(place, &text)?,
                Some(Message::Close(_)) => return None,
                Some(_) => {}
                None => return Some(()),
            }
        }
    }

    fn packet(&mut self, place: usize, text: &str) -> Option<()> {
        if let Some(auth) = text.strip_prefix("40") {
            let auth: serde_json::Value = serde_json::from_str(auth).unwrap_or_default();
            if let Some(user) = auth["user"].as_u64().and_then(|user| usize::try_from(user).ok()) {
                self.users.insert(user, place);
                self.peer(place)?.user = Some(user);
            }
            self.send(place, websocket::frame(Opcode::Text, br#"40{"sid":"x"}"#));
        } else if let Some(event) = text.strip_prefix("42") {
            // There is one room, and nothing else to say than that one wants to be in it.
            self.members.push(place);
            let id: String = event.chars().take_while(char::is_ascii_digit).collect();
            let ack = format!(r#"43{id}[{{"ok":true}}]"#);
            self.send(place, websocket::frame(Opcode::Text, ack.as_bytes()));
        }
        Some(())
    }

    fn requests(&mut self, place: usize) -> Option<()> {
        loop {
            let peer = self.peer(place)?;
            let end = peer.request.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return Some(()) };
            let head = std::str::from_utf8(peer.request.get(..end)?).ok()?;
            let header = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                lines
                    .into_iter()
                    .find(|(n, _)| n.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value)
            };
            if let Some(key) = header("Sec-WebSocket-Key") {
                let accept = websocket::accept_key(key);
                let mut answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                )
                .into_bytes();
                let open = br#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
                answer.extend_from_slice(&websocket::frame(Opcode::Text, open));
                peer.decoder = Some(Decoder::new(1 << 20));
                peer.request = Vec::new();
                self.send(place, answer.into());
                return Some(());
            }
            let length: usize = header("Content-Length").and_then(|value| value.parse().ok())?;
            let body = end + 4..end + 4 + length;
            let Some(text) = peer.request.get(body.clone()) else { return Some(()) };
            let frame = event(text)?;
            let path = head.split(' ').nth(1)?;
            let name = path.split('/').find_map(|part| part.strip_prefix("user:"));
            let user = name.and_then(|name| name.rsplit('-').next()?.parse::<usize>().ok());
            peer.request.drain(..body.end);
            match user {
                Some(user) => {
                    if let Some(member) = self.users.get(&user).copied() {
                        self.send(member, frame);
                    }
                }
                None => {
                    for at in 0..self.members.len() {
                        let Some(member) = self.members.get(at).copied() else { break };
                        self.send(member, frame.clone());
                    }
                }
            }
            let answer = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
            self.send(place, Bytes::from_static(answer.as_bytes()));
        }
    }

    fn send(&mut self, place: usize, frame: Bytes) {
        let coalesce = self.coalesce;
        let Some(peer) = self.peer(place) else { return };
        if !coalesce && peer.out.is_empty() {
            match peer.stream.write(&frame) {
                Ok(count) if count == frame.len() => return,
                Ok(count) => peer.written = count,
                // A peer that is gone is noticed when it is read.
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
        peer.out.push_back(frame);
        if coalesce && !peer.dirty {
            peer.dirty = true;
            self.dirty.push(place);
        }
    }

    fn flush(&mut self, place: usize) {
        let Some(peer) = self.peer(place) else { return };
        peer.dirty = false;
        while !peer.out.is_empty() {
            match peer.write() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return peer.out.clear(),
            }
        }
    }
}

impl Peer {
    fn write(&mut self) -> io::Result<()> {
        let mut written = if self.out.len() == 1 {
            let first = self.out.front().map_or(&[][..], |first| first);
            self.stream.write(first.get(self.written..).unwrap_or_default())?
        } else {
            let mut slices = [IoSlice::new(&[]); MOST];
            let mut skip = self.written;
            for (slice, frame) in slices.iter_mut().zip(&self.out) {
                *slice = IoSlice::new(frame.get(skip..).unwrap_or_default());
                skip = 0;
            }
            let count = self.out.len().min(MOST);
            self.stream.write_vectored(slices.get(..count).unwrap_or_default())?
        };
        written += self.written;
        while let Some(first) = self.out.front() {
            if written < first.len() {
                break;
            }
            written -= first.len();
            self.out.pop_front();
        }
        self.written = written;
        Ok(())
    }
}

/// The frame of an event whose JSON is `{"type":…,"data":…}`, the data last.
fn event(body: &[u8]) -> Option<Bytes> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, data) = body.split_once("\"data\":")?;
    let data = data.strip_suffix('}')?;
    Some(websocket::frame(Opcode::Text, format!("42[\"bench\",{data}]").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_the_data_of_its_post() {
        let frame = event(br#"{"type":"bench","data":{"a":1}}"#).unwrap();
        assert_eq!(&frame[2..], br#"42["bench",{"a":1}]"#);
        assert_eq!(event(b"{}"), None);
    }
}
