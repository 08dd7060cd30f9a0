use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

/// How a server of others answers.
#[derive(Debug, Clone)]
pub enum Says {
    /// 200 with this.
    Json(Value),
    /// 200 with a body that is no JSON, or anything else.
    Raw(String),
    Status(u16),
    /// As a bucket that took an object.
    Stored,
    Redirect(String),
    /// Nothing, ever.
    Nothing,
    /// As [`Json`](Self::Json), once the test lets it.
    Later(Value),
}

/// A question as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// A server of the application's, on this machine.
#[derive(Clone)]
pub struct Answering {
    pub address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    release: watch::Sender<bool>,
}

impl Answering {
    pub async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            says: Arc::new(Mutex::new(says)),
            asked: Arc::default(),
            release: watch::Sender::new(false),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/ask", self.address)
    }

    pub fn say(&self, says: Says) {
        *self.says.lock().expect("no test panics with it") = says;
    }

    /// Lets those answer who were told to do so later.
    pub fn release(&self) {
        self.release.send_replace(true);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with it").clone()
    }

    pub fn count(&self) -> usize {
        self.asked().len()
    }
}

async fn answer(State(server): State<Answering>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let path = parts.uri.path().to_owned();
    let asked = Asked { path, headers: parts.headers, body: body.to_vec() };
    server.asked.lock().expect("no test panics with it").push(asked);
    let says = server.says.lock().expect("no test panics with it").clone();
    match says {
        Says::Json(value) => axum::Json(value).into_response(),
        Says::Raw(text) => text.into_response(),
        Says::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Says::Stored => [(header::ETAG, "\"1\"")].into_response(),
        Says::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Says::Nothing => {
            // Longer than any test.
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::OK.into_response()
        }
        Says::Later(value) => {
            let mut released = server.release.subscribe();
            let _ = released.wait_for(|released| *released).await;
            axum::Json(value).into_response()
        }
    }
}
