//! TLS from the configuration to the wire, and certificates that are renewed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::json;
use tempfile::TempDir;
use tidings_testkit::{Authority, Issued};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{Answer, Api, Client, TestServer, Tidings, eventually, fresh, within};

/// Files of a certificate, and the authority that made it.
pub struct Files {
    authority: Authority,
    pub cert: PathBuf,
    pub key: PathBuf,
    _dir: TempDir,
}

impl Files {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let files = Self { authority: Authority::new(), cert, key, _dir: dir };
        files.put(&files.authority.issue(2090));
        files
    }

    fn put(&self, issued: &Issued) {
        replace(&self.key, &issued.key);
        replace(&self.cert, &issued.certificate);
    }

    async fn server(&self) -> TestServer {
        TestServer::with(|config| {
            config.node_id = Some("a".into());
            config.tls.cert = Some(self.cert.clone());
            config.tls.key = Some(self.key.clone());
            config.tls.watch = Duration::from_millis(10);
        })
        .await
    }

    async fn connect(&self, server: &TestServer) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = within(TcpStream::connect(server.address)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }

    /// The certificate that somebody who connects now is shown.
    async fn shown(&self, server: &TestServer) -> Vec<u8> {
        let stream = self.connect(server).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    fn api(&self, address: std::net::SocketAddr, token: Option<String>) -> Api {
        let own = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([own]).build().unwrap();
        Api { http, origin: format!("https://{address}"), prefix: "/api/v1", token }
    }

    pub async fn metrics(&self, server: &TestServer) -> String {
        let api = self.api(server.address, None);
        Answer::of(api.http.get(format!("{}/metrics", api.origin))).await.text
    }

    async fn metric(&self, server: &TestServer, series: &str) -> Option<f64> {
        let page = self.metrics(server).await;
        let value = page.lines().find_map(|line| line.strip_prefix(series))?;
        Some(value.trim().parse().unwrap())
    }
}

/// As those do it who renew certificates: never half a file.
fn replace(path: &Path, content: &str) {
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, content).unwrap();
    fs::rename(&unfinished, path).unwrap();
}

const EXPIRY: &str = "tidings_tls_certificate_expiry_seconds{server_id=\"a\"}";
const OK: &str = "tidings_tls_certificate_reloads_total{server_id=\"a\",result=\"ok\"}";
const FAILED: &str = "tidings_tls_certificate_reloads_total{server_id=\"a\",result=\"failed\"}";
/// The end of June 2090 and 2091.
const ENDS: [f64; 2] = [3_802_464_000.0, 3_834_000_000.0];

#[tokio::test]
async fn a_notification_goes_by_https_and_arrives_by_wss() {
    let files = Files::new();
    let server = files.server().await;
    let stream = files.connect(&server).await;
    let mut alice = Client::over(stream).await;
    alice.join(json!({ "token": server.token("alice") })).await;
    alice.wait("notifications:pending").await;
    let api = files.api(server.address, Some(server.key.clone()));
    api.notify("alice", "in secret").await;
    assert_eq!(within(alice.wait("notification")).await["message"], "in secret");
    // In the clear nothing is said.
    let clear = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/health", server.address);
    within(clear.get(url).send()).await.unwrap_err();
    let refused = "tidings_tls_handshakes_refused_total{server_id=\"a\",reason=\"handshake\"}";
    eventually(|| async { files.metric(&server, refused).await == Some(1.0) }).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_nobody_is_disconnected() {
    let files = Files::new();
    let server = files.server().await;
    let mut alice = Client::over(files.connect(&server).await).await;
    alice.join(json!({ "token": server.token("alice") })).await;
    alice.wait("notifications:pending").await;
    let old = files.shown(&server).await;
    assert_eq!(files.metric(&server, EXPIRY).await, Some(ENDS[0]));

    // What cannot be used changes nothing.
    fs::write(&files.cert, "no certificate").unwrap();
    eventually(|| async { files.metric(&server, FAILED).await.is_some_and(|n| n >= 1.0) }).await;
    assert_eq!(files.shown(&server).await, old);
    assert_eq!(files.metric(&server, EXPIRY).await, Some(ENDS[0]));

    files.put(&files.authority.issue(2091));
    eventually(|| async { files.metric(&server, EXPIRY).await == Some(ENDS[1]) }).await;
    assert_ne!(files.shown(&server).await, old);
    assert!(files.metric(&server, OK).await >= Some(1.0));
    files.api(server.address, Some(server.key.clone())).notify("alice", "still here").await;
    assert_eq!(within(alice.wait("notification")).await["message"], "still here");
}

#[tokio::test]
async fn a_key_of_another_certificate_changes_nothing() {
    let files = Files::new();
    let server = files.server().await;
    let old = files.shown(&server).await;
    replace(&files.key, &files.authority.issue(2091).key);
    eventually(|| async { files.metric(&server, FAILED).await == Some(1.0) }).await;
    assert_eq!(files.shown(&server).await, old);
    assert_eq!(files.metric(&server, OK).await, None);
}

#[tokio::test]
async fn the_binary_serves_https_and_reloads_on_sighup() {
    let files = Files::new();
    let (_dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.args(["serve", "--port", "0"]);
    command.env("TIDINGS_TLS__CERT", &files.cert).env("TIDINGS_TLS__KEY", &files.key);
    command.env("TIDINGS_TLS__WATCH", "1h").env("TIDINGS_NODE_ID", "a");
    let server = Tidings::spawn(command).await;
    let api = files.api(server.address, None);
    let expiry = async || {
        let page = Answer::of(api.http.get(format!("{}/metrics", api.origin))).await.text;
        let value = page.lines().find_map(|line| line.strip_prefix(EXPIRY));
        value.and_then(|value| value.trim().parse().ok())
    };
    assert_eq!(expiry().await, Some(ENDS[0]));
    files.put(&files.authority.issue(2091));
    server.signal(rustix::process::Signal::HUP);
    eventually(|| async { expiry().await == Some(ENDS[1]) }).await;
    server.terminate();
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| line.contains("tls.reloaded")), "{log:?}");
}

