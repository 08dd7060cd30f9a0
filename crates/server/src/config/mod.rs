//! The configuration: plain data, complete and checked before anything starts.
//!
//! It comes from a TOML file, then the environment, then flags; later ones win. See
//! [`load`](mod@load) for the rules and `docs/configuration.md` for every setting.

mod authorization;
mod check;
mod cluster;
mod connections;
mod database;
mod environment;
mod gateway;
mod ingest;
mod introspection;
mod load;
mod log;
mod presence;
mod redis;
mod role;
mod socketio;
mod spool;
mod tls;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tidings_core::{
    notification_type::TypeSpec,
    room::{MAX_JOINED, RoomKind},
};

pub use authorization::Authorization;
pub use check::MIN_SECRET;
pub use check::{check, warnings};
pub use cluster::Cluster;
pub use connections::Connections;
pub use database::{Database, DatabaseUrl, Place};
pub use gateway::Gateway;
pub use ingest::Ingest;
pub use introspection::Introspection;
pub use load::{ConfigError, Flags, load};
pub use log::{Log, LogFormat};
pub use presence::Presence;
pub use redis::{Redis, RedisUrl};
pub use role::Role;
pub use socketio::SocketIo;
pub use spool::{Breaker, Spool};
pub use tls::Tls;

use crate::{auth::KeyConfig, rooms::EventSpec};

/// Durations are written like `25s`, `5m` or `90d`.
mod duration {
    pub(super) use tidings_core::duration::*;
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on. `--dev` accepts loopback addresses only.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Where the database, secrets and the lock file live.
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; without it a file in the data directory.
    pub database_url: Option<DatabaseUrl>,
    /// `redis://…`, `redis+sentinel://…` or `redis+cluster://…`; without it a node is alone.
    pub redis_url: Option<RedisUrl>,
    /// For trying out: made-up users, a secret of the directory's own, loopback only.
    pub dev: bool,
    /// Names this process in logs and health; made at each start if not set.
    pub node_id: Option<String>,
    pub role: Role,
    pub auth: Auth,
    pub authorization: Authorization,
    pub http: Http,
    pub tls: Tls,
    pub gateway: Gateway,
    pub limits: Limits,
    pub store: StoreConfig,
    pub breaker: Breaker,
    pub spool: Spool,
    pub database: Database,
    pub redis: Redis,
    pub retention: Retention,
    pub lifecycle: Lifecycle,
    pub presence: Presence,
    pub socketio: SocketIo,
    pub ingest: Ingest,
    pub connections: Connections,
    pub cluster: Cluster,
    pub log: Log,
    /// Notification types beside the built-in ones.
    pub types: BTreeMap<String, TypeSpec>,
    /// Kinds of room beside the built-in ones, or in their place.
    pub rooms: BTreeMap<String, RoomKind>,
    /// Types of event in rooms; once there is one, no others are taken.
    pub events: BTreeMap<String, EventSpec>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 3001,
            data_dir: PathBuf::from("tidings-data"),
            database_url: None,
            redis_url: None,
            dev: false,
            node_id: None,
            role: Role::default(),
            auth: Auth::default(),
            authorization: Authorization::default(),
            http: Http::default(),
            tls: Tls::default(),
            gateway: Gateway::default(),
            limits: Limits::default(),
            store: StoreConfig::default(),
            breaker: Breaker::default(),
            spool: Spool::default(),
            database: Database::default(),
            redis: Redis::default(),
            retention: Retention::default(),
            lifecycle: Lifecycle::default(),
            presence: Presence::default(),
            socketio: SocketIo::default(),
            ingest: Ingest::default(),
            connections: Connections::default(),
            cluster: Cluster::default(),
            log: Log::default(),
            types: BTreeMap::new(),
            rooms: BTreeMap::new(),
            events: BTreeMap::new(),
        }
    }
}

