//! The Socket.IO namespace `/`: who may connect, and what a connected client hears and says.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tidings_core::{
    ids::{DeviceId, Rev},
    time::Timestamp,
};
use tidings_gateway::{
    Arrival as Arrived, Claim, ConnectError, DisconnectReason, Event, Kept, Namespace, Returning,
    SavedSession, Socket,
};

use super::{
    arrival::Arrival,
    commands::{self, CommandError, SinceArg},
    events,
    open::{self, OpenRequest, Since},
    session::{InboxSession, REVOKED, SURPLUS},
};
use crate::{
    auth::{Claims, TokenError},
    connections::{self, Happened},
    guard::Admitted,
    presence,
    recovery::{self, Held},
    rooms, security,
    state::AppState,
};

pub struct InboxNamespace {
    state: AppState,
}

/// What a socket carries until it is opened; from then on it carries the session alone.
struct Arriving {
    session: Arc<InboxSession>,
    request: OpenRequest,
    /// What it will have again if it is recovered.
    resumed: parking_lot::Mutex<Option<Resumed>>,
    /// A session that was found for it where one of this node was looked for.
    found: parking_lot::Mutex<Option<String>>,
}

/// A client that comes back.
struct Resumed {
    rooms: rooms::Resumed,
    /// What was said in them since, if it comes from another node.
    held: Option<Held>,
    /// The device certainly has everything up to here.
    rev: Option<Rev>,
}

/// `auth` of CONNECT. Fields that we do not know belong to the application and are let be.
#[derive(Deserialize, Default)]
struct ConnectAuth {
    token: Option<String>,
    since: Option<SinceArg>,
    device: Option<DeviceId>,
    /// As of `presence:update`: who is invisible is so from the start.
    presence: Option<Box<RawValue>>,
}

