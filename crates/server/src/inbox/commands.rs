//! What a client may ask on its socket. Each answers its acknowledgement with
//! `{ok:true,…}` or `{ok:false,error:{code,message,retryAfter?}}`.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use tidings_core::{
    ids::{NotificationId, Rev},
    inbox::{InboxOp, MAX_IDS, OpOutcome, SYNC_PAGE, Sync},
    ports::StoreError,
    time::Timestamp,
};

use super::{
    events,
    open::Since,
    session::{InboxSession, REVOKED},
};
use crate::{
    auth::TokenError, connections::Happened, limiter::Rate, presence, rooms, security,
    state::AppState,
};

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
}

impl CommandError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn rate_limit(wait: Duration) -> Self {
        Self {
            code: "RATE_LIMIT",
            message: "Too many messages".into(),
            // Rounded up: who obeys must not be refused again.
            retry_after: Some(wait.as_millis().div_ceil(1_000) as u64),
        }
    }

    pub(super) fn json(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(seconds), Some(object)) = (self.retry_after, error.as_object_mut()) {
            object.insert("retryAfter".into(), seconds.into());
        }
        error
    }
}

impl From<StoreError> for CommandError {
    fn from(problem: StoreError) -> Self {
        tracing::error!(%problem, "a command failed in the store");
        Self {
            code: "UNAVAILABLE",
            message: "The store is not available; try again".into(),
            retry_after: Some(1),
        }
    }
}

pub(crate) type Answer = Result<Value, CommandError>;

/// Acks and heartbeats for each message that a connection may send.
const ACKS: u32 = 20;

/// Counts a command, or says how long until it may be said. Those that keep a connection healthy are no messages, but
/// they are not free either.
pub(super) fn count(
    session: &InboxSession,
    name: &str,
    messages_per_minute: u32,
) -> Result<(), Duration> {
    match name {
        "notification:ack" | "heartbeat" => {
            session.acks.take(Rate::per_minute(messages_per_minute.saturating_mul(ACKS)))
        }
        _ if presence::commands::is_typing(name) => session.presence.typing().take(),
        _ => session.messages.take(Rate::per_minute(messages_per_minute)),
    }
}

/// Carries out one command.
pub(super) async fn run(
    state: &AppState,
    session: &Arc<InboxSession>,
    name: &str,
    args: &[Box<RawValue>],
) -> Answer {
    let arg = args.first().map(|raw| &**raw);
    match name {
        "heartbeat" => Ok(events::heartbeat(state.clock.now())),
        "notification:ack" => acknowledge(state, session, parse(arg)?).await,
        "notifications:sync" => sync(state, session, parse(arg)?).await,
        "auth:refresh" => refresh(state, session, parse(arg)?).await,
        "notification:readAll" => {
            let up_to = parse_or_default::<UpTo>(arg)?.up_to;
            change(state, session, InboxOp::ReadAll { up_to }).await
        }
        _ => match op_on_ids(name) {
            Some(op) => change(state, session, op(parse::<Ids>(arg)?.check()?)).await,
            None => others(state, session, name, arg).await.unwrap_or_else(|| {
                Err(CommandError::new("UNKNOWN_EVENT", "There is no such event"))
            }),
        },
    }
}

/// Commands that are not about the inbox.
async fn others(
    state: &AppState,
    session: &InboxSession,
    name: &str,
    arg: Option<&RawValue>,
) -> Option<Answer> {
    match rooms::commands::run(state, session, name, arg).await {
        None => presence::commands::run(state, session, name, arg).await,
        answer => answer,
    }
}

