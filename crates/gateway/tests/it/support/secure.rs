use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tidings_gateway::{Builder, Config, Identity, Tls, TlsLimits};
use tidings_testkit::Authority;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Server, within};

/// Which versions a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V12,
    V13,
    Both,
}

/// A server that speaks TLS, and an authority that its clients know.
pub struct Secure {
    pub server: Server,
    pub tls: Tls,
    pub authority: Authority,
}

impl Secure {
    pub fn start() -> Self {
        Self::with(super::config(), TlsLimits::default(), |builder| builder)
    }

    pub fn with(config: Config, limits: TlsLimits, more: impl FnOnce(Builder) -> Builder) -> Self {
        let authority = Authority::new();
        let tls = Tls::new(identity(&authority, 2090), limits).expect("TLS");
        Self { server: Server::secure(config, tls.clone(), more), tls, authority }
    }

    pub fn issue(&self, year: i32) -> Identity {
        identity(&self.authority, year)
    }

    pub async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_as(Version::Both).await.expect("a handshake")
    }

    pub async fn connect_as(&self, version: Version) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = within(TcpStream::connect(self.server.address)).await.expect("a listener");
        self.shake_hands(stream, version, &[b"http/1.1"]).await
    }

    pub async fn shake_hands(
        &self,
        stream: TcpStream,
        version: Version,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = self.client(version);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = Resumption::disabled();
        shake_hands(stream, config.into()).await
    }

    /// A client that knows the authority.
    pub fn client(&self, version: Version) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).expect("PEM");
        roots.add(own).expect("a root");
        let versions = match version {
            Version::V12 => &[&TLS12][..],
            Version::V13 => &[&TLS13],
            Version::Both => &[&TLS13, &TLS12],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// An HTTP client that knows the authority.
    pub fn http(&self) -> reqwest::Client {
        let own = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).expect("PEM");
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([own]);
        builder.build().expect("a client")
    }
}

pub async fn shake_hands(
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    within(TlsConnector::from(config).connect(name, stream)).await
}

fn identity(authority: &Authority, year: i32) -> Identity {
    let issued = authority.issue(year);
    Identity::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes()).expect("an identity")
}

/// The certificate that the server has shown.
pub fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().expect("shown")[0].to_vec()
}
