//! Serves what the public protocol suites of the Socket.IO project expect:
//!
//! ```text
//! cargo run -p tidings-gateway --example conformance -- --port 3000 --ping-interval 300 --ping-timeout 200
//! cargo run -p tidings-gateway --example conformance -- --port 3000 --ping-interval 300 --ping-timeout 200 \
//!     --path /engine.io/ --engine
//! ```

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clap::Parser;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use serde_json::value::RawValue;
use tidings_gateway::{
    ConnectError, Engine, Event, Frame, Gateway, Message, Namespace, Session, Socket, bind, serve,
};

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Milliseconds.
    #[arg(long, default_value_t = 300)]
    ping_interval: u64,
    /// Milliseconds.
    #[arg(long, default_value_t = 200)]
    ping_timeout: u64,
    #[arg(long, default_value = "/socket.io/")]
    path: String,
    /// Echo messages on bare Engine.IO.
    #[arg(long)]
    engine: bool,
}

/// Echoes, and tells a client with what it authenticated.
struct Echo;

#[async_trait]
impl Namespace for Echo {
    async fn connect(
        &self,
        socket: &Arc<Socket>,
        auth: Option<Box<RawValue>>,
    ) -> Result<(), ConnectError> {
        let auth = auth.map_or_else(|| "{}".to_owned(), |auth| auth.get().to_owned());
        socket.set_data(Arc::new(auth));
        Ok(())
    }

    async fn connected(&self, socket: &Arc<Socket>) {
        let auth = socket.data::<String>().unwrap_or_default();
        let _ = socket.emit(&Frame::event("auth", &[&auth]));
    }

    async fn event(&self, socket: &Arc<Socket>, event: Event) {
        let args: Vec<&str> = event.args.iter().map(|arg| arg.get()).collect();
        match (&*event.name, event.ack) {
            ("message", _) => {
                let frame =
                    Frame::event("message-back", &args).with_attachments(&event.attachments);
                let _ = socket.emit(&frame);
            }
            ("message-with-ack", Some(ack)) => {
                let _ = ack.send_with(&format!("[{}]", args.join(",")), &event.attachments);
            }
            _ => {}
        }
    }
}

impl Engine for Echo {
    fn message(&self, session: &Arc<Session>, message: Message) {
        let _ = match message {
            Message::Text(text) => session.send_text(&text),
            Message::Binary(bytes) => session.send_binary(&bytes),
        };
    }
}

/// On one thread: the suites rely on two requests, sent one after the other on two connections, being handled in
/// that order, as their single-threaded reference does.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let config = tidings_gateway::Config {
        path: args.path,
        ping_interval: Duration::from_millis(args.ping_interval),
        ping_timeout: Duration::from_millis(args.ping_timeout),
        connect_timeout: Duration::from_secs(1),
        ..Default::default()
    };
    let builder = Gateway::builder(config);
    let gateway = match args.engine {
        true => builder.engine(Arc::new(Echo)),
        false => builder.namespace("/", Arc::new(Echo)).namespace("/custom", Arc::new(Echo)),
    }
    .build();
    let not_found = tower::service_fn(|_: Request<hyper::body::Incoming>| async {
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, Infallible>(response)
    });
    // The suites say "localhost", which may be either.
    let address = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 0], args.port));
    serve(bind(address)?, None, gateway, not_found, std::future::pending()).await?;
    Ok(())
}
