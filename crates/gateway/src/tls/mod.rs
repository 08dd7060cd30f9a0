//! TLS (1.2 and 1.3) in front of HTTP. The certificate can be replaced while connections are open: whoever connects
//! from then on sees the new one.

mod identity;
mod turns;
mod validity;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use turns::Turns;

pub use identity::{Identity, IdentityError};

/// What a listener needs to speak TLS. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    turns: Turns,
    limits: TlsLimits,
}

#[derive(Debug, Clone, Copy)]
pub struct TlsLimits {
    /// Time for a whole handshake, also for the first byte of it.
    pub handshake_timeout: Duration,
    /// Handshakes that go on at the same time, a tenth of them from one address; others wait, within their time.
    pub handshakes: usize,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self { handshake_timeout: Duration::from_secs(10), handshakes: 1_000 }
    }
}

/// Why a TCP connection did not become a TLS one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the handshake took too long")]
    Timeout,
    #[error("the handshake failed: {0}")]
    Failed(io::Error),
}

impl Refused {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Failed(_) => "handshake",
        }
    }
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Tls {
    pub fn new(identity: Identity, limits: TlsLimits) -> Result<Self, IdentityError> {
        let current = Arc::new(Current(RwLock::new(identity.into_key())));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&TLS13, &TLS12])?
                .with_no_client_auth()
                .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Who comes back after a restart of the network resumes without a signature, and we keep nothing for it.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        // One is enough: nobody opens many connections from one.
        config.send_tls13_tickets = 1;
        Ok(Self(Arc::new(Inner {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
            turns: Turns::new(limits.handshakes),
            limits,
        })))
    }

    /// Shows this certificate from now on. Connections that are open stay as they are.
    pub fn replace(&self, identity: Identity) {
        *self.0.current.0.write() = identity.into_key();
    }

    pub(crate) async fn accept(&self, stream: TcpStream, peer: IpAddr) -> Result<Secured, Refused> {
        let handshake = async {
            // Who says nothing takes no turn from those who do. (`readable` may be ready without a reason.)
            stream.peek(&mut [0]).await?;
            let prepare = |connection: &mut ServerConnection| {
                connection.set_buffer_limit(Some(PENDING));
            };
            let handshake = self.0.acceptor.accept_with(stream, prepare);
            match self.0.turns.wait(peer, handshake).await {
                Ok(secured) => secured.map(Box::new),
                // Nobody ends the turns.
                Err(closed) => Err(io::Error::other(closed)),
            }
        };
        match timeout(self.0.limits.handshake_timeout, handshake).await {
            Ok(secured) => secured.map_err(Refused::Failed),
            Err(_) => Err(Refused::Timeout),
        }
    }
}

/// A TCP connection after its handshake.
pub(crate) type Secured = Box<TlsStream<TcpStream>>;

/// Bytes of one connection that may be encrypted and not yet taken by the kernel: two full records.
const PENDING: usize = 32 << 10;
