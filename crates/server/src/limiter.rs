//! How often somebody may do something: the generic cell rate algorithm (GCRA), in one word
//! of memory.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// So many in any period, refilled evenly.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    limit: u32,
    /// In milliseconds.
    period: u32,
}

impl Rate {
    pub fn new(limit: u32, period: Duration) -> Self {
        let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
        Self { limit: limit.max(1), period }
    }

    pub fn per_minute(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    fn period(self) -> u64 {
        u64::from(self.period) * 1_000_000
    }

    /// Nanoseconds that one message takes to refill.
    fn cost(self) -> u64 {
        self.period() / u64::from(self.limit)
    }
}

/// A bucket that refills at a rate which others know: connections have several of these, and there are many connections.
#[derive(Debug, Default)]
pub struct Level {
    /// Nanoseconds since [`START`] at which the bucket is full again.
    full_at: AtomicU64,
}

/// A bucket that knows its rate.
#[derive(Debug)]
pub struct Bucket {
    level: Level,
    rate: Rate,
}

impl Bucket {
    pub fn new(limit: u32, period: Duration) -> Self {
        Self { level: Level::default(), rate: Rate::new(limit, period) }
    }

    /// Takes one, or says how long until there is one.
    pub fn take(&self) -> Result<(), Duration> {
        self.level.take(self.rate)
    }

    /// How many could be taken now.
    pub fn remaining(&self) -> u64 {
        let used = self.level.full_at.load(Ordering::Relaxed).saturating_sub(now());
        self.rate.period().saturating_sub(used) / self.rate.cost().max(1)
    }
}

fn now() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Level {
    /// Takes one, or says how long until there is one.
    pub fn take(&self, rate: Rate) -> Result<(), Duration> {
        self.take_at(rate, now())
    }

    fn take_at(&self, rate: Rate, now: u64) -> Result<(), Duration> {
        let (cost, period) = (rate.cost(), rate.period());
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let next = full_at.max(now) + cost;
            let ahead = next - now;
            if ahead > period {
                return Err(Duration::from_nanos(ahead - period));
            }
            match self.full_at.compare_exchange_weak(
                full_at,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(current) => full_at = current,
            }
        }
    }
}

/// A bucket for each key. Keys that are not used for a while are forgotten: their buckets are
/// full again by then.
pub struct Limiters {
    buckets: moka::sync::Cache<String, std::sync::Arc<Bucket>>,
    limit: u32,
    period: Duration,
}

/// Keys that are remembered at most.
const MAX_KEYS: u64 = 100_000;

impl Limiters {
    pub fn new(limit: u32, period: Duration) -> Self {
        let buckets =
            moka::sync::Cache::builder().max_capacity(MAX_KEYS).time_to_idle(period * 2).build();
        Self { buckets, limit, period }
    }

    /// The bucket of a key; `None` if there is no limit.
    pub fn bucket(&self, key: &str) -> Option<std::sync::Arc<Bucket>> {
        if self.limit == 0 {
            return None;
        }
        let make = || std::sync::Arc::new(Bucket::new(self.limit, self.period));
        Some(self.buckets.get_with_by_ref(key, make))
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_gives_its_limit_and_then_one_at_a_time() {
        let (bucket, rate) = (Level::default(), Rate::per_minute(100));
        let second = 1_000_000_000;
        assert!((0..100).all(|_| bucket.take_at(rate, second).is_ok()));
        assert_eq!(bucket.take_at(rate, second), Err(Duration::from_millis(600)));
        assert!(bucket.take_at(rate, second + 600_000_000).is_ok());
        assert!(bucket.take_at(rate, second + 600_000_000).is_err());
    }
}
