//! Where the server is, and from which addresses it is called.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use crate::{Error, Tls};

/// Connections that one local address carries without trouble: half of its ports.
const PER_SOURCE: usize = 12_000;

/// A server, by its address.
#[derive(Debug, Clone)]
pub struct Target {
    /// As it is written in the `Host` header.
    pub host: String,
    pub address: SocketAddr,
    /// Where Socket.IO is served.
    pub path: String,
    pub namespace: String,
    /// None: it is spoken to in the clear.
    pub tls: Option<Tls>,
}

impl Target {
    /// Reads `http://HOST[:PORT]` or `https://…` and looks the host up. Certificates in PEM are trusted beside those of
    /// the system.
    pub fn parse(url: &str, authority: Option<&[u8]>) -> Result<Self, Error> {
        let bad = |problem: &str| Error::Url { url: url.to_owned(), problem: problem.to_owned() };
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(bad("it begins with http://, such as http://127.0.0.1:3001"));
        };
        let secure = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(bad("it begins with http:// or https://")),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(bad("leave the path out; --path says where Socket.IO is served"));
        }
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
            return Err(bad("it is http://HOST:PORT"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if secure { 443 } else { 80 };
        let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let mut found = address.to_socket_addrs().map_err(|problem| bad(&problem.to_string()))?;
        let address = found.next().ok_or_else(|| bad("this name has no address"))?;
        let tls = secure.then(|| Tls::new(name_of(host), authority)).transpose();
        let tls = tls.map_err(|problem| bad(&problem))?;
        Ok(Self { tls, ..Self::at(address, host) })
    }

    /// A server whose address is known.
    pub fn at(address: SocketAddr, host: impl Into<String>) -> Self {
        let (path, namespace) = ("/socket.io/".to_owned(), "/".to_owned());
        Self { host: host.into(), address, path, namespace, tls: None }
    }

    pub fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Local addresses for so many connections. A connection needs a port, of which an address
    /// has about 28,000; on loopback Linux lets us call from all of 127.0.0.0/8. None: as the
    /// system likes.
    pub fn sources(&self, connections: usize) -> Vec<IpAddr> {
        let many = cfg!(target_os = "linux") && connections > PER_SOURCE;
        if !many || !self.is_loopback() || !self.address.is_ipv4() {
            return Vec::new();
        }
        let count = u8::try_from(connections.div_ceil(PER_SOURCE)).unwrap_or(u8::MAX).min(200);
        (1..=count).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).collect()
    }
}

/// Without port and brackets.
fn name_of(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, Error> {
        Target::parse(url, None)
    }

    #[test]
    fn an_authority_that_is_none_is_explained() {
        let problem = Target::parse("https://127.0.0.1:1", Some(b"nonsense")).unwrap_err();
        assert!(problem.to_string().contains("no certificate"), "{problem}");
    }

    #[test]
    fn a_certificate_is_for_the_name_alone() {
        let names = ["localhost:1", "localhost", "[::1]:1", "[::1]"].map(name_of);
        assert_eq!(names, ["localhost", "localhost", "::1", "::1"]);
    }

    #[test]
    fn addresses_are_read() {
        let target = parse("http://127.0.0.1:3001/").unwrap();
        assert_eq!(target.address, "127.0.0.1:3001".parse().unwrap());
        assert!(target.is_loopback());
        assert!(target.tls.is_none());
        assert_eq!(parse("http://127.0.0.1").unwrap().address.port(), 80);
        let target = parse("https://127.0.0.1").unwrap();
        assert_eq!((target.address.port(), target.tls.is_some()), (443, true));
        assert!(parse("wss://[::1]:9").unwrap().tls.is_some());
        assert_eq!(parse("ws://[::1]:9").unwrap().address, "[::1]:9".parse().unwrap());
    }

    #[test]
    fn what_is_no_address_is_explained() {
        let hints = [
            ("127.0.0.1:3001", "begins with http://"),
            ("ftp://127.0.0.1:3001", "begins with http://"),
            ("http://127.0.0.1:3001/chat", "--path"),
            ("http://", "HOST:PORT"),
            ("http://user@host", "HOST:PORT"),
        ];
        for (url, hint) in hints {
            let problem = parse(url).unwrap_err().to_string();
            assert!(problem.contains(hint) && problem.contains(url), "{problem}");
        }
    }

    #[test]
    fn many_connections_on_loopback_come_from_several_addresses() {
        let target = parse("http://127.0.0.1:1").unwrap();
        assert_eq!(target.sources(1_000), Vec::<IpAddr>::new());
        assert_eq!(target.sources(30_000).len(), 3);
        assert_eq!(parse("http://192.0.2.1:1").unwrap().sources(30_000).len(), 0);
    }
}
