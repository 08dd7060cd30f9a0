//! Posts messages over HTTP, on connections that stay open and with several requests on their way.

use std::{collections::VecDeque, io::Write as _, sync::Arc, sync::atomic::Ordering::Relaxed};

use mio::{Token, event::Event};

use crate::{
    http,
    ledger::UNICAST,
    mark::Mark,
    pipe::{Pipe, Read},
    socket::Room,
    target::Target,
    template::{Template, Values},
};

/// What is posted, and how.
#[derive(Debug, Clone)]
pub struct Request {
    pub target: Target,
    pub path: Template,
    /// Lines, each with its end.
    pub headers: String,
    pub body: Template,
    pub room: String,
    pub fill: String,
    /// By the number of a connection.
    pub users: Arc<Vec<String>>,
    pub connections: usize,
    /// Requests of a connection that may be on their way.
    pub pipeline: usize,
}

/// A message that is due.
#[derive(Debug, Clone, Copy)]
struct Post {
    due: u64,
    /// A connection's number, or everybody.
    to: Option<usize>,
}

/// A request that is not answered yet.
#[derive(Debug, Clone, Copy)]
struct Sent {
    due: u64,
    stream: u32,
}

#[derive(Debug)]
struct Poster {
    token: Token,
    stream: u32,
    pipe: Option<Pipe>,
    connected: bool,
    waiting: VecDeque<Post>,
    sent: VecDeque<Sent>,
    rest: Vec<u8>,
}

/// All connections of one kind of message.
#[derive(Debug)]
pub struct Posters {
    request: Request,
    posters: Vec<Poster>,
    next: usize,
    /// Has something to send.
    dirty: Vec<usize>,
    pub messages: u64,
}

impl Posters {
    /// `base` is the token of the first one.
    pub fn new(request: Request, base: usize) -> Self {
        let poster = |index: usize| Poster {
            token: Token(base + index),
            stream: u32::try_from(index).unwrap_or(u32::MAX),
            pipe: None,
            connected: false,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            rest: Vec::new(),
        };
        let posters = (0..request.connections.max(1)).map(poster).collect();
        Self { request, posters, next: 0, dirty: Vec::new(), messages: 0 }
    }

    /// Puts a message in line: on the connection of its stream, so that it keeps its order.
    pub fn post(&mut self, to: Option<usize>, due: u64) {
        let turn = to.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        let index = turn % self.posters.len();
        if let Some(poster) = self.posters.get_mut(index) {
            poster.waiting.push_back(Post { due, to });
            self.dirty.push(index);
        }
    }

    /// Connections that messages may be for.
    pub fn recipients(&self) -> usize {
        self.request.users.len()
    }

    /// Drops what is due and not sent; tells how much.
    pub fn clear(&mut self) -> u64 {
        self.posters.iter_mut().map(|poster| poster.waiting.drain(..).count() as u64).sum()
    }

    /// Messages that are due and not sent.
    pub fn waiting(&self) -> u64 {
        self.posters.iter().map(|poster| poster.waiting.len() as u64).sum()
    }

    /// Requests without an answer.
    pub fn unanswered(&self) -> usize {
        self.posters.iter().map(|poster| poster.sent.len()).sum()
    }

    /// Sends what is in line and fits.
    pub fn pump(&mut self, room: &mut Room<'_>) {
        for index in std::mem::take(&mut self.dirty) {
            if let Some(poster) = self.posters.get_mut(index) {
                self.messages += poster.pump(&self.request, room);
            }
        }
    }

    pub fn advance(&mut self, index: usize, event: &Event, room: &mut Room<'_>) {
        let Some(poster) = self.posters.get_mut(index) else { return };
        if let Err(reason) = poster.advance(event, room) {
            poster.give_up(reason, room);
        }
        self.dirty.push(index);
        self.pump(room);
    }
}

