//! Where the database is: a `postgres://` URL as libpq takes it, with its TLS settings.

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Host, SslMode};

/// Why a URL cannot be used. Never holds a part of the URL: there may be a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("it must begin with postgres:// or postgresql://")]
    Scheme,
    #[error("it names no host")]
    NoHost,
    #[error("sslmode must be disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    #[error("it is not a PostgreSQL URL: {0}")]
    Malformed(String),
}

/// How far the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    Nothing,
    /// Signed by an authority that is trusted.
    Authority,
    /// And made out to the host that was asked for.
    Full,
}

/// Where certificates of authorities come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Those of the operating system.
    System,
    File(PathBuf),
}

/// A parsed URL. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) verify: Verify,
    pub(crate) roots: Roots,
}

impl FromStr for Address {
    type Err = BadAddress;

    /// `sslmode` and `sslrootcert` are read here, as libpq means them: the driver knows only
    /// the modes that check nothing.
    fn from_str(url: &str) -> Result<Self, BadAddress> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(BadAddress::Scheme);
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => roots = Some(decode(value)?),
                _ => rest.push(pair),
            }
        }
        let mut config: tokio_postgres::Config = format!("{base}?{}", rest.join("&"))
            .parse()
            .map_err(|error| BadAddress::Malformed(reason(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(BadAddress::NoHost);
        }
        let (mode, mut verify) = match mode.unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Verify::Nothing),
            "prefer" => (SslMode::Prefer, Verify::Nothing),
            "require" => (SslMode::Require, Verify::Nothing),
            "verify-ca" => (SslMode::Require, Verify::Authority),
            "verify-full" => (SslMode::Require, Verify::Full),
            _ => return Err(BadAddress::SslMode),
        };
        // As libpq has it: whoever names an authority and requires TLS wants it checked.
        if mode == SslMode::Require && verify == Verify::Nothing && roots.is_some() {
            verify = Verify::Authority;
        }
        config.ssl_mode(mode);
        let roots = match roots {
            None => Roots::System,
            Some(path) if path == "system" => Roots::System,
            Some(path) => Roots::File(path.into()),
        };
        Ok(Self { config, verify, roots })
    }
}

impl Address {
    /// Several hosts: one of them is the primary, which one may change.
    pub(crate) fn has_many_hosts(&self) -> bool {
        self.config.get_hosts().len() > 1
    }

    /// The same database server, another database; for tests and tools.
    pub fn database(&self) -> Option<&str> {
        self.config.get_dbname()
    }
}

/// `user@host:port/database`, for messages and logs.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.config.get_user().unwrap_or("?");
        write!(f, "{user}@")?;
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            let ports = self.config.get_ports();
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            let comma = if n > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or(user))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn decode(value: &str) -> Result<String, BadAddress> {
    let decoded = percent_decode_str(value).decode_utf8();
    decoded.map(Into::into).map_err(|error| BadAddress::Malformed(error.to_string()))
}

/// What the driver says is wrong, which names settings but quotes no values.
fn reason(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, BadAddress> {
        url.parse()
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let address = parse("postgres://tidings:s3cret@db.example:5433/news?sslmode=disable");
        let address = address.unwrap();
        assert_eq!(address.to_string(), "tidings@db.example:5433/news");
        assert!(!format!("{address:?}").contains("s3cret"));
        let two = parse("postgresql://t@a,b:6000/news").unwrap();
        assert!(two.has_many_hosts());
    }

    #[test]
    fn tls_settings_mean_what_libpq_means() {
        for (query, mode, verify, roots) in [
            ("", SslMode::Prefer, Verify::Nothing, Roots::System),
            ("?sslmode=disable", SslMode::Disable, Verify::Nothing, Roots::System),
            ("?sslmode=require", SslMode::Require, Verify::Nothing, Roots::System),
            (
                "?sslmode=require&sslrootcert=%2Fca.pem",
                SslMode::Require,
                Verify::Authority,
                Roots::File("/ca.pem".into()),
            ),
            (
                "?sslmode=verify-full&sslrootcert=system",
                SslMode::Require,
                Verify::Full,
                Roots::System,
            ),
            (
                "?connect_timeout=3&sslmode=verify-ca",
                SslMode::Require,
                Verify::Authority,
                Roots::System,
            ),
        ] {
            let address = parse(&format!("postgres://t@db/news{query}")).unwrap();
            assert_eq!(address.config.get_ssl_mode(), mode, "{query}");
            assert_eq!((address.verify, address.roots), (verify, roots), "{query}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_a_secret() {
        assert_eq!(parse("mysql://t@db/x"), Err(BadAddress::Scheme));
        assert_eq!(parse("postgres:///news"), Err(BadAddress::NoHost));
        assert_eq!(parse("postgres://t@db/news?sslmode=maybe"), Err(BadAddress::SslMode));
        for url in ["postgres://t:s3cret@db:port/news", "postgres://t:s3cret@db/news?what=s3cret"] {
            let bad = parse(url).unwrap_err().to_string();
            assert!(!bad.contains("s3cret"), "{bad}");
        }
    }
}
