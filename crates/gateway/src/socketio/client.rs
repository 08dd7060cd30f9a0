//! One connection's Socket.IO state: the packet being put together, its sockets, and the work that
//! waits for handlers.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use tidings_protocol::socketio::{Decoder, Packet};

use crate::config::Config;
use crate::engine::{Ending, Session};
use crate::hub::Hub;
use crate::plain::{PlainError, PlainMessage};
use crate::reason::DisconnectReason;

use super::perform::perform;
use super::socket::Socket;

/// Attachments one packet may have.
const MAX_ATTACHMENTS: usize = 64;
/// What a queued packet costs beside its text.
const PACKET_COST: usize = 128;

pub(crate) struct Client(Mutex<State>);

struct State {
    decoder: Decoder,
    /// Those whose `connect` succeeded.
    sockets: Sockets,
    /// What waits to be done; nothing does on an idle connection.
    queue: Option<Box<Queue>>,
    /// Somebody is working, or about to.
    running: bool,
    closed: Option<DisconnectReason>,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    bytes: usize,
    /// The reader, if it waits for room.
    reader: Option<Waker>,
}

/// Nearly always one.
#[derive(Default)]
struct Sockets {
    first: Option<Arc<Socket>>,
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    sockets: Vec<Arc<Socket>>,
    /// Namespaces that we have put the client out of: what it sent before it knew is no offence.
    dismissed: Vec<Arc<Hub>>,
}

impl Sockets {
    fn iter(&self) -> impl Iterator<Item = &Arc<Socket>> {
        self.first.iter().chain(self.more.iter().flat_map(|more| &more.sockets))
    }

    fn all(&self) -> Vec<Arc<Socket>> {
        self.iter().cloned().collect()
    }

    fn add(&mut self, socket: &Arc<Socket>) {
        match &self.first {
            None => self.first = Some(socket.clone()),
            Some(_) => self.more.get_or_insert_default().sockets.push(socket.clone()),
        }
        if let Some(more) = &mut self.more {
            more.dismissed.retain(|hub| !Arc::ptr_eq(hub, socket.hub()));
        }
    }

    fn remove(&mut self, socket: &Arc<Socket>) {
        self.first.take_if(|other| Arc::ptr_eq(other, socket));
        if let Some(more) = &mut self.more {
            more.sockets.retain(|other| !Arc::ptr_eq(other, socket));
        }
    }

    fn note_dismissed(&mut self, hub: &Arc<Hub>) {
        self.more.get_or_insert_default().dismissed.push(hub.clone());
    }

    fn was_dismissed(&self, namespace: &str) -> bool {
        self.more
            .as_ref()
            .is_some_and(|more| more.dismissed.iter().any(|hub| *hub.name == *namespace))
    }
}

/// A message of the client.
pub(crate) enum Incoming<'a> {
    Text(&'a str),
    Binary(Bytes),
}

/// What is done for one connection, one after another.
pub(super) enum Work {
    Packet(Packet),
    Disconnected(Arc<Socket>, DisconnectReason),
    Drained,
    /// A plain client has come.
    Opened(Arc<Socket>),
    Message(Result<PlainMessage, PlainError>),
}

impl Work {
    fn cost(&self) -> usize {
        match self {
            Self::Packet(packet) => {
                let attachments = packet.attachments.iter().map(|bytes| bytes.len()).sum::<usize>();
                PACKET_COST + packet.data.as_ref().map_or(0, |data| data.get().len()) + attachments
            }
            Self::Message(Ok(message)) => PACKET_COST + message.body.get().len(),
            Self::Message(Err(_)) | Self::Disconnected(..) | Self::Drained | Self::Opened(_) => {
                PACKET_COST
            }
        }
    }
}

