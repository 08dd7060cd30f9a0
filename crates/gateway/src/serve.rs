//! The listener: its own accept loop, and hyper on each connection until a WebSocket takes it over.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::{Service, ServiceExt as _};

use crate::config::Config;
use crate::engine::{Stream, Takeover};
use crate::gateway::Gateway;
use crate::gather::Gather;
use crate::half_open::{HalfOpen, Newcomer, Serving};
use crate::tls::Tls;

/// Connections the kernel queues for us; a burst that overflows it is retried only after a second.
const BACKLOG: i32 = 4096;
/// How long to wait when there are no file descriptors left, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Who is on the other end of the connection; an extension of every request given to the fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What is known of a connection that was accepted.
struct Client {
    peer: SocketAddr,
    serving: Serving,
    stopping: watch::Receiver<()>,
}

/// Listens on `address` with a backlog fit for a storm of reconnects.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `shutdown` ends, then finishes the requests in flight; over TLS, if that is given. Requests under the
/// gateway's path go to it, all others to `fallback`. WebSockets are not waited for: see [`Gateway::close_all`].
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: Option<Tls>,
    gateway: Gateway,
    fallback: S,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    prepare(&listener, gateway.config())?;
    let (stop, stopping) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    let mut back_off = BACK_OFF.0;
    let mut half_open = HalfOpen::new(gateway.config().half_open, gateway.config().sockets);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                back_off = BACK_OFF.0;
                let (gateway, fallback) = (gateway.clone(), fallback.clone());
                let (serving, crowded) = half_open.enter();
                if crowded {
                    gateway.0.metrics.half_open_cut();
                }
                let client = Client { peer, serving, stopping: stopping.clone() };
                match &tls {
                    None => tokio::spawn(connection(stream, client, gateway, fallback)),
                    Some(tls) => {
                        tokio::spawn(secure(tls.clone(), stream, client, gateway, fallback))
                    }
                };
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // No file descriptors, no memory: accepting again at once would only spin.
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
    drop(listener);
    drop(stopping);
    // Sending can only fail when nobody is left to wait for.
    let _ = stop.send(());
    stop.closed().await;
    Ok(())
}

/// Options that accepted sockets inherit, which saves system calls for each.
fn prepare(listener: &TcpListener, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    // A peer that has vanished without a word is given up when it would be by ping.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.ping_interval + config.ping_timeout))?;
    Ok(())
}

/// The connection was gone before we got to it.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Speaks HTTP once the client has proven that it speaks TLS.
async fn secure<S, B>(
    tls: Tls,
    stream: TcpStream,
    mut client: Client,
    gateway: Gateway,
    fallback: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // In a box of its own: what a handshake needs is not kept by the connection.
    let handshake = Box::pin(tls.accept(stream, client.peer.ip()));
    let newcomer = client.serving.newcomer().clone();
    let accepted = tokio::select! {
        biased;
        accepted = handshake => accepted,
        _ = client.stopping.changed() => return,
        () = poll_fn(|cx| newcomer.poll_cut(cx)) => return,
    };
    match accepted {
        Ok(stream) => connection(stream, client, gateway, fallback).await,
        Err(refused) => {
            tracing::debug!(%refused, "connection ended");
            gateway.0.metrics.tls_refused(refused.reason());
        }
    }
}

async fn connection<T, S, B>(stream: T, client: Client, gateway: Gateway, fallback: S)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + Into<Stream> + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let config = gateway.config();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
        .max_buf_size(config.max_header_bytes.max(8192));
    let Client { peer, serving, mut stopping } = client;
    let newcomer = serving.newcomer();
    let asker = Asker { peer, newcomer, gateway: &gateway, taken: Mutex::new(None) };
    let asking = &asker;
    let service = service_fn(move |request: Request<Incoming>| {
        newcomer.asks();
        let fallback = fallback.clone();
        async move { Ok::<_, Infallible>(asking.answer(request, fallback).await) }
    });
    let stream = Gather::new(stream);
    let http = http.serve_connection(TokioIo::new(stream.clone()), service);
    let mut served = pin!(http.with_upgrades());
    let stop = async {
        // An error is the sender's end, which comes after the same news.
        let _ = stopping.changed().await;
    };
    let mut stop = pin!(stop);
    let mut stopped = false;
    let outcome = poll_fn(|cx| {
        if !stopped && stop.as_mut().poll(cx).is_ready() {
            stopped = true;
            served.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = served.as_mut().poll(cx) {
            return Poll::Ready(ended.map_err(io::Error::other));
        }
        match stream.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => newcomer.poll_cut(cx).map(Ok),
        }
    });
    if let Err(error) = outcome.await {
        tracing::debug!(%error, "connection ended");
    }
    if let Some(takeover) = asker.taken.lock().take() {
        return takeover.begin::<T>();
    }
    // What was answered before something went wrong.
    poll_fn(|cx| match stream.poll_send(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => newcomer.poll_cut(cx),
    })
    .await;
}

/// Who sends requests on one connection.
struct Asker<'a> {
    peer: SocketAddr,
    newcomer: &'a Newcomer,
    gateway: &'a Gateway,
    /// Set by an answer that is the last one.
    taken: Mutex<Option<Takeover>>,
}

impl Asker<'_> {
    async fn answer<S, B>(
        &self,
        request: Request<Incoming>,
        fallback: S,
    ) -> Response<Either<crate::Body, B>>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    {
        let (parts, body) = request.into_parts();
        let ours = self.gateway.serves_request(&parts);
        let mut request = Request::from_parts(parts, body);
        if ours {
            let (response, takeover) = self.gateway.handle(request, self.peer).await;
            *self.taken.lock() = takeover;
            return response.map(Either::Left);
        }
        request.extensions_mut().insert(PeerAddr(self.peer));
        request.extensions_mut().insert(self.newcomer.cut.clone());
        match fallback.oneshot(request).await {
            Ok(response) => response.map(Either::Right),
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_inherit_their_options() {
        let listener = bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let config = Config::default();
        prepare(&listener, &config).expect("set");
        let address = listener.local_addr().expect("an address");
        let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.expect("accepted");
        assert!(stream.nodelay().expect("known"));
        #[cfg(target_os = "linux")]
        assert_eq!(
            SockRef::from(&stream).tcp_user_timeout().expect("known"),
            Some(config.ping_interval + config.ping_timeout)
        );
        drop(connected);
    }
}
