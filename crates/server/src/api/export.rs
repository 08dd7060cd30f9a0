//! Everything that is kept about a user, as one JSON document.
//!
//! It is written page by page while it is read: however much there is, a page of it is in memory,
//! and a client that reads slowly waits for itself alone. Should the store fail on the way, the
//! answer breaks off, so that nobody takes a part for the whole.

use std::io;

use axum::{body::Body, extract::State, response::IntoResponse as _, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tidings_core::{
    api_key::Scope,
    audit::{Actor, AuditFilter, Happening},
    connection::ConnectionFilter,
    ids::UserId,
    inbox::PageQuery,
    ports::StoreError,
    time::Timestamp,
};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::{audit, caller::Caller, connections, extract::Path, notifications, problem::Problem};
use crate::state::AppState;

/// Rows of one page.
const PAGE: usize = 100;
/// Pages that wait for a slow client.
const AHEAD: usize = 2;

/// Everything about a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what is written piece by piece; never made")]
pub(super) struct Export {
    user_id: String,
    #[schema(format = DateTime)]
    exported_at: String,
    /// What the application told; null if it told nothing and the user never connected.
    #[schema(required = true)]
    user: Option<ExportedUser>,
    inbox: ExportedInbox,
    devices: Vec<ExportedDevice>,
    /// Rooms that the user is a member of.
    rooms: Vec<String>,
    /// Newest first; behind them the archived ones.
    notifications: Vec<notifications::schema::Notification>,
    connections: Vec<connections::ConnectionEntry>,
    /// Entries of the audit log that are about the user.
    audit: Vec<audit::Entry>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what the domain encodes; never made")]
pub(super) struct ExportedUser {
    id: String,
    name: Option<String>,
    avatar_url: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportedInbox {
    rev: u64,
    unread: u64,
    read_up_to: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportedDevice {
    id: String,
    /// The rev up to which it acknowledged.
    cursor: u64,
    #[schema(value_type = String, format = DateTime)]
    used_at: Timestamp,
}

/// Everything that is kept about a user. With a user's token, one's own.
#[utoipa::path(
    get, path = "/users/{id}/export", tag = "users", params(("id" = String, Path)), security(("apiKey" = []), ("userToken" = [])),
    responses((status = 200, body = Export), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn export(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let user = UserId::new(&id).map_err(|problem| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::field(status, "id", "BAD_ID", problem.to_string())
    })?;
    let event = "user.exported";
    match &caller {
        Caller::Server(server) => {
            server.require(Scope::UsersWrite)?;
            server.did_once(server.does(event).about(&user));
        }
        Caller::User(own) if *own.id() == user => {
            let happening = Happening::new(event, Actor::User(user.clone()));
            state.audit.record_often(happening.from(own.ip));
        }
        Caller::User(_) => {
            let detail = "A user may export what is kept about the user itself only";
            return Err(Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail));
        }
    }
    // Read before anything is answered: a store that is away is a problem, not half a document.
    let head = head(&state, &user).await?;
    let (pages, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut writer = Writer { pages, page: head };
        if let Err(Broken::Store(problem)) = writer.write(&state, &user).await {
            tracing::warn!(%problem, "an export broke off");
            // An answer that ends with an error is not complete, and clients know.
            let _ = writer.pages.send(Err(io::Error::other("the store failed"))).await;
        }
    });
    let body = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|page| (page, receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"export.json\""),
        ),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// What there is one of, up to where the first list begins.
async fn head(state: &AppState, user: &UserId) -> Result<Vec<u8>, StoreError> {
    let known = state.store.user(user).await?;
    let inbox = state.store.state(user).await?;
    let devices = state.store.devices(user).await?.into_iter().map(|device| ExportedDevice {
        id: device.id.to_string(),
        cursor: device.cursor.0,
        used_at: device.used_at,
    });
    let head = serde_json::json!({
        "userId": user,
        "exportedAt": state.clock.now(),
        "user": known,
        "inbox": ExportedInbox {
            rev: inbox.rev.0,
            unread: inbox.unread,
            read_up_to: inbox.read_up_to.0,
        },
        "devices": devices.collect::<Vec<_>>(),
    });
    let mut head = head.to_string().into_bytes();
    // More follows.
    head.pop();
    Ok(head)
}

enum Broken {
    Store(StoreError),
    /// The client is gone.
    Client,
}

impl From<StoreError> for Broken {
    fn from(problem: StoreError) -> Self {
        Self::Store(problem)
    }
}

impl From<serde_json::Error> for Broken {
    fn from(problem: serde_json::Error) -> Self {
        Self::Store(StoreError::Internal(problem.to_string()))
    }
}

struct Writer {
    pages: mpsc::Sender<io::Result<Bytes>>,
    /// The page that is being written.
    page: Vec<u8>,
}

impl Writer {
    async fn write(&mut self, state: &AppState, user: &UserId) -> Result<(), Broken> {
        self.rooms(state, user).await?;
        self.notifications(state, user).await?;
        self.connections(state, user).await?;
        self.audit(state, user).await?;
        self.page.push(b'}');
        self.send().await
    }

    async fn rooms(&mut self, state: &AppState, user: &UserId) -> Result<(), Broken> {
        self.begin("rooms");
        let mut after = None;
        loop {
            let rooms = state.store.rooms_of(user, after.as_ref(), PAGE).await?;
            self.rows(&rooms).await?;
            after = rooms.into_iter().nth(PAGE - 1);
            if after.is_none() {
                self.end();
                return Ok(());
            }
        }
    }

    async fn notifications(&mut self, state: &AppState, user: &UserId) -> Result<(), Broken> {
        self.begin("notifications");
        for archived in [false, true] {
            let mut before = None;
            loop {
                let query = PageQuery {
                    user: user.clone(),
                    limit: PAGE,
                    before,
                    page: None,
                    unread_only: false,
                    archived,
                    kind: None,
                    tenant: None,
                };
                let page = state.store.page(query).await?;
                self.rows(&page.notifications).await?;
                before = page.notifications.last().map(|last| last.item.seq);
                if !page.has_more {
                    break;
                }
            }
        }
        self.end();
        Ok(())
    }

    async fn connections(&mut self, state: &AppState, user: &UserId) -> Result<(), Broken> {
        self.begin("connections");
        let mut before = None;
        loop {
            let filter = ConnectionFilter { user: Some(user.clone()), active: None };
            let found = state.store.connections(filter, before, PAGE).await?;
            before = found.get(PAGE - 1).map(|last| last.id);
            let entries = found.into_iter().map(|one| connections::entry(one, None));
            self.rows(&entries.collect::<Vec<_>>()).await?;
            if before.is_none() {
                self.end();
                return Ok(());
            }
        }
    }

    async fn audit(&mut self, state: &AppState, user: &UserId) -> Result<(), Broken> {
        self.begin("audit");
        let mut before = None;
        loop {
            let filter = AuditFilter { user: Some(user.clone()), ..AuditFilter::default() };
            let found = state.store.audit(filter, before, PAGE).await?;
            before = found.get(PAGE - 1).map(|last| last.id);
            let entries = found.into_iter().map(audit::Entry::from);
            self.rows(&entries.collect::<Vec<_>>()).await?;
            if before.is_none() {
                self.end();
                return Ok(());
            }
        }
    }

    fn begin(&mut self, name: &str) {
        self.page.extend_from_slice(format!(",\"{name}\":[").as_bytes());
    }

    fn end(&mut self) {
        self.page.push(b']');
    }

    async fn rows<T: Serialize>(&mut self, rows: &[T]) -> Result<(), Broken> {
        for row in rows {
            if !self.page.ends_with(b"[") {
                self.page.push(b',');
            }
            serde_json::to_writer(&mut self.page, row)?;
        }
        // The last byte stays: it tells whether a comma is due.
        let last = self.page.pop();
        self.send().await?;
        self.page.extend(last);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Broken> {
        let page = Bytes::from(std::mem::take(&mut self.page));
        self.pages.send(Ok(page)).await.map_err(|_| Broken::Client)
    }
}
