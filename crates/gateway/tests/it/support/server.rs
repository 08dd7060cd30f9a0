use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tidings_gateway::{
    Admission, Builder, Config, EventStream, Gateway, PeerAddr, Tls, bind, serve,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::task::coop::{consume_budget, has_budget_remaining};

use super::{Call, Recorder};

/// Long times, so that only the test that is about one of them meets it.
pub fn config() -> Config {
    Config { connect_timeout: Duration::from_secs(60), ..Config::default() }
}

/// A gateway on a port of its own; it ends with the test's runtime.
pub struct Server {
    pub gateway: Gateway,
    pub address: SocketAddr,
    pub recorder: Arc<Recorder>,
    secure: bool,
    stop: Option<oneshot::Sender<()>>,
    pub served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        Self::build(config, |builder| builder)
    }

    /// As `with`, for plain clients too.
    pub fn plain(config: Config) -> Self {
        Self::plain_with(config, |builder| builder)
    }

    pub fn plain_with(config: Config, more: impl FnOnce(Builder) -> Builder) -> Self {
        let recorder = Recorder::new();
        Self::serving(recorder.clone(), config, None, |builder| more(builder.plain(recorder)))
    }

    /// As `plain_with`, over TLS.
    pub fn secure(config: Config, tls: Tls, more: impl FnOnce(Builder) -> Builder) -> Self {
        let recorder = Recorder::new();
        let config = Config { plain_path: Some("/ws".into()), ..config };
        Self::serving(recorder.clone(), config, Some(tls), |builder| more(builder.plain(recorder)))
    }

    /// Serves `/` and `/custom` with a [`Recorder`], and whatever `more` adds.
    pub fn build(config: Config, more: impl FnOnce(Builder) -> Builder) -> Self {
        Self::serving(Recorder::new(), config, None, more)
    }

    fn serving(
        recorder: Arc<Recorder>,
        config: Config,
        tls: Option<Tls>,
        more: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let builder = Gateway::builder(config)
            .namespace("/", recorder.clone())
            .namespace("/custom", recorder.clone());
        let gateway = more(builder).build();
        recorder.attach(&gateway);
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            // Dropping the sender leaves the server running until the runtime ends.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let opener = gateway.clone();
        let fallback = tower::service_fn(move |request: Request<Incoming>| {
            let greedy = request.uri().path() == "/greedy";
            let answer = fall_back(&opener, request);
            async move {
                // Takes all that the task may do in one turn.
                while greedy && has_budget_remaining() {
                    consume_budget().await;
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let secure = tls.is_some();
        let served = tokio::spawn(serve(listener, tls, gateway.clone(), fallback, shutdown));
        Self { gateway, address, recorder, secure, stop: Some(stop), served }
    }

    /// What a handler was called with next.
    pub async fn call(&self) -> Call {
        self.recorder.next().await
    }

    pub fn url(&self, query: &str) -> String {
        format!("{}/socket.io/?{query}", self.origin())
    }

    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub fn signal_stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).expect("still serving");
    }
}

/// What is behind `/large`: more than any buffer on the way takes.
pub fn large() -> Bytes {
    (0..1_000_000u32).flat_map(u32::to_be_bytes).collect()
}

/// What is not the gateway's own: `/stream` opens an event stream.
fn fall_back(
    gateway: &Gateway,
    request: Request<Incoming>,
) -> Response<Either<Full<Bytes>, EventStream>> {
    let (parts, _) = request.into_parts();
    let peer = parts.extensions.get::<PeerAddr>().map(|peer| peer.0);
    if parts.uri.path() == "/large" {
        return Response::new(Either::Left(Full::new(large())));
    }
    if parts.uri.path() != "/stream" {
        let text = format!("fallback {} {}", parts.uri.path(), peer.is_some());
        return Response::new(Either::Left(Full::new(Bytes::from(text))));
    }
    let ip = peer.expect("a peer").ip();
    match gateway.open_stream(&parts, Admission::new(ip)) {
        Some(stream) => Response::new(Either::Right(stream)),
        None => {
            let mut full = Response::new(Either::Left(Full::default()));
            *full.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            full
        }
    }
}
