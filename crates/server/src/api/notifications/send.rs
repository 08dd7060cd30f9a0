//! Servers send notifications: one, or several in an array.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tidings_core::{
    api_key::Scope,
    idempotency::IdempotencyClaim,
    ids::NotificationId,
    notification::{Draft, DraftLimits, NewMessage, Recipients},
    ports::{Accept, AcceptOutcome, Accepted},
    time::Timestamp,
};
use utoipa::{IntoParams, ToSchema};

use super::{
    accept::{Desk, Taken},
    schema,
};
use crate::{
    api::{
        caller::Server,
        extract::{JsonBytes, Query, parse},
        problem::Problem,
        rooms,
    },
    secret::random_bytes,
    state::AppState,
};

/// Most notifications in one request.
const MAX_ITEMS: usize = 1_000;
/// Longest idempotency key, in bytes.
const MAX_KEY: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const SPOOLED: &str = "spooled";

/// How it is to be sent.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SendQuery {
    /// Nothing is spooled: without the database the answer is 503.
    #[serde(default)]
    #[param(required = false)]
    require_store: bool,
}

/// What became of one notification.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Sent {
    #[schema(value_type = uuid::Uuid)]
    id: NotificationId,
    /// Users who got it, or (of an announcement) who will. Left out if only the database knows and it is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<u64>,
    /// `committed`: it is in the database. `spooled`: it is on the server's disk until the database is back.
    #[schema(value_type = Storage)]
    stored: &'static str,
    /// All recipients had one with this `dedupeKey` already; `id` is that one's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    duplicate: bool,
    /// It is announced in batches: where to see how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_url: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes the values; never made")]
enum Storage {
    Committed,
    Spooled,
}

impl Sent {
    fn new(accepted: &Accepted, spooled: bool) -> Self {
        let status_url =
            accepted.announced.then(|| format!("/api/v1/announcements/{}", accepted.id));
        let known = !(spooled && accepted.announced && accepted.recipients == 0);
        Self {
            id: accepted.id,
            recipients: known.then_some(accepted.recipients),
            stored: if spooled { SPOOLED } else { "committed" },
            duplicate: accepted.duplicate,
            status_url,
        }
    }
}

/// One entry for each notification of an array, in its order: what became of it, or what is
/// wrong with it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum SendResult {
    Sent(Sent),
    Failed { problem: Problem },
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SendResults {
    results: Vec<SendResult>,
}

/// For one notification what became of it, for an array a result each.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the two bodies; never made")]
pub(in crate::api) enum SendAnswer {
    One(Sent),
    Several(SendResults),
}

/// Sends a notification, or up to 1,000 in an array.
///
/// An array is stored in one transaction; entries that are not valid are left out and say why.
/// While the database is away, what is valid is kept on the server's disk and stored when it is back (`spooled`).
/// With an `Idempotency-Key`, sending the same again within 24 h gives the first answer.
#[utoipa::path(
    post, path = "/notifications", tag = "notifications", security(("apiKey" = [])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters"),
        SendQuery,
    ),
    request_body(content = schema::Drafts, description = "One, or an array of them"),
    responses(
        (status = 201, body = SendAnswer, description = "Stored; for an array `{results}`"),
        (status = 200, body = SendAnswer, description = "A duplicate; nothing new was stored"),
        (status = 202, body = SendAnswer, description = "Stored, and being announced; or spooled, while the database is away"),
        (status = 207, body = SendResults, description = "Some entries of the array are not valid"),
        (status = "4XX", description = "Refused; `{results}` if no entry of the array is valid", content(
            (Problem = "application/problem+json"), (SendResults = "application/json"),
        )),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn send(
    State(state): State<AppState>,
    server: Server,
    Query(query): Query<SendQuery>,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    server.require(Scope::NotificationsWrite)?;
    let desk = Desk::new(&state, &server, query.require_store);
    let claim = claim(&server, &headers, &body)?;
    let flight = claim.as_ref().map(|claim| {
        state.in_flight.begin(&claim.scope, &claim.key).ok_or_else(|| {
            Problem::new(
                StatusCode::CONFLICT,
                "IDEMPOTENCY_IN_FLIGHT",
                "A request with this Idempotency-Key has not been answered yet",
            )
            .with_retry_after(1)
        })
    });
    let _flight = flight.transpose()?;
    if let Some(claim) = &claim
        && let Some(outcome) = desk.replay(claim).await?
    {
        // Before the checks: what was valid then may not be valid any more.
        return answer(&outcome);
    }
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if is_array {
        send_many(&state, &desk, &body, claim).await
    } else {
        send_one(&state, &desk, &body, claim).await
    }
}

fn claim(
    server: &Server,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<IdempotencyClaim>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > MAX_KEY {
        let detail = "must have 1 to 255 visible ASCII characters";
        return Err(Problem::field(
            StatusCode::BAD_REQUEST,
            "Idempotency-Key",
            "BAD_HEADER",
            detail,
        ));
    }
    let fingerprint = Sha256::new_with_prefix("POST notifications\n").chain_update(body).finalize();
    Ok(Some(IdempotencyClaim {
        scope: server.key.id.clone(),
        key: key.to_owned(),
        fingerprint: fingerprint.into(),
        note: String::new(),
    }))
}

async fn send_one(
    state: &AppState,
    desk: &Desk<'_>,
    body: &[u8],
    idempotency: Option<IdempotencyClaim>,
) -> Result<Response, Problem> {
    let now = state.clock.now();
    let message = read(state, body, new_id(now), now)?;
    answer(&desk.accept(Accept { messages: vec![message], idempotency, now }).await?)
}

async fn send_many(
    state: &AppState,
    desk: &Desk<'_>,
    body: &[u8],
    mut idempotency: Option<IdempotencyClaim>,
) -> Result<Response, Problem> {
    let entries: Vec<&RawValue> = parse_entries(body)?;
    let now = state.clock.now();
    let mut messages = Vec::with_capacity(entries.len());
    let mut problems = Vec::with_capacity(entries.len());
    for (n, entry) in entries.iter().enumerate() {
        let at = format!("/{n}");
        let draft = parse(entry.get().as_bytes(), &at);
        match draft.and_then(|draft| check(state, draft, &at, new_id(now), now)) {
            Ok(message) => {
                messages.push(message);
                problems.push(None);
            }
            Err(problem) => problems.push(Some(problem)),
        }
    }
    if messages.is_empty() {
        let results = problems.into_iter().flatten();
        let results = results.map(|problem| SendResult::Failed { problem }).collect();
        let body = Json(SendResults { results });
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, body).into_response());
    }
    let note = Note { problems }.to_json();
    if let Some(claim) = &mut idempotency {
        claim.note.clone_from(&note);
    }
    let mut outcome = desk.accept(Accept { messages, idempotency, now }).await?;
    if !outcome.is_replayed() {
        outcome.set_note(note);
    }
    answer(&outcome)
}