impl Poster {
    fn pump(&mut self, request: &Request, room: &mut Room<'_>) -> u64 {
        if self.waiting.is_empty() {
            return 0;
        }
        let Some(pipe) = &mut self.pipe else {
            match Pipe::open(&request.target, None, room.registry, self.token) {
                Ok(pipe) => self.pipe = Some(pipe),
                Err(problem) => self.give_up(format!("cannot connect: {problem}"), room),
            }
            return 0;
        };
        if !self.connected {
            return 0;
        }
        let now = room.clock.now();
        let (mut bytes, mut body, mut count) = (Vec::new(), Vec::new(), 0);
        while self.sent.len() < request.pipeline.max(1)
            && let Some(Post { due, to }) = self.waiting.pop_front()
        {
            let stream = to.map_or(self.stream, |to| UNICAST + u32::try_from(to).unwrap_or(0));
            let mark = Mark { number: room.ledger.take(stream), due, stream };
            let deliveries = if to.is_some() { 1 } else { room.ledger.members.load(Relaxed) };
            room.ledger.expected.fetch_add(deliveries, Relaxed);
            room.tally.lateness.add(now.saturating_sub(due));
            let user = to.and_then(|to| request.users.get(to)).map_or("", String::as_str);
            request.write_to(to.unwrap_or(0), user, mark, &mut body, &mut bytes);
            self.sent.push_back(Sent { due, stream });
            count += 1;
        }
        if let Err(problem) = pipe.send(&bytes) {
            self.give_up(format!("the connection broke: {problem}"), room);
        }
        count
    }

    fn advance(&mut self, event: &Event, room: &mut Room<'_>) -> Result<(), String> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        if !self.connected {
            self.connected =
                pipe.check().map_err(|problem| format!("cannot connect: {problem}"))?;
            if !self.connected {
                return Ok(());
            }
        }
        let broken = |problem: std::io::Error| format!("the connection broke: {problem}");
        pipe.flush().map_err(broken)?;
        loop {
            let Some(pipe) = &mut self.pipe else { return Ok(()) };
            let mut scratch = std::mem::take(room.scratch);
            let read = pipe.read(&mut self.rest, &mut scratch).map_err(broken);
            let outcome = match read {
                Ok(Read::Bytes(length)) => {
                    self.answers(scratch.get(..length).unwrap_or_default(), room)
                }
                Ok(Read::Nothing) => Ok(false),
                Ok(Read::End) => Err("the server closed the connection".to_owned()),
                Err(problem) => Err(problem),
            };
            *room.scratch = scratch;
            if !outcome? {
                return Ok(());
            }
            // An end that was reported together with the last bytes is not reported again.
            if !event.is_read_closed() && self.rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Whether to read on.
    fn answers(&mut self, mut bytes: &[u8], room: &mut Room<'_>) -> Result<bool, String> {
        let now = room.clock.now();
        loop {
            let answer = http::answer(bytes).map_err(|_| "the answer is not HTTP".to_owned())?;
            let Some(answer) = answer else { break };
            bytes = bytes.get(answer.length..).unwrap_or_default();
            if let Some(Sent { due, stream }) = self.sent.pop_front() {
                room.tally.answers.add(now.saturating_sub(due));
                if !(200..300).contains(&answer.status) {
                    room.ledger.refuse(stream);
                    let body = String::from_utf8_lossy(answer.body);
                    let body: String = body.chars().filter(|c| !c.is_control()).take(200).collect();
                    room.tally.not_taken.add(format!("answered {}: {body}", answer.status));
                }
            }
            if answer.is_last {
                return Err("the server closed the connection".to_owned());
            }
        }
        if bytes.len() > http::MAX_ANSWER {
            return Err("too long an answer".to_owned());
        }
        self.rest = bytes.to_vec();
        Ok(true)
    }

    /// The next message opens a new connection. Whether the server took what was on its way is
    /// not known: if not, it will be missed.
    fn give_up(&mut self, reason: String, room: &mut Room<'_>) {
        if let Some(pipe) = self.pipe.take() {
            pipe.close(room.registry);
        }
        let never_connected = !self.connected;
        self.connected = false;
        self.rest = Vec::new();
        for _ in self.sent.drain(..) {
            room.tally.not_taken.add(format!("no answer: {reason}"));
        }
        if never_connected {
            for _ in self.waiting.drain(..) {
                room.tally.not_taken.add(reason.clone());
            }
        }
    }
}

impl Request {
    fn write_to(
        &self,
        number: usize,
        user: &str,
        mark: Mark,
        body: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        let values = Values {
            number,
            user,
            room: &self.room,
            mark: Some(mark),
            fill: &self.fill,
            token: "",
        };
        body.clear();
        self.body.write_to(&values, body);
        out.extend_from_slice(b"POST ");
        self.path.write_to(&values, out);
        // Writing into memory cannot fail.
        let _ = write!(
            out,
            " HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n",
            self.target.host,
            self.headers,
            body.len()
        );
        out.extend_from_slice(body);
    }
}
