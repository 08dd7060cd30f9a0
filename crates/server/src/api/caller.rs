//! Who calls: a user with a token, or a server with an API key.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use http::StatusCode;
use tidings_core::{
    api_key::{self, ApiKey, Scope},
    audit::{Actor, Happening},
    ids::UserId,
    ports::StoreError,
    ports::Taken,
};

use super::{door::ClientIp, problem::Problem, request};
use crate::{
    audit::Audit,
    auth::{Claims, TokenError},
    guard::bearer,
    security,
    state::AppState,
};

/// A user, by token.
pub(super) struct User {
    pub(super) claims: Claims,
    pub(super) ip: IpAddr,
}

impl User {
    pub(super) fn id(&self) -> &UserId {
        &self.claims.sub
    }
}

/// A server of the application, by API key.
pub(super) struct Server {
    pub(super) key: ApiKey,
    pub(super) ip: IpAddr,
    audit: Arc<Audit>,
}

impl Server {
    /// Fails unless the key has this right.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.key.scopes.contains(&scope) {
            return Ok(());
        }
        security::scope_refused(&self.audit, self.actor(), scope.as_str(), self.ip);
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "SCOPE_MISSING",
            format!("This API key lacks the scope {scope}"),
        ))
    }
}

impl Server {
    fn actor(&self) -> Actor {
        Actor::ApiKey(self.key.id.clone())
    }

    /// What this server does, for the audit log.
    pub(super) fn does(&self, event: &'static str) -> Happening {
        Happening::new(event, self.actor()).from(self.ip)
    }

    /// This server has done something that it does as often as it likes.
    pub(super) fn did(&self, happening: Happening) {
        self.audit.record_often(happening);
    }

    /// This server has done something that costs it as much as it costs us.
    pub(super) fn did_once(&self, happening: Happening) {
        self.audit.record(happening);
    }
}

/// Either of them.
pub(super) enum Caller {
    User(User),
    Server(Server),
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let ip = client_ip(parts);
        let explicit = parts.headers.get("x-api-key").and_then(|value| value.to_str().ok());
        let credential = explicit.map(str::to_owned).or_else(|| bearer(&parts.headers));
        match credential {
            Some(key) if explicit.is_some() || key.starts_with(api_key::PREFIX) => {
                server(state, &key, ip).await.map(Self::Server)
            }
            token => user(state, token.as_deref().unwrap_or_default(), ip).await.map(Self::User),
        }
    }
}

impl FromRequestParts<AppState> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::User(user) => Ok(user),
            Caller::Server(_) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "USER_TOKEN_NEEDED",
                "This is for users: send a user's token, not an API key",
            )),
        }
    }
}

impl FromRequestParts<AppState> for Server {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::Server(server) => Ok(server),
            Caller::User(user) => {
                let actor = Actor::User(user.id().clone());
                security::scope_refused(&state.audit, actor, "api key", user.ip);
                Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "API_KEY_NEEDED",
                    "This is for servers: send an API key, not a user's token",
                ))
            }
        }
    }
}

pub(super) fn client_ip(parts: &Parts) -> IpAddr {
    // Set by the door in front of every route.
    let ip = parts.extensions.get::<ClientIp>();
    ip.map_or(IpAddr::from([0, 0, 0, 0]), |ip| ip.0)
}

async fn server(state: &AppState, key: &str, ip: IpAddr) -> Result<Server, Problem> {
    // The hash of a random key is looked up: how long that takes tells nothing about the key.
    match api_key(state, &api_key::hash_key(key)).await? {
        Some(key) => Ok(Server { key, ip, audit: Arc::clone(&state.audit) }),
        None => {
            security::api_key_refused(&state.audit, "unknown or revoked", ip);
            Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "AUTH_FAILED",
                "The API key is unknown or revoked",
            ))
        }
    }
}

/// While the database is away: as it was when it was last asked.
async fn api_key(state: &AppState, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    let found = state.store.api_key(hash).await;
    match &found {
        Ok(Some(key)) => state.known_keys.learn(key),
        Ok(None) => state.known_keys.forget(hash),
        Err(StoreError::Unavailable(_)) => {
            if let Some(key) = state.known_keys.find(hash) {
                return Ok(Some(key));
            }
        }
        Err(_) => {}
    }
    found
}

/// The user whom a token is about; one request is taken from the quota.
pub(super) async fn user(state: &AppState, token: &str, ip: IpAddr) -> Result<User, Problem> {
    let claims =
        state.tokens.verify(token).await.map_err(|problem| refused(state, &problem, ip))?;
    count(state, &claims.sub).await?;
    Ok(User { claims, ip })
}

/// A token or a ticket that is not accepted.
pub(super) fn refused(state: &AppState, problem: &TokenError, ip: IpAddr) -> Problem {
    security::token_refused(&state.audit, "api", problem, ip);
    let status = match problem {
        TokenError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNAUTHORIZED,
    };
    Problem::new(status, problem.code(), problem.to_string())
}

/// What requests are counted over.
const MINUTE: Duration = Duration::from_secs(60);

/// Takes one request from the user's quota: that of this node, and where there are others, that of all.
async fn count(state: &AppState, user: &UserId) -> Result<(), Problem> {
    let Some(bucket) = state.request_limits.bucket(user.as_str()) else { return Ok(()) };
    let mut taken = bucket.take();
    let mut left = bucket.remaining();
    // What is too much here is too much for all.
    if taken.is_ok() {
        let (limit, key) = (state.request_limits.limit(), format!("requests:{user}"));
        match state.cluster.take(&key, limit, MINUTE).await {
            Some(Taken::Yes { left: of_all }) => left = left.min(of_all),
            Some(Taken::No { wait }) => (taken, left) = (Err(wait), 0),
            None => {}
        }
    }
    request::show_left(left);
    taken.map_err(|wait| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT", "Too many requests")
            .with_retry_after(wait.as_secs() + 1)
    })
}
