//! What the command line does with a store: directly, or through the running server's socket.
//!
//! Both ways carry out the same [`Request`]. The socket is a Unix socket in the data directory
//! that only its owner may open; one line of JSON goes each way.

mod client;
mod socket;

use serde::{Deserialize, Serialize};
use tidings_core::{
    api_key::{self, ApiKey, Scope},
    audit::{Actor, AuditEntry, AuditFilter, Happening},
    ids::NotificationId,
    notification::{Draft, DraftLimits},
    notification_type::TypeCatalog,
    ports::{Accept, Accepted, Clock, Store},
    time::Timestamp,
};

pub use client::ask;
pub use socket::{bind, listen};

use crate::{
    audit::new_entry,
    secret::{random_bytes, random_hex},
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum Request {
    CreateKey {
        name: String,
        scopes: Vec<Scope>,
    },
    ListKeys,
    RevokeKey {
        id: String,
    },
    ListAudit {
        filter: AuditFilter,
        limit: usize,
    },
    /// The draft as the API takes it.
    Notify {
        draft: serde_json::Value,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    Created { id: String, key: String },
    Keys(Vec<KeyLine>),
    Revoked,
    Audit(Vec<AuditEntry>),
    Sent { id: NotificationId, recipients: u64, announced: bool },
    Failed(String),
}

/// A key as it is listed: without the key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyLine {
    pub id: String,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// What carrying out a request needs.
pub struct Context<'a> {
    pub store: &'a dyn Store,
    pub types: &'a TypeCatalog,
    pub clock: &'a dyn Clock,
    pub limits: DraftLimits,
}

/// Carries out a request. Everything that can go wrong becomes an answer.
pub async fn execute(context: &Context<'_>, request: Request) -> Answer {
    let answer = match request {
        Request::CreateKey { name, scopes } => create_key(context, name, scopes).await,
        Request::ListKeys => list_keys(context).await,
        Request::RevokeKey { id } => revoke_key(context, &id).await,
        Request::ListAudit { filter, limit } => list_audit(context, filter, limit).await,
        Request::Notify { draft } => notify(context, draft).await,
    };
    answer.unwrap_or_else(|problem| Answer::Failed(format!("{problem:#}")))
}

/// Makes an API key; the key itself is in the answer and nowhere else.
pub async fn create_key(
    context: &Context<'_>,
    name: String,
    scopes: Vec<Scope>,
) -> anyhow::Result<Answer> {
    let fine = (1..=64).contains(&name.len()) && !name.chars().any(char::is_control);
    anyhow::ensure!(fine, "a key's name has 1 to 64 characters");
    let key = api_key::format_key(random_bytes());
    let record = ApiKey {
        id: format!("key_{}", random_hex::<6>()),
        name,
        hash: api_key::hash_key(&key),
        scopes,
        created_at: context.clock.now(),
        revoked_at: None,
    };
    let id = record.id.clone();
    let scopes: Vec<_> = record.scopes.iter().map(|scope| scope.as_str()).collect();
    let happening = operator("api_key.created").target(&id).with("name", &record.name);
    let happening = happening.with("scopes", scopes.join(" "));
    context.store.create_api_key(record).await?;
    audit(context, happening).await;
    Ok(Answer::Created { id, key })
}

async fn list_keys(context: &Context<'_>) -> anyhow::Result<Answer> {
    let keys = context.store.api_keys().await?.into_iter().map(|key| KeyLine {
        id: key.id,
        name: key.name,
        scopes: key.scopes,
        created_at: key.created_at,
        revoked_at: key.revoked_at,
    });
    Ok(Answer::Keys(keys.collect()))
}

async fn revoke_key(context: &Context<'_>, id: &str) -> anyhow::Result<Answer> {
    let revoked = context.store.revoke_api_key(id, context.clock.now()).await?;
    anyhow::ensure!(revoked, "there is no key {id} that is not revoked already");
    audit(context, operator("api_key.revoked").target(id)).await;
    Ok(Answer::Revoked)
}

async fn list_audit(
    context: &Context<'_>,
    filter: AuditFilter,
    limit: usize,
) -> anyhow::Result<Answer> {
    anyhow::ensure!((1..=1_000).contains(&limit), "the limit is between 1 and 1000");
    Ok(Answer::Audit(context.store.audit(filter, None, limit).await?))
}

fn operator(event: &'static str) -> Happening {
    Happening::new(event, Actor::Operator)
}

/// Straight into the store: there may be no server whose queue could take it.
async fn audit(context: &Context<'_>, happening: Happening) {
    let entry = new_entry(happening, context.clock.now());
    if let Err(problem) = context.store.append_audit(vec![entry]).await {
        // It is done already; whoever did it should not think that it was not.
        tracing::warn!(%problem, "what an operator did is missing in the audit log");
    }
}

async fn notify(context: &Context<'_>, draft: serde_json::Value) -> anyhow::Result<Answer> {
    // From text, as over HTTP: `data` is kept as it is written.
    let draft: Draft = serde_json::from_str(&draft.to_string())?;
    let now = context.clock.now();
    let id = NotificationId::new_v7(now, random_bytes());
    let message = draft.check("", id, now, context.types, context.limits).map_err(|errors| {
        let list: Vec<_> =
            errors.as_slice().iter().map(|e| format!("{} {}", e.pointer, e.detail)).collect();
        anyhow::anyhow!("{}", list.join("; "))
    })?;
    let accept = Accept { messages: vec![message], idempotency: None, now };
    let outcome = context.store.accept(accept).await?;
    let Some(Accepted { id, recipients, announced, .. }) = outcome.accepted.into_iter().next()
    else {
        anyhow::bail!("the outcome was lost");
    };
    let event = if announced { "announcement.accepted" } else { "notification.sent" };
    audit(context, operator(event).target(id).with("recipients", recipients)).await;
    Ok(Answer::Sent { id, recipients, announced })
}
