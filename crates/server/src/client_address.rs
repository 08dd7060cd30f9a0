//! Whose address a request comes from: the peer's, unless the peer is a proxy that we trust.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// An address range in CIDR notation, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    prefix: u32,
}

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let prefix: u32 = prefix.parse().map_err(|_| "has a prefix that is no number")?;
                (address, Some(prefix))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "is not an IP address or network")?;
        let (width, shift) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = prefix.unwrap_or(width);
        if prefix > width {
            return Err("has a prefix longer than its address");
        }
        Ok(Self { base: bits(address), prefix: prefix + shift })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let mask = match self.prefix {
            0 => 0,
            n => u128::MAX << (128 - n),
        };
        bits(address) & mask == self.base & mask
    }
}

/// IPv4 addresses count as their IPv6-mapped form, so that both spellings are one address.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The client's address. Walks `X-Forwarded-For` from its end, over every proxy that is
/// trusted: what stands before the first stranger was written by the stranger.
pub fn client_ip(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut client = peer.ip().to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for entry in forwarded.iter().rev() {
        let Ok(ip) = entry.trim().parse::<IpAddr>() else { break };
        client = ip.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip_of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<_> = trusted.iter().map(|t| Network::parse(t).unwrap()).collect();
        client_ip(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(ip_of("9.9.9.9:1", &["1.1.1.1"], &[]), "9.9.9.9");
        assert_eq!(ip_of("10.0.0.1:1", &["1.1.1.1"], &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(ip_of("[::ffff:10.0.0.1]:1", &["1.1.1.1"], &["10.0.0.0/8"]), "1.1.1.1");
    }

    #[test]
    fn what_a_stranger_wrote_is_not_believed() {
        let forged = ["6.6.6.6, 2.2.2.2", "10.0.0.7"];
        assert_eq!(ip_of("10.0.0.1:1", &forged, &["10.0.0.0/8"]), "2.2.2.2");
        assert_eq!(ip_of("10.0.0.1:1", &["nonsense"], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn networks_are_read_strictly() {
        assert!(Network::parse("10.0.0.0/33").is_err());
        assert!(Network::parse("host").is_err());
        assert!(Network::parse("::/0").unwrap().contains("1.2.3.4".parse().unwrap()));
    }
}
