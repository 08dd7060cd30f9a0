//! How many connections an address may open, at once and each second.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{config::Limits, limiter::Limiters};

/// Counts the connections of each address.
pub struct AddressLimits {
    addresses: Arc<Addresses>,
    attempts: Limiters,
    most: usize,
}

/// Why an address may not open one more connection now.
pub struct TooMany {
    pub message: &'static str,
    /// Seconds.
    pub retry_after: u64,
}

#[derive(Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One connection of an address; given back when dropped.
pub struct Slot {
    addresses: Arc<Addresses>,
    ip: IpAddr,
}

impl AddressLimits {
    pub fn new(limits: &Limits) -> Self {
        Self {
            addresses: Arc::default(),
            attempts: Limiters::new(limits.connects_per_ip, Duration::from_secs(1)),
            most: limits.connections_per_ip,
        }
    }

    /// A place for one more connection. This machine itself needs none: proxies and tests live
    /// here.
    pub fn take(&self, ip: IpAddr) -> Result<Option<Slot>, TooMany> {
        if ip.is_loopback() {
            return Ok(None);
        }
        let ip = subscriber(ip);
        let attempt = self.attempts.bucket(&ip.to_string());
        if let Some(Err(wait)) = attempt.map(|bucket| bucket.take()) {
            let retry_after = wait.as_secs() + 1;
            return Err(TooMany { message: "Too many connection attempts", retry_after });
        }
        let slot = self.addresses.take(ip, self.most);
        let message = "Too many connections from this address";
        slot.map(Some).ok_or(TooMany { message, retry_after: 30 })
    }
}

impl Addresses {
    fn take(self: &Arc<Self>, ip: IpAddr, most: usize) -> Option<Slot> {
        let mut counts = self.0.lock();
        let count = counts.entry(ip).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Slot { addresses: Arc::clone(self), ip })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

/// Who an address belongs to: with IPv6 a subscriber has a whole /64 (RFC 6177).
pub(crate) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
    }
}