/// What the answer to an array says beside the outcome: which entries were left out and why.
/// Kept with an idempotency key, so that the answer can be given again.
#[derive(Serialize, Deserialize)]
struct Note {
    problems: Vec<Option<Problem>>,
}

impl Note {
    fn to_json(&self) -> String {
        // Plain fields into memory: cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn parse_entries(body: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    std::str::from_utf8(body).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", "The body is not valid UTF-8")
    })?;
    let entries: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let detail = format!("The body is not JSON: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", detail)
    })?;
    let problem = match entries.len() {
        0 => "must hold at least one notification",
        n if n > MAX_ITEMS => "must hold at most 1000 notifications",
        _ => return Ok(entries),
    };
    Err(Problem::field(StatusCode::UNPROCESSABLE_ENTITY, "", "BAD_LENGTH", problem))
}

fn array_status(results: &[SendResult]) -> StatusCode {
    if results.iter().any(|result| matches!(result, SendResult::Failed { .. })) {
        return StatusCode::MULTI_STATUS;
    }
    let announced = |result: &SendResult| matches!(result, SendResult::Sent(s) if s.status_url.is_some() || s.stored == SPOOLED);
    let duplicate = |result: &SendResult| matches!(result, SendResult::Sent(s) if s.duplicate);
    if results.iter().any(announced) {
        StatusCode::ACCEPTED
    } else if results.iter().all(duplicate) {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    }
}

fn new_id(now: Timestamp) -> NotificationId {
    NotificationId::new_v7(now, random_bytes())
}

/// Makes a message of a notification as it was written, wherever that was.
pub(crate) fn read(
    state: &AppState,
    body: &[u8],
    id: NotificationId,
    now: Timestamp,
) -> Result<NewMessage, Problem> {
    check(state, parse(body, "")?, "", id, now)
}

fn check(
    state: &AppState,
    draft: Draft,
    at: &str,
    id: NotificationId,
    now: Timestamp,
) -> Result<NewMessage, Problem> {
    let limits = DraftLimits { data: state.config.limits.notification_data };
    let message = draft
        .check(at, id, now, &state.types, limits)
        .map_err(|errors| Problem::invalid(&errors))?;
    if let Recipients::Room(room) = &message.recipients {
        rooms::room(state, room.as_str(), &format!("{at}/to/room"))?;
    }
    Ok(message)
}

/// The store answers one for each message; anything else is its bug, not the caller's.
fn lost_outcome() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "The outcome was lost")
}

/// The answer to an outcome, whether it is new or was asked for again.
fn answer(taken: &Taken) -> Result<Response, Problem> {
    let (outcome, spooled) = taken.parts();
    let mut response = if outcome.note.is_empty() {
        let accepted = outcome.accepted.first().ok_or_else(lost_outcome)?;
        let status = match accepted {
            _ if spooled => StatusCode::ACCEPTED,
            Accepted { duplicate: true, .. } => StatusCode::OK,
            Accepted { announced: true, .. } => StatusCode::ACCEPTED,
            _ => StatusCode::CREATED,
        };
        (status, Json(Sent::new(accepted, spooled))).into_response()
    } else {
        let results = array_results(outcome, spooled)?;
        (array_status(&results), Json(SendResults { results })).into_response()
    };
    if outcome.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn array_results(outcome: &AcceptOutcome, spooled: bool) -> Result<Vec<SendResult>, Problem> {
    let note: Note = serde_json::from_str(&outcome.note).map_err(|_| lost_outcome())?;
    let mut accepted = outcome.accepted.iter();
    let mut result = |problem| match problem {
        Some(problem) => Some(SendResult::Failed { problem }),
        None => accepted.next().map(|accepted| SendResult::Sent(Sent::new(accepted, spooled))),
    };
    let results: Option<Vec<_>> = note.problems.into_iter().map(&mut result).collect();
    results.ok_or_else(lost_outcome)
}
