//! The playground: a page to try Tidings with, in `--dev` only.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, Method, Uri, header};
use rust_embed::RustEmbed;
use serde_json::{Value, json};
use tidings_core::{ids::UserId, user::User};

use crate::{
    admin, api,
    auth::{Claims, sign},
    data_dir::DataDir,
    state::AppState,
};

#[derive(RustEmbed)]
#[folder = "../../web/playground/"]
struct Files;

/// The made-up users of the page.
pub const USERS: [(&str, &str); 2] = [("alice", "Alice"), ("bob", "Bob")];

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `api_key` is the key that the page sends with, made for this run.
pub fn router(state: AppState, api_key: String) -> Router {
    let session = move |state: State<AppState>| session(state, api_key.clone());
    Router::new()
        .route("/", get(|| file("index.html".into())))
        .route("/playground/session", get(session))
        .with_state(state)
}

/// For addresses that the API does not know: a file of the page, if there is one.
pub async fn fallback(method: Method, uri: Uri) -> Response {
    match method {
        Method::GET | Method::HEAD => file(uri.path().trim_start_matches('/').to_owned()).await,
        _ => api::not_found().await.into_response(),
    }
}

async fn file(path: String) -> Response {
    let Some(content) = Files::get(&path) else {
        return api::not_found().await.into_response();
    };
    let mut response = content.data.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(&path)));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "map" => "application/json",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

/// Tokens and a key for whoever sits at this machine: the door lets nobody else in.
async fn session(State(state): State<AppState>, api_key: String) -> Json<Value> {
    let users: Vec<Value> = USERS
        .iter()
        .filter_map(|(id, name)| {
            Some(json!({ "id": id, "name": name, "token": token(&state, id)? }))
        })
        .collect();
    Json(json!({ "users": users, "apiKey": api_key }))
}

/// A token for a day.
pub fn token(state: &AppState, user: &str) -> Option<String> {
    let now = state.clock.now();
    let expires = now.plus(Duration::from_secs(24 * 3600));
    let exp = u64::try_from(expires.as_millis() / 1000).ok()?;
    let claims = Claims::user(UserId::new(user).ok()?, exp).issued(now);
    sign(&claims, state.signing_secret.as_deref()?, &state.config.auth).ok()
}

/// Makes sure that the users are there with their names.
pub async fn prepare(state: &AppState) -> anyhow::Result<()> {
    for (id, name) in USERS {
        let user = User {
            id: UserId::new(id)?,
            name: Some(name.to_owned()),
            avatar_url: None,
            created_at: state.clock.now(),
        };
        state.store.put_user(user).await?;
    }
    Ok(())
}

/// The playground's API key: one per directory, kept beside its secret.
pub(crate) async fn key(state: &AppState, data_dir: &DataDir) -> anyhow::Result<String> {
    if let Some(key) = data_dir.dev_api_key() {
        let hash = tidings_core::api_key::hash_key(&key);
        if state.store.api_key(&hash).await?.is_some() {
            return Ok(key);
        }
    }
    let context = admin::Context {
        store: &*state.store,
        types: &state.types,
        clock: &*state.clock,
        limits: tidings_core::notification::DraftLimits::default(),
    };
    let scopes = tidings_core::api_key::Scope::ALL.to_vec();
    match admin::create_key(&context, "playground".to_owned(), scopes).await? {
        admin::Answer::Created { key, .. } => {
            data_dir.keep_dev_api_key(&key)?;
            Ok(key)
        }
        _ => anyhow::bail!("the playground's key was not made"),
    }
}