/// How users prove who they are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// A shared secret for HS256 tokens, at least 32 bytes. Short for one entry in `keys`.
    #[serde(skip_serializing)]
    pub jwt_secret: Option<String>,
    /// Keys that tokens may be signed with; several for rotation.
    #[serde(skip_serializing)]
    pub keys: Vec<KeyConfig>,
    /// A JSON Web Key Set (RFC 7517) of the application's identity provider.
    pub jwks_url: Option<String>,
    #[serde(with = "duration")]
    pub jwks_cache: Duration,
    /// How long cached keys serve on while their source is away.
    #[serde(with = "duration")]
    pub jwks_grace: Duration,
    /// Who is asked about tokens that are no JSON Web Tokens.
    pub introspection: Introspection,
    /// The `iss` that every token must carry.
    pub issuer: Option<String>,
    /// The `aud` that every token must carry.
    pub audience: Option<String>,
    /// No token holds for longer after its `iat`, whatever its `exp`.
    #[serde(with = "duration")]
    pub max_token_life: Duration,
    /// Tolerated difference between clocks.
    #[serde(with = "duration")]
    pub leeway: Duration,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            keys: Vec::new(),
            jwks_url: None,
            jwks_cache: Duration::from_secs(5 * 60),
            jwks_grace: Duration::from_secs(15 * 60),
            introspection: Introspection::default(),
            issuer: None,
            audience: None,
            max_token_life: DAY.saturating_mul(366),
            leeway: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for Auth {
    /// Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("jwt_secret", &self.jwt_secret.as_ref().map(|_| "…"))
            .field("keys", &self.keys.len())
            .field("jwks_url", &self.jwks_url)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Origins (`https://app.example`) that browsers may call from, besides the server's own.
    pub origins: Vec<String>,
    /// Addresses or networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Names that `Host` may carry; empty accepts all (in `--dev`: loopback names only).
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections of this node.
    pub connections: usize,
    /// The share of `connections` from which new ones are refused.
    pub saturation: f64,
    /// Connections of one user; one more closes the oldest.
    pub connections_per_user: usize,
    /// Connections of one address; not applied to loopback.
    pub connections_per_ip: usize,
    /// New connections per second and address; not applied to loopback.
    pub connects_per_ip: u32,
    /// Messages per minute and connection.
    pub client_messages: u32,
    /// A connection that sends nothing but pongs for this long is closed; zero turns it off.
    #[serde(with = "duration")]
    pub idle: Duration,
    /// API requests per minute and user; 0 is no limit.
    pub user_requests: u32,
    /// Rooms that one connection may be in, besides its user's own.
    pub rooms_per_connection: usize,
    /// `data` of an event in a room, in bytes.
    pub event_data: usize,
    /// `data` of a notification, in bytes.
    pub notification_data: usize,
    /// Body of an API request, in bytes.
    pub request_body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            saturation: 0.95,
            connections_per_user: 5,
            connections_per_ip: 100,
            connects_per_ip: 50,
            client_messages: 100,
            idle: Duration::ZERO,
            user_requests: 600,
            rooms_per_connection: MAX_JOINED,
            event_data: 64 * 1024,
            notification_data: 10 * 1024,
            request_body: 1 << 20,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `full` survives a power cut; `normal` may lose the last moments to one.
    pub synchronous: Synchronous,
    pub readers: usize,
    /// Writes that may wait before more are refused.
    pub queue: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    Full,
    Normal,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { synchronous: Synchronous::Full, readers: 4, queue: 10_000 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Notifications are removed after this, read or not.
    #[serde(with = "duration")]
    pub notifications: Duration,
    /// Clients that were away for longer start over.
    #[serde(with = "duration")]
    pub tombstones: Duration,
    /// Finished announcements.
    #[serde(with = "duration")]
    pub announcements: Duration,
    /// Entries of the audit log.
    #[serde(with = "duration")]
    pub audit: Duration,
    /// Connections that have ended.
    #[serde(with = "duration")]
    pub connections: Duration,
    /// How long what is said of a user who is erased may still be on its way into the store.
    #[serde(with = "duration")]
    pub erasure_settle: Duration,
    /// Pause between two rounds of upkeep.
    #[serde(with = "duration")]
    pub interval: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for Retention {
    fn default() -> Self {
        Self {
            notifications: DAY.saturating_mul(90),
            tombstones: DAY.saturating_mul(30),
            announcements: DAY.saturating_mul(30),
            audit: DAY.saturating_mul(90),
            connections: DAY.saturating_mul(30),
            erasure_settle: Duration::from_secs(10),
            interval: Duration::from_secs(60),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// On SIGTERM: how long the node says "not ready" before it refuses connections.
    #[serde(with = "duration")]
    pub unready: Duration,
    /// Then its connections are closed one by one over this time.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Pause between two batches of an announcement.
    #[serde(with = "duration")]
    pub announcement_pause: Duration,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            unready: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            announcement_pause: Duration::from_millis(100),
        }
    }
}
