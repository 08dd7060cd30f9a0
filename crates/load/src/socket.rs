//! One Socket.IO client: it comes in, answers pings, and keeps its books.

use std::{io, mem, sync::Arc};

use mio::{Registry, event::Event};
use tidings_protocol::websocket::Opcode;

use crate::{
    books::Books,
    clock::Clock,
    hello::Hello,
    http,
    ledger::Ledger,
    mark::Mark,
    pipe::{Pipe, Read},
    tally::{Opened, Tally},
    wire,
};

/// Why it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Gets messages and accounts for them.
    Member,
    /// Emits messages; what it gets does not count.
    Sender,
    /// Leaves as soon as it is in.
    Passer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// TCP is on its way.
    Connecting,
    /// The upgrade was asked for.
    Upgrading,
    /// The WebSocket is open; Engine.IO is to begin.
    Opening,
    /// CONNECT was sent.
    Joining,
    /// For an event that the server sends to those who are in.
    Waiting,
    /// For the answers to what was emitted then.
    Confirming,
    Ready,
    Ended,
}

pub struct Socket {
    pub role: Role,
    pub stage: Stage,
    pub books: Books,
    due: u64,
    pipe: Option<Pipe>,
    hello: Option<Box<Hello>>,
    unanswered: u16,
    /// The part of a frame that has come.
    rest: Vec<u8>,
    /// The fragments of a message that have come.
    fragments: Vec<u8>,
}

/// What all sockets of a thread share.
pub struct Room<'a> {
    pub clock: Clock,
    pub registry: &'a Registry,
    pub scratch: &'a mut Vec<u8>,
    pub ledger: &'a Ledger,
    pub tally: &'a mut Tally,
    pub opened: &'a mut Opened,
    /// Only events that begin like this are messages.
    pub listen: Option<&'a Arc<[u8]>>,
}

/// The reason why a connection cannot go on.
type Step<T = ()> = Result<T, String>;

impl Socket {
    pub fn open(hello: Hello, role: Role, due: u64, pipe: Pipe) -> Self {
        Self {
            role,
            stage: Stage::Connecting,
            books: Books::new(hello.number),
            due,
            pipe: Some(pipe),
            hello: Some(Box::new(hello)),
            unanswered: 0,
            rest: Vec::new(),
            fragments: Vec::new(),
        }
    }

    /// When it should have begun.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Goes on with what the kernel reports.
    pub fn advance(&mut self, event: &Event, room: &mut Room<'_>) {
        if let Err(reason) = self.try_advance(event, room) {
            self.end(reason, room);
        }
    }

