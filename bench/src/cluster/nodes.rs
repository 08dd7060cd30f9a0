//! From one node to clients of the other.

use tidings_load::Pace;
use tidings_testkit::{postgres::Postgres, redis::Redis};

use super::Sizes;
use crate::{
    crowd::{Crowd, To, faults},
    gateway::{Grid, Measured},
    process::{Server, Stage},
};

pub async fn measure(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let mut columns = Vec::new();
    for rate in &sizes.rates {
        columns.push(format!("p50 at {rate}/s, ms"));
        columns.push(format!("p99 at {rate}/s, ms"));
    }
    columns.push("CPU µs each: the node that is asked".to_owned());
    columns.push("the node that delivers".to_owned());
    columns.push("Redis, CPU ms per 1,000 deliveries".to_owned());
    columns.push("to everybody on the other node, last p50, ms".to_owned());
    let title = format!("From one node to clients of the other, {} on each", sizes.connections);
    let mut grid = Grid::new(title, columns);
    grid.note(format!(
        "Events for one user each, posted at fixed times to the node that the user is not connected to; {} s a rate. CPU is that of the highest rate.",
        sizes.seconds
    ));
    grid.note("To everybody: for Tidings an announcement, stored for each user first; for the peer an event to all.");
    grid.note("All servers share one core, Redis the other with the generator.");
    let redis = Redis::start(&[]);
    let postgres =
        Postgres::start(&tidings_testkit::postgres::Settings { fsync: true, ..Default::default() });
    let database = postgres.database();
    let (redis_url, database_url) = (redis.url(), database.url());
    let variables = [
        ("TIDINGS_REDIS_URL", redis_url.as_str()),
        ("TIDINGS_DATABASE_URL", database_url.as_str()),
    ];
    let pair = [
        stage.tidings_in("node-a", &variables).await?,
        stage.tidings_in("node-b", &variables).await?,
    ];
    compare(&mut grid, pair, &redis, sizes).await?;
    let variables = [("REDIS_URL", redis_url.as_str())];
    if let (Some(a), Some(b)) =
        (stage.peer_in("peer-a", &variables).await?, stage.peer_in("peer-b", &variables).await?)
    {
        compare(&mut grid, [a, b], &redis, sizes).await?;
    }
    Ok(Measured::from(grid))
}

/// Seconds of processor time that Redis has used.
fn cpu(redis: &Redis) -> f64 {
    let info = redis.call(&["INFO", "CPU"]);
    let value = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_once(':')?.1.trim().parse::<f64>().ok()
    };
    value("used_cpu_sys:").unwrap_or(f64::NAN) + value("used_cpu_user:").unwrap_or(f64::NAN)
}

async fn compare(
    grid: &mut Grid,
    [asked, delivering]: [Server; 2],
    redis: &Redis,
    sizes: &Sizes,
) -> anyhow::Result<()> {
    // Those of the node that is asked are there, and hear nothing but announcements.
    let mut others = Crowd::named(&asked, false, "other-{n}")?;
    others.grow(sizes.connections)?;
    let mut crowd = Crowd::new(&delivering, false)?;
    crowd.grow(sizes.connections)?;
    crowd.post_to(&asked);
    crowd.send(&[(To::One, Pace::InFlight(4))], sizes.seconds / 2.0)?;
    let mut figures = Vec::new();
    let mut bill = [f64::NAN; 3];
    for rate in &sizes.rates {
        let before = [asked.cpu()?, delivering.cpu()?, cpu(redis)];
        let tally = crowd.send(&[(To::One, Pace::Rate(*rate))], sizes.seconds)?;
        let received = tally.unicast.bill.received as f64;
        let used = [asked.cpu()?, delivering.cpu()?, cpu(redis)];
        for (n, cell) in bill.iter_mut().enumerate() {
            *cell =
                used.get(n).zip(before.get(n)).map_or(f64::NAN, |(u, b)| (u - b) * 1e6 / received);
        }
        let latency = &tally.unicast.latency;
        figures.extend([latency.percentile(50.0), latency.percentile(99.0)]);
        grid.notes.extend(faults(&tally).map(|fault| format!("{}: {fault}", asked.name)));
    }
    figures.extend(bill);
    let tally = crowd.send(&[(To::Users, Pace::Rate(sizes.announcements))], sizes.seconds)?;
    figures.push(tally.broadcast.last.percentile(50.0));
    grid.notes.extend(faults(&tally).map(|fault| format!("{}, to everybody: {fault}", asked.name)));
    grid.row(asked.name, figures.into_iter().map(|figure| vec![figure]).collect());
    crowd.leave();
    others.leave();
    asked.stop().await?;
    delivering.stop().await
}