impl InboxNamespace {
    pub fn new(state: AppState) -> Self {
        Self { state }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// Does what a client asked for with its first request, after its session was opened.
    pub(super) async fn settle(&self, socket: &Socket, arrival: &Arrival) {
        let Some(session) = session_of(socket) else { return };
        if !arrival.rooms.is_empty() {
            rooms::commands::enter_all(&self.state, &session, &arrival.rooms).await;
        }
        let (Some(rev), Some(device)) = (arrival.acknowledged, &session.device) else { return };
        let (rev, now) = (rev.min(session.sent()), self.now());
        let noted = self.state.store.acknowledge(&session.user, Some(device), rev, now).await;
        if let Err(problem) = noted {
            // Told again another time.
            tracing::warn!(%problem, "what a device has could not be noted");
        }
    }

    /// Carries out a command. Gives its answer, and apart from it what went wrong.
    pub(super) async fn answer(
        &self,
        session: &Arc<InboxSession>,
        name: &str,
        args: &[Box<RawValue>],
    ) -> (Value, Option<Value>) {
        session.touch(self.now());
        self.state.presence.heard(session);
        let per_minute = self.state.config.limits.client_messages;
        let answer = match commands::count(session, name, per_minute) {
            Ok(()) => commands::run(&self.state, session, name, args).await,
            Err(wait) => Err(CommandError::rate_limit(wait)),
        };
        match answer {
            Ok(body) => {
                let failed = body.get("error").cloned();
                (body, failed)
            }
            Err(problem) => {
                self.state.metrics.command_refused(problem.code);
                let error = problem.json();
                (json!({ "ok": false, "error": error }), Some(error))
            }
        }
    }

    /// Begins a session for a client that has proven who it is; [`Namespace::connected`] opens it.
    pub(super) fn admit(
        &self,
        socket: &Arc<Socket>,
        claims: Claims,
        request: OpenRequest,
    ) -> Result<(), ConnectError> {
        let now = self.state.clock.now();
        if claims.expires_at() <= now {
            // Within the leeway, but then it would be closed again at once.
            return Err(refusal(&TokenError::Expired));
        }
        let session = InboxSession::new(Arc::clone(socket), claims, request.device.clone(), now);
        let (session, resumed, found) = (Arc::new(session), Default::default(), Default::default());
        socket.set_data(Arc::new(Arriving { session, request, resumed, found }));
        Ok(())
    }

    async fn authenticate(
        &self,
        socket: &Socket,
        auth: &ConnectAuth,
    ) -> Result<Claims, TokenError> {
        let handshake = socket.handshake();
        let header = handshake
            .extension
            .as_ref()
            .and_then(|extension| extension.downcast_ref::<Admitted>())
            .and_then(|admitted| admitted.token.clone());
        let token = auth.token.clone().or(header).or_else(|| handshake.query_param("token"));
        self.state.tokens.verify(token.as_deref().unwrap_or_default()).await
    }
}

/// The session of a client that connects, or has.
pub(crate) fn session_of(socket: &Socket) -> Option<Arc<InboxSession>> {
    socket.data::<InboxSession>().or_else(|| Some(Arc::clone(&socket.data::<Arriving>()?.session)))
}

fn log_opened(session: &InboxSession) {
    let socket = &session.socket;
    let handshake = socket.handshake();
    tracing::info!(
        event = "connection.opened", user_id = session.user.as_str(), socket_id = socket.id(),
        client_type = connections::client_kind(socket).as_str(), transport = socket.transport(),
        ip = %handshake.client_ip, user_agent = connections::user_agent(socket).unwrap_or_default()
    );
}

fn refusal(problem: &TokenError) -> ConnectError {
    ConnectError::with_data(problem.to_string(), json!({ "code": problem.code() }))
}

fn bad_auth(field: &str, problem: &CommandError) -> ConnectError {
    let message = format!("{field}: {}", problem.message);
    ConnectError::with_data(message, json!({ "code": problem.code }))
}

#[async_trait]
impl Namespace for InboxNamespace {
    async fn connect(
        &self,
        socket: &Arc<Socket>,
        auth: Option<Box<RawValue>>,
    ) -> Result<(), ConnectError> {
        let auth: ConnectAuth = match &auth {
            None => ConnectAuth::default(),
            Some(raw) => {
                commands::parse(Some(raw)).map_err(|problem| bad_auth("auth", &problem))?
            }
        };
        let presence = auth.presence.as_deref().map(|raw| presence::commands::read(Some(raw)));
        let presence =
            presence.transpose().map_err(|problem| bad_auth("auth.presence", &problem))?;
        let claims = self.authenticate(socket, &auth).await.map_err(|problem| {
            let ip = socket.handshake().client_ip;
            security::token_refused(&self.state.audit, "connect", &problem, ip);
            refusal(&problem)
        })?;
        let request = OpenRequest { since: auth.since.map(Into::into), device: auth.device };
        self.admit(socket, claims, request)?;
        if let (Some(presence), Some(session)) = (presence, session_of(socket)) {
            session.presence.change(presence);
        }
        Ok(())
    }

    fn keep(&self, socket: &Arc<Socket>) -> Option<Kept> {
        Some(Arc::new(rooms::leave_behind(&*session_of(socket)?)))
    }

    async fn recover(
        &self,
        socket: &Arc<Socket>,
        returning: &Returning,
    ) -> Result<Vec<String>, ()> {
        let arriving = socket.data::<Arriving>().ok_or(())?;
        let session = &arriving.session;
        let left = returning.kept::<rooms::Left>().ok_or(())?;
        if left.user != session.user {
            let ip = socket.handshake().client_ip;
            security::recovery_refused(&self.state.audit, &session.user, ip);
            return Err(());
        }
        if let Err(found) = recovery::take_back(&self.state, returning.pid(), &left).await {
            *arriving.found.lock() = found;
            return Err(());
        }
        let rooms = rooms::authorise(&self.state, session, &left.rooms).await;
        let names = rooms.names(session);
        session.presence.inherit(left.card.clone());
        let rev = returning.mark().map(Rev);
        *arriving.resumed.lock() = Some(Resumed { rooms, held: None, rev });
        Ok(names)
    }

    async fn arrive(&self, socket: &Arc<Socket>, claim: &Claim) -> Option<Arrived> {
        let arriving = socket.data::<Arriving>()?;
        let (session, found) = (&arriving.session, arriving.found.lock().take());
        let arrived = recovery::arrive(&self.state, session, claim, found).await?;
        session.presence.inherit(arrived.card);
        let (rooms, held, rev) = (arrived.rooms, Some(arrived.held), arrived.rev);
        *arriving.resumed.lock() = Some(Resumed { rooms, held, rev });
        Some(arrived.arrival)
    }

