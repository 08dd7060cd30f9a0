//! What TLS costs beside plain TCP: the same gateway on one thread, once with and once without, in turns.
//!
//! ```text
//! cargo run --release -p tidings-gateway --example tls_cost -- --members 1000
//! ```
//!
//! Counted is the processor time of the server's thread alone; clients have a thread of their own.

#![allow(clippy::print_stdout, reason = "it is there to print")]

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use http_body_util::Empty;
use rustix::time::{ClockId, clock_gettime};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::value::RawValue;
use tidings_gateway::{
    ConnectError, Event, Frame, Gateway, Identity, Namespace, Socket, Target, Tls, TlsLimits, bind,
    serve,
};
use tidings_testkit::Authority;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

#[derive(Parser)]
struct Args {
    /// Clients.
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// Broadcasts of each measurement.
    #[arg(long, default_value_t = 400)]
    broadcasts: usize,
    /// Bytes of an event.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Measurements of each kind; the median is printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

struct Quiet;

#[async_trait]
impl Namespace for Quiet {
    async fn connect(&self, _: &Arc<Socket>, _: Option<Box<RawValue>>) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn event(&self, _: &Arc<Socket>, _: Event) {}
}

/// Microseconds of one thing.
#[derive(Default)]
struct Costs {
    connect: Vec<f64>,
    one: Vec<f64>,
    eight: Vec<f64>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (mut plain, mut secure) = (Costs::default(), Costs::default());
    for _ in 0..args.rounds {
        measure(&args, false, &mut plain)?;
        measure(&args, true, &mut secure)?;
    }
    println!("{} clients, events of {} bytes, medians of {}", args.members, args.size, args.rounds);
    println!("| | plain | TLS 1.3 | ratio |\n| --- | ---: | ---: | ---: |");
    let row = |name: &str, plain: &mut Vec<f64>, secure: &mut Vec<f64>| {
        let (plain, secure) = (median(plain), median(secure));
        println!("| {name} | {plain:.2} | {secure:.2} | {:.2} |", secure / plain);
    };
    row("CPU µs per delivery, one broadcast at a time", &mut plain.one, &mut secure.one);
    row("… eight in flight", &mut plain.eight, &mut secure.eight);
    row("CPU µs per connection, full handshakes", &mut plain.connect, &mut secure.connect);
    Ok(())
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One server and its clients. This thread is the server.
fn measure(args: &Args, over_tls: bool, costs: &mut Costs) -> anyhow::Result<()> {
    let server = runtime::Builder::new_current_thread().enable_all().build()?;
    let clients =
        Arc::new(runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?);
    let authority = Authority::new();
    let issued = authority.issue(2090);
    let connector = over_tls.then(|| connector(&authority)).transpose()?;
    let gateway = Gateway::builder(tidings_gateway::Config {
        max_connections: args.members * 2,
        ..Default::default()
    })
    .namespace("/", Arc::new(Quiet))
    .build();
    server.block_on(async {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let nothing = tower::service_fn(|_: Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let tls = over_tls.then(|| {
            let identity =
                Identity::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes())?;
            Tls::new(identity, TlsLimits::default())
        });
        let serving =
            tokio::spawn(serve(listener, tls.transpose()?, gateway.clone(), nothing, pending()));
        let board = Arc::new(Board::default());
        let started = cpu();
        for _ in 0..args.members {
            let (connector, board) = (connector.clone(), board.clone());
            clients.spawn(async move { client(address, connector, &board).await });
        }
        while gateway.socket_count("/") < args.members {
            ensure!(!board.failed(), "a client failed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        costs.connect.push(micros(started) / args.members as f64);
        // Until the greetings have arrived everywhere.
        board.reached(args.members).await?;
        costs.one.push(broadcasts(args, &gateway, &board, 1).await?);
        costs.eight.push(broadcasts(args, &gateway, &board, 8).await?);
        serving.abort();
        anyhow::Ok(())
    })?;
    let clients = Arc::into_inner(clients).context("somebody still uses the runtime")?;
    Runtime::shutdown_background(clients);
    Ok(())
}

/// Processor time per delivery, with so many broadcasts on their way.
async fn broadcasts(
    args: &Args,
    gateway: &Gateway,
    board: &Board,
    abreast: usize,
) -> anyhow::Result<f64> {
    let start = board.received.load(Ordering::Acquire);
    let started = cpu();
    let text = format!("\"{}\"", "x".repeat(args.size));
    for n in 0..args.broadcasts {
        gateway.to("/", Target::all()).emit(&Frame::event("n", &[&text]));
        let behind = (n + 1).saturating_sub(abreast - 1);
        board.reached(start + behind * args.members).await?;
    }
    board.reached(start + args.broadcasts * args.members).await?;
    Ok(micros(started) / (args.broadcasts * args.members) as f64)
}

/// Frames that clients have received, all together.
#[derive(Default)]
struct Board {
    received: AtomicUsize,
    wanted: AtomicUsize,
    failures: AtomicUsize,
    done: Notify,
}

impl Board {
    fn add(&self, count: usize) {
        let now = self.received.fetch_add(count, Ordering::AcqRel) + count;
        if now >= self.wanted.load(Ordering::Acquire) {
            self.done.notify_one();
        }
    }

    fn failed(&self) -> bool {
        self.failures.load(Ordering::Acquire) > 0
    }

    async fn reached(&self, count: usize) -> anyhow::Result<()> {
        self.wanted.store(count, Ordering::Release);
        while self.received.load(Ordering::Acquire) < count {
            ensure!(!self.failed(), "a client failed");
            // Looked at again in any case: the last frame may have come before it was wanted.
            let _ = tokio::time::timeout(Duration::from_millis(50), self.done.notified()).await;
        }
        Ok(())
    }
}

async fn client(address: SocketAddr, connector: Option<TlsConnector>, board: &Board) {
    let worked = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match connector {
            None => read(stream, board).await,
            Some(connector) => {
                let name = ServerName::try_from("localhost")?;
                read(connector.connect(name, stream).await?, board).await
            }
        }
    };
    if let Err(problem) = worked.await {
        println!("{problem:#}");
        board.failures.fetch_add(1, Ordering::AcqRel);
    }
}

/// Connects to `/` and counts frames.
async fn read(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    board: &Board,
) -> anyhow::Result<()> {
    let hello = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\x00\x00\x00\x0040";
    stream.write_all(hello).await?;
    stream.flush().await?;
    let mut buffer = vec![0; 16 << 10];
    let mut frames = Frames::default();
    let mut greeted = false;
    loop {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "closed");
        for frame in frames.take(&buffer[..count]) {
            // The answer to CONNECT, then events; what comes before it is not counted.
            greeted |= frame.starts_with(b"40");
            match frame.first() {
                Some(b'2') => {
                    stream.write_all(b"\x81\x81\x00\x00\x00\x003").await?;
                    stream.flush().await?;
                }
                _ if greeted => board.add(1),
                _ => {}
            }
        }
    }
}

/// Cuts what was read into frames, after the head of the HTTP answer.
#[derive(Default)]
struct Frames {
    waiting: Vec<u8>,
    upgraded: bool,
}

impl Frames {
    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.waiting.extend_from_slice(bytes);
        let mut at = 0;
        if !self.upgraded {
            let Some(end) = self.waiting.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Vec::new();
            };
            self.upgraded = true;
            at = end + 4;
        }
        let mut frames = Vec::new();
        while let Some(&[_, length, ..]) = self.waiting.get(at..) {
            let (head, length) = match (length, self.waiting.get(at + 2..at + 4)) {
                (126, Some(&[high, low])) => (4, usize::from(high) << 8 | usize::from(low)),
                (126, _) => break,
                (length, _) => (2, usize::from(length)),
            };
            let Some(frame) = self.waiting.get(at + head..at + head + length) else { break };
            frames.push(frame.to_vec());
            at += head + length;
        }
        self.waiting.drain(..at);
        frames
    }
}

fn connector(authority: &Authority) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Processor time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn micros(since: Duration) -> f64 {
    (cpu() - since).as_secs_f64() * 1e6
}