#[tokio::test]
async fn check_says_what_is_wrong_with_the_files() {
    let files = Files::new();
    let (dir, path) = fresh();
    let check = async |cert: &Path, key: Option<&Path>| {
        let mut command = Tidings::command(&path);
        command.env("TIDINGS_TLS__CERT", cert).args(["config", "check"]);
        key.iter().for_each(|key| {
            command.env("TIDINGS_TLS__KEY", key);
        });
        command.output().await.unwrap()
    };
    let fine = check(&files.cert, Some(&files.key)).await;
    assert_eq!(Tidings::printed(&fine), "The configuration is valid.");

    let said = Tidings::complained(&check(&files.cert, None).await);
    assert!(said.contains("set both"), "{said}");
    let missing = dir.path().join("missing.pem");
    let said = Tidings::complained(&check(&missing, Some(&files.key)).await);
    assert!(said.contains("missing.pem"), "{said}");
    let said = Tidings::complained(&check(&files.key, Some(&files.key)).await);
    assert!(said.contains("no certificate"), "{said}");
    let said = Tidings::complained(&check(&files.cert, Some(&files.cert)).await);
    assert!(said.contains("no private key"), "{said}");
    let other = dir.path().join("other.pem");
    fs::write(&other, files.authority.issue(2090).key).unwrap();
    let said = Tidings::complained(&check(&files.cert, Some(&other)).await);
    assert!(said.contains("does not belong"), "{said}");

    files.put(&files.authority.issue(2020));
    let old = Tidings::printed(&check(&files.cert, Some(&files.key)).await);
    assert!(old.contains("is valid") && old.contains("has expired"), "{old}");

    let mut dev = Tidings::command(&path);
    dev.env("TIDINGS_TLS__CERT", &files.cert).env("TIDINGS_TLS__KEY", &files.key);
    let said = Tidings::complained(&dev.args(["serve", "--dev"]).output().await.unwrap());
    assert!(said.contains("plain HTTP"), "{said}");
}

#[tokio::test]
async fn the_load_generator_speaks_tls_to_whom_it_trusts() {
    let files = Files::new();
    let server = files.server().await;
    let (dir, path) = fresh();
    let authority = dir.path().join("authority.pem");
    fs::write(&authority, files.authority.pem()).unwrap();
    let bench = async |trusted: Option<&Path>| {
        let mut command = Tidings::command(&path);
        command.args(["bench", "unicast", "-n", "5", "--rate", "40", "--duration", "500ms"]);
        command.args(["--json", "--url", &format!("https://{}", server.address)]);
        trusted.iter().for_each(|file| {
            command.arg("--ca").arg(file);
        });
        within(command.env("TIDINGS_API_KEY", &server.key).output()).await.unwrap()
    };
    let report: serde_json::Value =
        serde_json::from_str(&Tidings::printed(&bench(Some(&authority)).await)).unwrap();
    assert_eq!(report["connections"]["connected"], 5, "{report}");
    let unicast = ["sent", "received", "lost", "doubled"].map(|count| &report["unicast"][count]);
    assert_eq!(unicast, [&json!(20), &json!(20), &json!(0), &json!(0)], "{report}");
    let said = Tidings::complained(&bench(None).await);
    assert!(said.contains("certificate"), "{said}");
}
