//! What the caller does with the own inbox; and servers take messages back.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use tidings_core::{
    announcement::BATCH,
    api_key::Scope,
    ids::{NotificationId, Rev},
    inbox::{InboxOp, OpOutcome},
    ports::StoreError,
};
use utoipa::{IntoParams, ToSchema};

use super::{
    list::{missing, no_such_notification, parse_id},
    schema,
};
use crate::{
    api::{
        caller::{Caller, Server, User},
        extract::{OptionalBytes, Path, Query, parse},
        problem::Problem,
    },
    spool::STORED_FIRST,
    state::AppState,
};

impl From<OpOutcome> for schema::Changed {
    fn from(outcome: OpOutcome) -> Self {
        Self {
            changed: outcome.changed,
            unread: outcome.state.unread,
            rev: outcome.state.rev.0,
            read_up_to: outcome.state.read_up_to.0,
        }
    }
}

type Answer = Result<Json<schema::Changed>, Problem>;

/// Changes the state of one notification: `read`, `unread`, `seen`, `archive`, `unarchive`.
#[utoipa::path(
    patch, path = "/notifications/{id}/{change}", tag = "notifications", security(("userToken" = [])),
    params(("id" = Uuid, Path), ("change" = String, Path, description = "read, unread, seen, archive or unarchive")),
    responses((status = 200, body = schema::Changed), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn change_patch(
    state: State<AppState>,
    user: User,
    path: Path<(String, String)>,
) -> Answer {
    change(state, user, path).await
}

/// The same as `PATCH`.
#[utoipa::path(
    put, path = "/notifications/{id}/{change}", tag = "notifications", security(("userToken" = [])),
    params(("id" = Uuid, Path), ("change" = String, Path, description = "read, unread, seen, archive or unarchive")),
    responses((status = 200, body = schema::Changed), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn change_put(
    state: State<AppState>,
    user: User,
    path: Path<(String, String)>,
) -> Answer {
    change(state, user, path).await
}

async fn change(
    State(state): State<AppState>,
    user: User,
    Path((id, change)): Path<(String, String)>,
) -> Answer {
    let id = parse_id(&id)?;
    let op: fn(Vec<NotificationId>) -> InboxOp = match change.as_str() {
        "read" => InboxOp::Read,
        "unread" => InboxOp::Unread,
        "seen" => InboxOp::Seen,
        "archive" => InboxOp::Archive,
        "unarchive" => InboxOp::Unarchive,
        _ => {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "A notification can be read, unread, seen, archived or unarchived",
            ));
        }
    };
    on_one(&state, &user, id, op(vec![id])).await
}

async fn on_one(state: &AppState, user: &User, id: NotificationId, op: InboxOp) -> Answer {
    let outcome = state.store.change(user.id(), op, state.clock.now()).await?;
    if outcome.missing > 0 {
        return Err(missing(state, user, id).await?);
    }
    Ok(Json(outcome.into()))
}

/// Deletes a notification from the caller's inbox. With an API key: takes it back from
/// everybody.
#[utoipa::path(
    delete, path = "/notifications/{id}", tag = "notifications", params(("id" = Uuid, Path)),
    security(("userToken" = []), ("apiKey" = [])),
    responses(
        (status = 200, body = Deleted, description = "Deleted from the caller's inbox, or taken back"),
        (status = 202, body = Retraction, description = "Being taken back"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    match caller {
        Caller::User(user) => on_one(&state, &user, id, InboxOp::Delete(vec![id]))
            .await
            .map(IntoResponse::into_response),
        Caller::Server(server) => retract(&state, &server, id).await,
    }
}

#[derive(serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Retraction {
    #[schema(value_type = uuid::Uuid)]
    id: NotificationId,
    /// Inboxes that it is out of already.
    removed: u64,
    /// All of them; otherwise the rest follows by itself.
    complete: bool,
}

/// A user gets the inbox after it, a server what became of the message.
#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the two bodies; never made")]
pub(in crate::api) enum Deleted {
    Changed(schema::Changed),
    Retraction(Retraction),
}

async fn retract(
    state: &AppState,
    server: &Server,
    id: NotificationId,
) -> Result<Response, Problem> {
    server.require(Scope::NotificationsWrite)?;
    // Asked before the store is: what is gone from here is there.
    let waits = state.spool.as_ref().is_some_and(|spool| !spool.is_empty());
    let retracted = state.store.retract(id, BATCH, state.clock.now()).await?;
    let retracted = match retracted {
        // It may be among what waits: it would come after it was said not to be there.
        None if waits => return Err(StoreError::Unavailable(STORED_FIRST.to_owned()).into()),
        retracted => retracted.ok_or_else(no_such_notification)?,
    };
    tracing::info!(event = "notification.retracted", notification = %id, key = server.key.id);
    server.did(server.does("notification.retracted").target(id));
    let status = if retracted.more { StatusCode::ACCEPTED } else { StatusCode::OK };
    let body = Retraction { id, removed: retracted.removed, complete: !retracted.more };
    Ok((status, Json(body)).into_response())
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct ReadAll {
    /// Everything with `seq` up to this; all, if left out.
    #[schema(value_type = Option<u64>)]
    up_to: Option<Rev>,
}

/// Marks everything as read, up to a `seq`.
#[utoipa::path(
    post, path = "/notifications/read-all", tag = "notifications", security(("userToken" = [])),
    request_body(content = ReadAll, description = "May be left out"),
    responses((status = 200, body = schema::Changed), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn read_all_post(
    state: State<AppState>,
    user: User,
    body: OptionalBytes,
) -> Answer {
    read_all(state, user, body).await
}

/// The same as `POST`.
#[utoipa::path(
    put, path = "/notifications/read-all", tag = "notifications", security(("userToken" = [])),
    request_body(content = ReadAll, description = "May be left out"),
    responses((status = 200, body = schema::Changed), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn read_all_put(
    state: State<AppState>,
    user: User,
    body: OptionalBytes,
) -> Answer {
    read_all(state, user, body).await
}

async fn read_all(
    State(state): State<AppState>,
    user: User,
    OptionalBytes(body): OptionalBytes,
) -> Answer {
    let ReadAll { up_to } = if body.is_empty() { ReadAll::default() } else { parse(&body, "")? };
    let op = InboxOp::ReadAll { up_to };
    Ok(Json(state.store.change(user.id(), op, state.clock.now()).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ClearQuery {
    /// Everything with `seq` up to this; all, if left out.
    #[param(value_type = Option<u64>)]
    up_to: Option<Rev>,
}

/// Deletes everything in the caller's inbox, up to a `seq`.
#[utoipa::path(
    delete, path = "/notifications", tag = "notifications", params(ClearQuery), security(("userToken" = [])),
    responses((status = 200, body = schema::Changed), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn clear(
    State(state): State<AppState>,
    user: User,
    Query(query): Query<ClearQuery>,
) -> Answer {
    let op = InboxOp::Clear { up_to: query.up_to };
    Ok(Json(state.store.change(user.id(), op, state.clock.now()).await?.into()))
}