    fn try_advance(&mut self, event: &Event, room: &mut Room<'_>) -> Step {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        if self.stage == Stage::Connecting {
            if !pipe.check().map_err(|error| cannot_connect(&error))? {
                return Ok(());
            }
            self.stage = Stage::Upgrading;
            if let Some(hello) = &self.hello {
                pipe.send(&hello.upgrade).map_err(broken)?;
            }
        }
        if event.is_writable()
            && let Some(pipe) = &mut self.pipe
        {
            pipe.flush().map_err(broken)?;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            return self.read(event.is_read_closed() || event.is_error(), room);
        }
        Ok(())
    }

    fn read(&mut self, to_the_end: bool, room: &mut Room<'_>) -> Step {
        let mut scratch = mem::take(room.scratch);
        let outcome = self.read_into(&mut scratch, to_the_end, room);
        *room.scratch = scratch;
        outcome
    }

    fn read_into(&mut self, scratch: &mut Vec<u8>, to_the_end: bool, room: &mut Room<'_>) -> Step {
        while let Some(pipe) = &mut self.pipe {
            let kept = self.rest.len();
            match pipe.read(&mut self.rest, scratch).map_err(broken)? {
                Read::Nothing => return Ok(()),
                Read::End => return Err(self.closed_early()),
                Read::Bytes(length) => {
                    room.tally.bytes += (length - kept) as u64;
                    // What fits was all: there is no need to ask for more.
                    let is_all = length < scratch.len();
                    self.handle(scratch.get(..length).unwrap_or_default(), room)?;
                    if is_all && !to_the_end {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, mut bytes: &[u8], room: &mut Room<'_>) -> Step {
        if self.stage == Stage::Upgrading {
            let answer = http::answer(bytes).map_err(|_| "the answer is not HTTP".to_owned())?;
            let Some(answer) = answer else { return self.keep(bytes) };
            if answer.status != 101 {
                return Err(refused(answer.status, answer.body));
            }
            self.stage = Stage::Opening;
            bytes = bytes.get(answer.length..).unwrap_or_default();
        }
        let now = room.clock.now();
        loop {
            let frame =
                wire::frame(bytes).map_err(|_| "the server sent a broken frame".to_owned())?;
            let Some(frame) = frame else { return self.keep(bytes) };
            bytes = bytes.get(frame.length..).unwrap_or_default();
            room.tally.frames += 1;
            self.handle_frame(&frame, now, room)?;
            if self.pipe.is_none() {
                return Ok(());
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Step {
        if bytes.len() > wire::MAX_FRAME + 14 {
            return Err("the server sent too large a frame".to_owned());
        }
        if !bytes.is_empty() {
            self.rest.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: &wire::Frame<'_>, now: u64, room: &mut Room<'_>) -> Step {
        match frame.opcode {
            Opcode::Text if frame.is_final => self.packet(frame.payload, frame.length, now, room),
            Opcode::Ping => {
                let mut pong = Vec::new();
                wire::put(Opcode::Pong, frame.payload, &mut pong);
                self.send(&pong)
            }
            Opcode::Close => {
                let reason = frame.payload.get(2..).unwrap_or_default();
                Err(format!("the server closed the WebSocket {}", shown(reason))
                    .trim_end()
                    .to_owned())
            }
            Opcode::Text | Opcode::Continuation => {
                self.fragments.extend_from_slice(frame.payload);
                if self.fragments.len() > wire::MAX_FRAME {
                    return Err("the server sent too large a message".to_owned());
                }
                if !frame.is_final {
                    return Ok(());
                }
                let message = mem::take(&mut self.fragments);
                self.packet(&message, message.len(), now, room)
            }
            // Attachments, which carry no mark.
            Opcode::Binary | Opcode::Pong => Ok(()),
        }
    }

    fn packet(&mut self, packet: &[u8], length: usize, now: u64, room: &mut Room<'_>) -> Step {
        match packet {
            [b'4', b'2', rest @ ..] => {
                if self.stage == Stage::Ready && self.role == Role::Member {
                    self.message(rest, length, now, room);
                } else if self.stage == Stage::Waiting && self.is_awaited(rest) {
                    return self.connected(now, room);
                }
                Ok(())
            }
            [b'2', ..] => self.send(&wire::text("3")),
            [b'0', ..] if self.stage == Stage::Opening => {
                room.opened.upgraded.add(now.saturating_sub(self.due));
                self.stage = Stage::Joining;
                let connect = self.hello.as_mut().map(|hello| mem::take(&mut hello.connect));
                self.send(&connect.unwrap_or_default())
            }
            [b'4', b'0', ..] if self.stage == Stage::Joining => {
                if self.hello.as_ref().is_some_and(|hello| hello.wait_for.is_some()) {
                    self.stage = Stage::Waiting;
                    return Ok(());
                }
                self.connected(now, room)
            }
            [b'4', b'3', rest @ ..] if self.stage == Stage::Confirming => {
                if memchr::memmem::find(rest, b"\"ok\":false").is_some() {
                    return Err(format!("a join was refused: {}", shown(rest)));
                }
                self.unanswered = self.unanswered.saturating_sub(1);
                if self.unanswered == 0 {
                    self.ready(room);
                }
                Ok(())
            }
            [b'4', b'4', rest @ ..] => Err(format!("CONNECT was refused: {}", shown(rest))),
            [b'4', b'1', ..] => Err("the server disconnected the client".to_owned()),
            [b'1', ..] => Err("the server closed the session".to_owned()),
            _ => Ok(()),
        }
    }

    fn is_awaited(&self, event: &[u8]) -> bool {
        let awaited = self.hello.as_ref().and_then(|hello| hello.wait_for.as_ref());
        awaited.is_some_and(|start| is_event(event, start))
    }

    fn connected(&mut self, now: u64, room: &mut Room<'_>) -> Step {
        room.opened.connected.add(now.saturating_sub(self.due));
        let Some(hello) = self.hello.take() else { return Ok(()) };
        if hello.join_count == 0 {
            self.ready(room);
            return Ok(());
        }
        self.unanswered = hello.join_count;
        self.stage = Stage::Confirming;
        self.send(&hello.joins)
    }

    /// It is in, and its joins are answered; or nobody waits for that any longer.
    pub fn ready(&mut self, room: &mut Room<'_>) {
        self.stage = Stage::Ready;
        match self.role {
            Role::Member => {
                room.ledger.members.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            Role::Passer => self.leave(room.registry),
            Role::Sender => {}
        }
    }

    fn message(&mut self, event: &[u8], length: usize, now: u64, room: &mut Room<'_>) {
        if room.listen.is_some_and(|start| !is_event(event, start)) {
            return;
        }
        match Mark::find(event) {
            Some(mark) => {
                room.tally.frame_bytes = length as u64;
                self.books.note(mark, now, room.ledger, room.tally);
            }
            None => room.tally.unmarked += 1,
        }
    }

    /// Sends frames.
    pub fn send(&mut self, frames: &[u8]) -> Step {
        match &mut self.pipe {
            Some(pipe) => pipe.send(frames).map_err(broken),
            None => Ok(()),
        }
    }

    /// Closes it without a word, as a client that went away.
    pub fn leave(&mut self, registry: &Registry) {
        self.stage = Stage::Ended;
        if let Some(pipe) = self.pipe.take() {
            pipe.close(registry);
        }
    }

    /// Ends it because of what happened.
    pub fn end(&mut self, reason: String, room: &mut Room<'_>) {
        use std::sync::atomic::Ordering::Relaxed;
        if self.stage == Stage::Ready {
            if self.role == Role::Member {
                room.ledger.members.fetch_sub(1, Relaxed);
                room.ledger.closed.fetch_add(1, Relaxed);
            }
            room.tally.ends.add(reason);
        } else {
            room.ledger.failed.fetch_add(1, Relaxed);
            room.opened.failures.add(reason);
        }
        self.leave(room.registry);
    }

    fn closed_early(&self) -> String {
        match self.stage {
            Stage::Ready => "the server closed the connection".to_owned(),
            Stage::Upgrading => "the server closed the connection without an answer".to_owned(),
            _ => "the server closed the connection before the client was in".to_owned(),
        }
    }
}

/// Whether the text of an event packet (without its digits) is of an event that begins so.
fn is_event(packet: &[u8], start: &[u8]) -> bool {
    // In front there may be a namespace and an id.
    let at = memchr::memchr(b'[', packet);
    at.and_then(|at| packet.get(at..)).is_some_and(|data| data.starts_with(start))
}

fn broken(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        _ => format!("the connection broke: {error}"),
    }
}

fn cannot_connect(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens at this address".to_owned(),
        _ => format!("cannot connect: {error}"),
    }
}

/// An answer that is no WebSocket.
fn refused(status: u16, body: &[u8]) -> String {
    let hint = match status {
        200..=299 | 404 | 426 => " (is Socket.IO at this path? see --path)",
        401 | 403 => " (see --token, --jwt-secret)",
        429 | 503 => " (a limit of the server?)",
        _ => "",
    };
    format!("the server answered {status}{hint}: {}", shown(body)).trim_end_matches(": ").to_owned()
}

/// What somebody else wrote, short enough for a report.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    text.take(200).collect::<String>().trim().to_owned()
}
