//! Whose handshake goes on, and whose waits: so many in all, and of them a share for each address. Whoever starts
//! handshakes and leaves them keeps nobody waiting but itself.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// The part of all turns that one address may have.
const SHARE: usize = 10;

pub(super) struct Turns {
    all: Semaphore,
    share: usize,
    /// Addresses that have a turn or wait for one.
    by_address: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

impl Turns {
    pub(super) fn new(count: usize) -> Self {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            all: Semaphore::new(count),
            share: count.div_ceil(SHARE),
            by_address: Mutex::default(),
        }
    }

    /// Calls `work` when it is this address's turn, and gives the turn back with its end or its being dropped.
    pub(super) async fn wait<T>(
        &self,
        address: IpAddr,
        work: impl Future<Output = T>,
    ) -> Result<T, AcquireError> {
        let own = self.own(network(address));
        let _own = own.turns.acquire().await?;
        let _turn: SemaphorePermit<'_> = self.all.acquire().await?;
        Ok(work.await)
    }

    fn own(&self, address: IpAddr) -> Own<'_> {
        let mut known = self.by_address.lock();
        let turns = known.entry(address).or_insert_with(|| Arc::new(Semaphore::new(self.share)));
        Own { all: self, address, turns: turns.clone() }
    }
}

/// Forgets the address when it is the last to speak of it.
struct Own<'a> {
    all: &'a Turns,
    address: IpAddr,
    turns: Arc<Semaphore>,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let mut known = self.all.by_address.lock();
        // The map's and ours; more are only made under its lock.
        if Arc::strong_count(&self.turns) == 2 {
            known.remove(&self.address);
        }
    }
}

/// Whoever has an IPv6 address has all those of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let first = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(first))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn one_address_leaves_room_for_others_and_is_forgotten() {
        let turns = Turns::new(20);
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> =
            (0..3).map(|_| Box::pin(turns.wait(greedy, std::future::pending::<()>()))).collect();
        for wait in &mut held {
            assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(turns.all.available_permits(), 18, "two have their turn, the third waits");
        assert!(matches!(turns.wait(other, async { 7 }).await, Ok(7)));
        assert_eq!(turns.by_address.lock().len(), 1);
        drop(held);
        assert_eq!(turns.all.available_permits(), 20);
        assert!(turns.by_address.lock().is_empty());
    }

    #[test]
    fn addresses_of_one_owner_are_one() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    }
}
