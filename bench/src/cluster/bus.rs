//! The bus alone: whether many subscriptions of a node make it slower.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tidings_bus::redis::{Redis, RedisBus, Settings};
use tidings_core::{
    ids::{NodeId, Rev, UserId},
    inbox::{ChangeKind, InboxChange},
    ports::{Bus as _, BusSink},
    room::RoomSignal,
    signal::NodeSignal,
    time::Timestamp,
};

use super::Sizes;
use crate::gateway::{Grid, Measured};

const RATE: u64 = 2_000;
const MESSAGES: u64 = 6_000;
/// Longest that the last may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// When each change came.
struct Times {
    begun: Instant,
    came: Mutex<Vec<(u64, Duration)>>,
}

impl Times {
    fn came(&self) -> MutexGuard<'_, Vec<(u64, Duration)>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BusSink for Times {
    fn receive(&self, change: Arc<InboxChange>) {
        self.came().push((change.rev.0, self.begun.elapsed()));
    }

    fn receive_room(&self, _: Arc<RoomSignal>) {}

    fn receive_signal(&self, _: Arc<NodeSignal>) -> u64 {
        0
    }

    fn missed(&self) {}
}

pub async fn measure(sizes: &Sizes) -> anyhow::Result<Measured> {
    let columns = ["subscribing took, s", "p50, ms", "p99, ms", "lost"].map(str::to_owned).to_vec();
    let mut grid = Grid::new("The bus alone, by subscriptions of the node that listens", columns);
    grid.note(format!(
        "{MESSAGES} changes of random users among them, {RATE} a second, from one node's end of the bus to the other's, both in the generator's process."
    ));
    for count in sizes.subscriptions.iter().rev() {
        let figures = with(*count).await?;
        grid.row(&format!("{count} users"), figures.into_iter().map(|one| vec![one]).collect());
    }
    Ok(Measured::from(grid))
}

async fn end(settings: &Settings, name: &str, sink: Arc<Times>) -> anyhow::Result<RedisBus> {
    let redis = Redis::connect(settings.clone()).await?;
    let bus = RedisBus::start(redis, NodeId::new(name)?, sink);
    while !bus.health().connected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(bus)
}

async fn with(count: usize) -> anyhow::Result<[f64; 4]> {
    let server = tidings_testkit::redis::Redis::start(&[]);
    let settings = Settings::new(server.url().parse()?);
    let times = Arc::new(Times { begun: Instant::now(), came: Mutex::default() });
    let (speaks, listens) = (
        end(&settings, "a", Arc::clone(&times)).await?,
        end(&settings, "b", Arc::clone(&times)).await?,
    );
    let users: Vec<UserId> =
        (0..count).map(|n| UserId::new(format!("user-{n}"))).collect::<Result<_, _>>()?;
    let began = Instant::now();
    for some in users.chunks(1_000) {
        let subscriptions = some.iter().map(|user| listens.subscribe(user));
        for confirmed in futures_util::future::join_all(subscriptions).await {
            confirmed?;
        }
    }
    let took = began.elapsed().as_secs_f64();
    let mut due = Vec::new();
    let start = Instant::now();
    for n in 1..=MESSAGES {
        let at = start + Duration::from_micros(n * 1_000_000 / RATE);
        tokio::time::sleep_until(at.into()).await;
        due.push(times.begun.elapsed());
        let user = users.get(rand::random_range(0..users.len())).cloned();
        let Some(user) = user else { continue };
        let kind = ChangeKind::Removed(Vec::new());
        let change = InboxChange { user, rev: Rev(n), unread: 0, at: Timestamp::EPOCH, kind };
        speaks.publish(&[Arc::new(change)]).await?;
    }
    let all = async {
        while times.came().len() < due.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // What did not come by then is counted as lost.
    let _ = tokio::time::timeout(PATIENCE, all).await;
    let came = std::mem::take(&mut *times.came());
    let mut latencies: Vec<f64> = came
        .iter()
        .filter_map(|(rev, at)| {
            let due = due.get(usize::try_from(*rev).ok()?.checked_sub(1)?)?;
            Some(at.saturating_sub(*due).as_secs_f64() * 1e3)
        })
        .collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let percentile = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies.get(place.min(latencies.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    let lost = MESSAGES as f64 - latencies.len() as f64;
    Ok([took, percentile(0.5), percentile(0.99), lost])
}