fn op_on_ids(name: &str) -> Option<fn(Vec<NotificationId>) -> InboxOp> {
    Some(match name {
        "notification:read" => InboxOp::Read,
        "notification:unread" => InboxOp::Unread,
        "notification:seen" => InboxOp::Seen,
        "notification:archive" => InboxOp::Archive,
        "notification:unarchive" => InboxOp::Unarchive,
        "notification:delete" => InboxOp::Delete,
        _ => return None,
    })
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpTo {
    up_to: Option<Rev>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ack {
    up_to: Rev,
}

/// One id, bare or in an object, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be an id, {id} or {ids}")]
enum Ids {
    Bare(NotificationId),
    Named(NamedIds),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedIds {
    id: Option<NotificationId>,
    #[serde(default)]
    ids: Vec<NotificationId>,
}

impl Ids {
    fn check(self) -> Result<Vec<NotificationId>, CommandError> {
        let ids = match self {
            Self::Bare(id) => vec![id],
            Self::Named(NamedIds { id, mut ids }) => {
                ids.extend(id);
                ids
            }
        };
        match ids.len() {
            0 => Err(CommandError::new("INVALID", "id: is missing")),
            n if n > MAX_IDS => {
                Err(CommandError::new("INVALID", format!("ids: at most {MAX_IDS} at once")))
            }
            _ => Ok(ids),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a rev (a number) or an ISO date")]
pub(super) enum SinceArg {
    Rev(Rev),
    Date(Timestamp),
}

impl From<SinceArg> for Since {
    fn from(arg: SinceArg) -> Self {
        match arg {
            SinceArg::Rev(rev) => Self::Rev(rev),
            SinceArg::Date(at) => Self::Date(at),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SyncArgs {
    since: SinceArg,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    token: String,
}

/// Reads an argument; the error names the field.
pub(crate) fn parse<T: DeserializeOwned>(arg: Option<&RawValue>) -> Result<T, CommandError> {
    let text = arg.map_or("null", RawValue::get);
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|problem| {
        let path = problem.path().to_string();
        let detail = problem.into_inner().to_string();
        // serde_json appends a place in the text, which means nothing to the client's author.
        let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
        match path.as_str() {
            "." | "?" => CommandError::new("INVALID", detail),
            path => CommandError::new("INVALID", format!("{path}: {detail}")),
        }
    })
}

fn parse_or_default<T: DeserializeOwned + Default>(
    arg: Option<&RawValue>,
) -> Result<T, CommandError> {
    match arg {
        None => Ok(T::default()),
        Some(raw) if raw.get() == "null" => Ok(T::default()),
        some => parse(some),
    }
}

async fn change(state: &AppState, session: &InboxSession, op: InboxOp) -> Answer {
    let ids = match &op {
        InboxOp::Read(ids)
        | InboxOp::Unread(ids)
        | InboxOp::Seen(ids)
        | InboxOp::Archive(ids)
        | InboxOp::Unarchive(ids)
        | InboxOp::Delete(ids) => ids.clone(),
        InboxOp::ReadAll { .. } | InboxOp::Clear { .. } => Vec::new(),
    };
    let outcome = state.store.change(&session.user, op, state.clock.now()).await?;
    if outcome.missing > 0 {
        log_strangers(state, session, &ids).await?;
    }
    let OpOutcome { state: inbox, changed, missing } = outcome;
    if changed == 0 && missing > 0 {
        return Err(CommandError::new("NOT_FOUND", "There is no such notification in the inbox"));
    }
    Ok(json!({
        "ok": true,
        "changed": changed,
        "missing": missing,
        "unread": inbox.unread,
        "rev": inbox.rev,
        "readUpTo": inbox.read_up_to,
    }))
}

/// Somebody asked for a notification that exists, but in other inboxes.
async fn log_strangers(
    state: &AppState,
    session: &InboxSession,
    ids: &[NotificationId],
) -> Result<(), CommandError> {
    for id in ids.iter().take(8) {
        if state.store.notification(&session.user, *id).await?.is_none()
            && state.store.exists(*id).await?
        {
            let ip = session.socket.handshake().client_ip;
            security::foreign_notification(&state.audit, &session.user, *id, ip);
        }
    }
    Ok(())
}

async fn acknowledge(state: &AppState, session: &InboxSession, ack: Ack) -> Answer {
    let up_to = ack.up_to.min(session.sent());
    let device = session.device.as_ref();
    state.store.acknowledge(&session.user, device, up_to, state.clock.now()).await?;
    Ok(json!({ "ok": true, "upTo": up_to }))
}

async fn sync(state: &AppState, session: &InboxSession, args: SyncArgs) -> Answer {
    let since = match args.since {
        SinceArg::Rev(rev) => rev,
        SinceArg::Date(at) => state.store.rev_at(&session.user, at).await?,
    };
    let sync: Sync = state.store.sync(&session.user, since, SYNC_PAGE).await?;
    let mut answer = serde_json::to_value(&sync)
        .map_err(|problem| CommandError::new("INTERNAL", problem.to_string()))?;
    if let Some(object) = answer.as_object_mut() {
        object.insert("ok".into(), true.into());
    }
    Ok(answer)
}

async fn refresh(state: &AppState, session: &Arc<InboxSession>, args: Refresh) -> Answer {
    let ip = session.socket.handshake().client_ip;
    let claims = state.tokens.verify(&args.token).await.map_err(|problem| {
        security::token_refused(&state.audit, "auth:refresh", &problem, ip);
        token_error(&problem)
    })?;
    if claims.sub != session.user {
        let problem = TokenError::Invalid("the token of another user".into());
        security::token_refused(&state.audit, "auth:refresh", &problem, ip);
        return Err(CommandError::new("AUTH_FAILED", "The token belongs to another user"));
    }
    let expires_at = claims.expires_at();
    session.renew(claims);
    state.connections.note(Happened::Renewed(Arc::clone(session)));
    if state.revocations.cover(&session.claims()) {
        // Since the token was looked at; whoever closes those concerned saw the old one.
        session.dismiss(&state.metrics, REVOKED.0, REVOKED.1);
    }
    if let Err(problem) = rooms::decide_again(state, session, rooms::Which::Renewed).await {
        // Memberships are kept, and looked at again within the minute.
        tracing::warn!(%problem, "memberships could not be read for a renewed token");
    }
    Ok(json!({ "ok": true, "expiresAt": expires_at }))
}

fn token_error(problem: &TokenError) -> CommandError {
    CommandError::new(problem.code(), problem.to_string())
}
