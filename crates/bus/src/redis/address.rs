//! Where Redis is, and in what shape: `redis://…`, `redis+sentinel://…` or `redis+cluster://…`.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo,
};

use super::{certificates::Certificates, channel::Names};

const DEFAULT_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// In what shape it is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployment {
    Standalone(Server),
    Sentinel { sentinels: Vec<Server>, master: String },
    Cluster { seeds: Vec<Server> },
}

/// Who we are there. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
struct Credentials {
    username: Option<String>,
    password: Option<String>,
}

/// A URL that was understood.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub deployment: Deployment,
    tls: bool,
    certificates: Certificates,
    database: i64,
    credentials: Credentials,
    /// Sentinels may want others.
    sentinel_credentials: Credentials,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(String);

fn bad(why: &str) -> BadAddress {
    BadAddress(why.to_owned())
}

/// Without what is secret in it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let list = |servers: &[Server]| {
            servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        match &self.deployment {
            Deployment::Standalone(server) => write!(f, "redis{tls}://{server}/{}", self.database),
            Deployment::Sentinel { sentinels, master } => {
                write!(f, "redis{tls}+sentinel://{}/{master}/{}", list(sentinels), self.database)
            }
            Deployment::Cluster { seeds } => write!(f, "redis{tls}+cluster://{}", list(seeds)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    /// `redis[s][+sentinel|+cluster]://[user:password@]host[:port][,host…][/…]`; behind the hosts
    /// the number of a database, and before it, for Sentinel, the name of the master. Sentinels
    /// that want a password of their own have it in `?sentinel_password=` (and `sentinel_username`).
    /// With TLS, `?ca=FILE` is whom to trust, and `cert=FILE&key=FILE` what is shown of us.
    fn from_str(url: &str) -> Result<Self, BadAddress> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            bad("must begin with redis://, redis+sentinel:// or redis+cluster:// (rediss… for TLS)")
        })?;
        let (base, shape) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match base {
            "redis" => false,
            "rediss" => true,
            _ => return Err(bad("must begin with redis:// or rediss://")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (before, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = hosts.split_once('/').unwrap_or((hosts, ""));
        let (user, password) = before.split_once(':').unwrap_or((before, ""));
        let credentials = Credentials { username: decoded(user)?, password: decoded(password)? };
        let options = Options::read(query)?;
        let certificates = options.certificates()?;
        if !(tls || certificates.is_empty()) {
            return Err(bad("names certificates: it must begin with rediss"));
        }
        let (deployment, path) = match shape {
            "" => (Deployment::Standalone(one(servers(hosts, DEFAULT_PORT)?)?), path),
            "sentinel" => {
                let (master, path) = path.split_once('/').unwrap_or((path, ""));
                let master = decoded(master)?.ok_or_else(|| {
                    bad("must name the master behind the Sentinels: redis+sentinel://host1,host2/mymaster")
                })?;
                let sentinels = servers(hosts, SENTINEL_PORT)?;
                (Deployment::Sentinel { sentinels, master }, path)
            }
            "cluster" => (Deployment::Cluster { seeds: servers(hosts, DEFAULT_PORT)? }, path),
            _ => return Err(bad("knows +sentinel and +cluster")),
        };
        let database = match path {
            "" => 0,
            number => {
                number.parse().map_err(|_| bad("has a path that is no number of a database"))?
            }
        };
        if database != 0 && matches!(deployment, Deployment::Cluster { .. }) {
            return Err(bad("names a database, and a Cluster has only one"));
        }
        let sentinel_credentials = options.sentinel;
        Ok(Self { deployment, tls, certificates, database, credentials, sentinel_credentials })
    }
}

/// What stands behind the question mark.
#[derive(Default)]
struct Options {
    sentinel: Credentials,
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Options {
    fn read(query: &str) -> Result<Self, BadAddress> {
        let mut options = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let option = match name {
                "sentinel_password" => &mut options.sentinel.password,
                "sentinel_username" => &mut options.sentinel.username,
                "ca" => &mut options.authorities,
                "cert" => &mut options.certificate,
                "key" => &mut options.key,
                _ => {
                    let known = "sentinel_username, sentinel_password, ca, cert and key";
                    return Err(bad(&format!("has an option that is none of {known}")));
                }
            };
            *option = decoded(text)?;
        }
        Ok(options)
    }

    fn certificates(&self) -> Result<Certificates, BadAddress> {
        let own = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err(bad("has one of cert and key; they belong together")),
        };
        Ok(Certificates { authorities: self.authorities.as_ref().map(Into::into), own })
    }
}