    fn saved(&self, session: &Arc<SavedSession>) {
        self.state.recovery.park(Arc::downgrade(session));
    }

    async fn connected(&self, socket: &Arc<Socket>) {
        let Some(arriving) = socket.data::<Arriving>() else { return };
        let session = &arriving.session;
        socket.set_data(Arc::clone(session) as _);
        let mut request = arriving.request.clone();
        let resumed = arriving.resumed.lock().take().filter(|_| socket.recovered());
        rooms::open(&self.state, session).await;
        if let Some(Resumed { rooms, held, rev }) = resumed {
            rooms::resume(&self.state, session, rooms).await;
            if held.is_some_and(|held| !self.state.recovery.welcome(session, held)) {
                // It would miss something. The next time it is told so.
                socket.close_transport(DisconnectReason::ServerError);
            }
            // A client that says itself what it has knows best.
            request.since = request.since.or(rev.map(Since::Rev));
        }
        for displaced in self.state.presence.connect(&self.state.hub, session, self.now()) {
            // Told not to come back, or the devices would push one another out in a ring.
            displaced.dismiss(&self.state.metrics, SURPLUS.0, SURPLUS.1);
        }
        if self.state.revocations.cover(&session.claims()) {
            // Since its token was looked at: whoever closes those concerned did not see it yet.
            session.dismiss(&self.state.metrics, REVOKED.0, REVOKED.1);
        }
        self.state.metrics.connection_opened();
        self.state.connections.note(Happened::Opened(Arc::clone(session)));
        log_opened(session);
        if socket.recovered()
            && let Err(problem) =
                rooms::decide_again(&self.state, session, rooms::Which::Asked).await
        {
            // One that was lost since it was authorised would not have been heard of. Within a minute it is.
            tracing::warn!(%problem, "memberships could not be read for a client that came back");
        }
        if let Err(problem) = open::open(&self.state, session, request).await {
            tracing::error!(%problem, user_id = %session.user, "an inbox could not be opened");
            socket.close_transport(DisconnectReason::ServerError);
        }
    }

    async fn event(&self, socket: &Arc<Socket>, event: Event) {
        let Some(session) = session_of(socket) else { return };
        let (body, failed) = self.answer(&session, &event.name, &event.args).await;
        match (event.ack, failed) {
            // A client whose buffer is full misses the answer, and asks again.
            (Some(ack), _) => drop(ack.send_values(&[body])),
            (None, Some(error)) => {
                // Nobody to tell if the buffer is full: then the client is in worse trouble.
                let _ = socket.emit(&events::event("error", &error));
            }
            (None, None) => {}
        }
    }

    fn disconnected(&self, socket: &Arc<Socket>, reason: DisconnectReason) {
        let opened = socket.data::<InboxSession>();
        // Socket and session hold each other; here it ends.
        socket.set_data(Arc::new(()));
        // Some never got as far as being registered.
        let Some(session) = &opened else { return };
        // It may be back in a moment: for presence it is here, and in its rooms, until then.
        self.state.presence.disconnect(session, self.now());
        self.state.hub.unregister(session);
        self.state.bus.unsubscribe(&session.user);
        rooms::close(&self.state, session);
        self.state.metrics.connection_closed();
        let now = self.now();
        self.state.connections.note(Happened::Closed(Arc::clone(session), now, reason));
        let seconds = now.since(session.opened_at).as_secs_f64();
        tracing::info!(
            event = "connection.closed", user_id = session.user.as_str(), socket_id = socket.id(),
            %reason, seconds
        );
    }

    fn overflowed(&self, socket: &Arc<Socket>) {
        self.state.metrics.send_buffer_full();
        if let Some(session) = session_of(socket) {
            let user = &session.user;
            tracing::info!(event = "connection.lagging", user_id = %user, socket_id = socket.id());
        }
    }

    async fn drained(&self, socket: &Arc<Socket>) {
        if let Some(session) = session_of(socket) {
            self.state.hub.report(&session.user);
        }
    }
}
