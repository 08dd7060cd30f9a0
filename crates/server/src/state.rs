//! What every part of the server holds.

use std::{ops::Deref, sync::Arc};

use tidings_bus::redis::Redis;
use tidings_core::{
    notification_type::TypeCatalog,
    ports::{Bus, Clock, Store},
    room::RoomCatalog,
    time::Timestamp,
};

use crate::{
    address_limits::AddressLimits,
    api::InFlight,
    audit::Audit,
    auth::{KnownKeys, Revocations, Tickets, TokenVerifier},
    breaker::Breakers,
    bus::{Departures, Missed},
    certificate::Certificate,
    cluster::Cluster,
    config::Config,
    connections::{Archive, ConnectionHistory},
    inbox::InboxHub,
    ingest::Ingest,
    interop::Interop,
    lifecycle::Lifecycle,
    limiter::Limiters,
    metrics::Metrics,
    presence::PresenceHub,
    recovery::Recovery,
    rooms::{Application, EventLog, EventTypes, RoomHub},
    spool::Spool,
};

/// Shared by handlers, sessions and loops; cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

pub struct Shared {
    pub config: Config,
    pub node_id: String,
    pub started_at: Timestamp,
    /// Behind the breakers.
    pub store: Arc<dyn Store>,
    pub breakers: Arc<Breakers>,
    /// `None`: nothing is accepted without the database.
    pub spool: Option<Spool>,
    pub known_keys: KnownKeys,
    pub bus: Arc<dyn Bus>,
    /// What nodes share beside the bus; `None`: this node is alone.
    pub redis: Option<Redis>,
    /// The bus may have lost something.
    pub missed: Arc<Missed>,
    /// Connections that are to go elsewhere.
    pub departures: Arc<Departures>,
    pub hub: Arc<InboxHub>,
    pub rooms: Arc<RoomHub>,
    /// What applications leave in Redis, if it is taken from there.
    pub ingest: Option<Arc<Ingest>>,
    /// Socket.IO servers of others, if this is one among them.
    pub interop: Option<Arc<Interop>>,
    pub presence: Arc<PresenceHub>,
    /// Clients that come back on another node.
    pub recovery: Arc<Recovery>,
    /// This node among others.
    pub cluster: Arc<Cluster>,
    pub room_kinds: RoomCatalog,
    pub event_types: EventTypes,
    /// Live events in the log.
    pub event_log: EventLog,
    /// Who is asked about rooms, if anybody is.
    pub application: Option<Arc<Application>>,
    pub tokens: TokenVerifier,
    pub revocations: Arc<Revocations>,
    pub tickets: Tickets,
    pub addresses: AddressLimits,
    /// With it the listener speaks TLS.
    pub certificate: Option<Certificate>,
    /// Signs the tokens that the server itself issues, if it has a shared secret.
    pub signing_secret: Option<String>,
    pub types: TypeCatalog,
    pub metrics: Arc<Metrics>,
    pub audit: Arc<Audit>,
    pub connections: ConnectionHistory,
    /// Where connections go that are too old to be kept.
    pub archive: Option<Archive>,
    pub clock: Arc<dyn Clock>,
    pub lifecycle: Lifecycle,
    /// Something was accepted that has to be announced.
    pub announced: tokio::sync::Notify,
    /// There is a user to be erased.
    pub erasing: tokio::sync::Notify,
    /// Told when the database says that there is something in the outbox.
    pub published: tokio::sync::Notify,
    /// API requests per user.
    pub request_limits: Limiters,
    /// Idempotency keys of requests that are being carried out.
    pub in_flight: InFlight,
}

impl AppState {
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for AppState {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}