fn one(mut servers: Vec<Server>) -> Result<Server, BadAddress> {
    match servers.len() {
        1 => servers.pop().ok_or_else(|| bad("names no host")),
        _ => Err(bad("names several hosts; say redis+sentinel:// or redis+cluster://")),
    }
}

fn servers(hosts: &str, default_port: u16) -> Result<Vec<Server>, BadAddress> {
    hosts.split(',').map(|host| server(host, default_port)).collect()
}

fn server(text: &str, default_port: u16) -> Result<Server, BadAddress> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| bad("has a [ without ]"))?;
            (host, port.strip_prefix(':'))
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(bad("names no host"));
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| bad("has a port that is no number"))?,
        None => default_port,
    };
    Ok(Server { host: host.to_owned(), port })
}

fn decoded(text: &str) -> Result<Option<String>, BadAddress> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = percent_decode_str(text).decode_utf8().map_err(|_| bad("is not UTF-8"))?;
    Ok(Some(text.into_owned()))
}

impl Address {
    pub fn is_cluster(&self) -> bool {
        matches!(self.deployment, Deployment::Cluster { .. })
    }

    /// How what lies there is called.
    pub(super) fn names(&self, prefix: &str) -> Names {
        Names::new(prefix, self.is_cluster(), self.database)
    }

    /// Read anew, if some are named.
    pub(super) fn certificates(&self) -> redis::RedisResult<Option<redis::TlsCertificates>> {
        (!self.certificates.is_empty()).then(|| self.certificates.read()).transpose()
    }

    /// How to connect to one of the servers.
    pub(super) fn of_server(&self, server: &Server) -> redis::RedisResult<ConnectionInfo> {
        self.connection(server, &self.credentials, self.database)
    }

    pub(super) fn of_sentinel(&self, server: &Server) -> redis::RedisResult<ConnectionInfo> {
        self.connection(server, &self.sentinel_credentials, 0)
    }

    fn connection(
        &self,
        server: &Server,
        credentials: &Credentials,
        database: i64,
    ) -> redis::RedisResult<ConnectionInfo> {
        let (host, port) = (server.host.clone(), server.port);
        let addr = match self.tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(database)
            .set_lib_name("tidings", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &credentials.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &credentials.password {
            settings = settings.set_password(password);
        }
        Ok(addr.into_connection_info()?.set_redis_settings(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        url.parse().unwrap()
    }

    #[test]
    fn three_shapes_are_understood_and_shown_without_secrets() {
        let shown = [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://:p%40ss@[::1]:7000/2", "redis://[::1]:7000/2"),
            ("rediss://me:secret@redis.example", "rediss://redis.example:6379/0"),
            (
                "redis+sentinel://:secret@a,b:26380/main/1?sentinel_password=other",
                "redis+sentinel://a:26379,b:26380/main/1",
            ),
            ("rediss+cluster://:secret@a:1,b:2", "rediss+cluster://a:1,b:2"),
        ];
        for (url, expected) in shown {
            let address = parsed(url);
            assert_eq!(address.to_string(), expected);
            assert!(!format!("{address:?}").contains("secret"));
        }
        assert_eq!(parsed("redis://:p%40ss@x").credentials.password.as_deref(), Some("p@ss"));
        let with_files = parsed("rediss://a?ca=%2Fca.pem&cert=/c.pem&key=/k.pem").certificates;
        assert_eq!(with_files.authorities.as_deref(), Some("/ca.pem".as_ref()));
        assert_eq!(with_files.own, Some(("/c.pem".into(), "/k.pem".into())));
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        let bad = [
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://a,b",
            "redis://a:x",
            "redis://a/x",
            "redis+sentinel://a",
            "redis+cluster://a/1",
            "redis+ring://a",
            "redis://a?x=1",
            "redis://a?ca=/ca.pem",
            "rediss://a?cert=/c.pem",
        ];
        for url in bad {
            assert!(url.parse::<Address>().is_err(), "{url}");
        }
    }
}