impl Client {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Mutex::new(State {
            decoder: Decoder::new(MAX_ATTACHMENTS, config.max_payload),
            sockets: Sockets::default(),
            queue: None,
            running: false,
            closed: None,
        }))
    }

    /// Takes a message of the client. `Err` means that it broke the protocol.
    pub(crate) fn receive(&self, session: &Arc<Session>, message: Incoming<'_>) -> Result<(), ()> {
        let packet = {
            let decoder = &mut self.0.lock().decoder;
            match message {
                Incoming::Text(text) => decoder.text(text),
                Incoming::Binary(bytes) => decoder.binary(bytes),
            }
        };
        match packet.map_err(|_| ())? {
            None => Ok(()),
            // Not queued behind a handler: that handler may be the one who waits for it.
            Some(packet) if packet.kind.is_ack() => self.acknowledge(packet),
            Some(packet) => {
                self.push(session, Work::Packet(packet));
                Ok(())
            }
        }
    }

    /// The one socket of a plain client.
    pub(crate) fn open_plain(&self, session: &Arc<Session>) {
        let Some(hub) = session.gateway.hub("/") else { return };
        let socket = Socket::new(session, hub);
        // If the connection has ended already, nobody needs to hear of it.
        if self.admit(&socket).is_ok() {
            self.push(session, Work::Opened(socket));
        }
    }

    pub(crate) fn receive_plain(
        &self,
        session: &Arc<Session>,
        message: Result<PlainMessage, PlainError>,
    ) {
        self.push(session, Work::Message(message));
    }

    fn acknowledge(&self, packet: Packet) -> Result<(), ()> {
        let namespace = packet.namespace.as_str();
        match (self.socket(namespace), packet.ack) {
            (Some(socket), Some(id)) => socket.acknowledged(id, packet),
            _ if self.was_dismissed(namespace) => {}
            _ => return Err(()),
        }
        Ok(())
    }

    pub(super) fn push(&self, session: &Arc<Session>, work: Work) {
        // What a client sent is handled where it was read. An end may come from anywhere, from inside another
        // connection's handler too, whose locks its own handler may want: it gets a task.
        let here = matches!(work, Work::Packet(_) | Work::Message(_) | Work::Opened(_));
        let idle = {
            let mut state = self.0.lock();
            let queue = state.queue.get_or_insert_default();
            queue.bytes += work.cost();
            queue.work.push_back(work);
            !std::mem::replace(&mut state.running, true)
        };
        if idle && here {
            run(session);
        } else if idle {
            let session = session.clone();
            let gateway = session.gateway.clone();
            gateway.spawn(async move { run(&session) });
        }
    }

    /// The next thing to do; `None` ends the turn of whoever works.
    fn next(&self) -> Option<Work> {
        let mut state = self.0.lock();
        let queue = state.queue.as_mut();
        let Some((work, queue)) = queue.and_then(|queue| Some((queue.work.pop_front()?, queue)))
        else {
            state.running = false;
            state.queue = None;
            return None;
        };
        queue.bytes = queue.bytes.saturating_sub(work.cost());
        let reader = queue.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Some(work)
    }

    /// Ready while there is room for more packets.
    pub(crate) fn poll_room(&self, config: &Config, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        let Some(queue) = &mut state.queue else { return Poll::Ready(()) };
        if queue.work.len() < config.inbound_backlog && queue.bytes <= config.max_payload {
            return Poll::Ready(());
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn socket(&self, namespace: &str) -> Option<Arc<Socket>> {
        self.0.lock().sockets.iter().find(|socket| socket.namespace() == namespace).cloned()
    }

    pub(crate) fn sockets(&self) -> usize {
        self.0.lock().sockets.iter().count()
    }

    /// Adds a socket that was let in. `Err` with the reason if the connection has ended meanwhile.
    pub(crate) fn admit(&self, socket: &Arc<Socket>) -> Result<(), DisconnectReason> {
        let mut state = self.0.lock();
        if let Some(reason) = state.closed {
            return Err(reason);
        }
        socket.set_connected()?;
        state.sockets.add(socket);
        Ok(())
    }

    /// Takes a socket out, at the latest when its `disconnected` is called.
    pub(super) fn remove(&self, socket: &Arc<Socket>) {
        let last = {
            let mut state = self.0.lock();
            state.sockets.remove(socket);
            if socket.is_dismissed() && state.closed.is_none() {
                state.sockets.note_dismissed(socket.hub());
            }
            state.sockets.iter().next().is_none()
        };
        if last && !socket.is_plain() {
            socket.session().await_namespace();
        }
    }

    /// Whether we have put the client out of `namespace`.
    pub(super) fn was_dismissed(&self, namespace: &str) -> bool {
        self.0.lock().sockets.was_dismissed(namespace)
    }

    /// The connection has ended: its sockets leave their rooms at once. What the client sent before is still
    /// handled, then they learn of it.
    pub(crate) fn close(&self, session: &Arc<Session>, reason: DisconnectReason) {
        let sockets = {
            let mut state = self.0.lock();
            state.closed = Some(reason);
            state.sockets.all()
        };
        for socket in sockets.into_iter().filter(|socket| socket.retire()) {
            socket.depart(reason);
            self.push(session, Work::Disconnected(socket, reason));
        }
    }

    /// A full send buffer has drained.
    pub(crate) fn drained(&self, session: &Arc<Session>) {
        self.push(session, Work::Drained);
    }

    pub(super) fn all(&self) -> Vec<Arc<Socket>> {
        self.0.lock().sockets.all()
    }
}

type Working = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Works off what waits. What can be done without waiting is done here and now; the rest goes on in a
/// task of its own, so that an idle connection carries no handler's state and a busy one still reads.
fn run(session: &Arc<Session>) {
    let mut working: Working = Box::pin(work_off(session.clone()));
    if poll(session, &mut working, &mut Context::from_waker(Waker::noop())).is_pending() {
        let session = session.clone();
        let gateway = session.gateway.clone();
        gateway.spawn(async move { poll_fn(|cx| poll(&session, &mut working, cx)).await });
    }
}

/// Polls handlers. What they emit between two waits leaves together.
fn poll(session: &Arc<Session>, working: &mut Working, cx: &mut Context<'_>) -> Poll<()> {
    session.cork();
    let polled = catch_unwind(AssertUnwindSafe(|| working.as_mut().poll(cx)));
    session.uncork();
    polled.unwrap_or_else(|_| {
        // A handler failed, and with it the rest of its connection's work would wait for ever. The hook has
        // reported it; this client is sent away, all others go on.
        session.client.0.lock().running = false;
        session.close(DisconnectReason::ServerError, Ending::Abort);
        session.client.resume(session);
        Poll::Ready(())
    })
}

async fn work_off(session: Arc<Session>) {
    while let Some(work) = session.client.next() {
        perform(&session, work).await;
    }
}

impl Client {
    /// Goes on after a handler that failed.
    fn resume(&self, session: &Arc<Session>) {
        let idle = !std::mem::replace(&mut self.0.lock().running, true);
        if idle {
            run(session);
        }
    }
}
