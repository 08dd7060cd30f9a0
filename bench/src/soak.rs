//! An hour of connects and disconnects: nothing may grow, and all memory comes back after they leave.

use std::time::{Duration, Instant};

use crate::{
    crowd::{Crowd, MOST},
    process::{Server, Stage},
};

/// How long a client that left may come back. Shorter than the default, so that a short run sees memory come back too.
const RECOVERY: Duration = Duration::from_secs(10);
/// Until jemalloc has given back what was freed, and clients that left are forgotten.
const SETTLE: Duration = Duration::from_secs(25);
/// Clients that stay all the time.
const STANDING: usize = 1_000;
/// The part of the run that comes first: until then memory may grow, as every user is seen for the first time.
const WARM_UP: f64 = 0.25;
const LINES: u32 = 40;
/// Connections before the first look: as many as fill the 16 MB of pages that the store's writer keeps.
const WARMING: f64 = 100_000.0;
/// What memory may grow by after the warm-up, and what may be left after all have gone: allocators and caches are not
/// exact.
const SLACK: f64 = 0.10;
const SLACK_BYTES: f64 = 8.0 * MEGABYTE;
const MEGABYTE: f64 = 1_048_576.0;

/// A look at the server.
struct Look {
    minutes: f64,
    connections: u64,
    rss: f64,
    files: usize,
}

pub async fn soak(stage: &Stage, connections: u64, minutes: f64) -> anyhow::Result<()> {
    let recovery = format!("{}s", RECOVERY.as_secs());
    let server = stage.tidings_with(&[("TIDINGS_GATEWAY__RECOVERY", &recovery)]).await?;
    let looks = run(&server, connections, minutes)?;
    server.stop().await?;
    let problems = judge(&looks);
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("; "));
    println!("\nNothing has grown, and all of it came back.");
    Ok(())
}

fn run(server: &Server, connections: u64, minutes: f64) -> anyhow::Result<Vec<Look>> {
    let rate = connections as f64 / (minutes * 60.0);
    println!(
        "{connections} connections in {minutes} minutes, {rate:.0} a second, by {MOST} users; {STANDING} others stay"
    );
    println!("minute   connections   MB of memory   open files");
    // Everybody comes and goes a few times: that fills the caches, which have bounds of their own (the store's pages,
    // users whose inboxes are known). What is looked for is what grows beside them.
    let mut standing = Crowd::named(server, false, "standing-{n}")?;
    standing.grow(STANDING)?;
    standing.pass(rate, WARMING / rate)?;
    standing.leave();
    standing.engine.idle(SETTLE)?;
    let mut looks = vec![look(server, 0.0, 0)?];
    standing.grow(STANDING)?;
    let (start, mut done) = (Instant::now(), 0);
    for line in 1..=LINES {
        let slice = minutes * 60.0 / f64::from(LINES);
        let tally = standing.pass(rate, slice)?;
        let failed = tally.churn.failures.sorted();
        if let Some((reason, count)) = failed.first() {
            anyhow::bail!("{count} clients did not get in in the {line}. part: {reason}");
        }
        done += tally.churn.connected.len();
        looks.push(look(server, start.elapsed().as_secs_f64() / 60.0, done)?);
    }
    anyhow::ensure!(standing.engine.members() == STANDING, "some of those who stayed were closed");
    standing.leave();
    standing.engine.idle(SETTLE)?;
    looks.push(look(server, start.elapsed().as_secs_f64() / 60.0, done)?);
    Ok(looks)
}

fn look(server: &Server, minutes: f64, connections: u64) -> anyhow::Result<Look> {
    let look = Look { minutes, connections, rss: server.rss()?, files: server.files()? };
    println!(
        "{:>6.1} {:>13} {:>14.1} {:>12}",
        look.minutes,
        look.connections,
        look.rss / MEGABYTE,
        look.files
    );
    Ok(look)
}

/// What has grown. The first look is before all, the last one after all.
fn judge(looks: &[Look]) -> Vec<String> {
    let ([first, during @ .., last], mut problems) = (looks, Vec::new()) else {
        return vec!["nothing was looked at".to_owned()];
    };
    let warm = (during.len() as f64 * WARM_UP).ceil() as usize;
    let (early, late) = during.split_at(warm.min(during.len()));
    let most = |looks: &[Look]| looks.iter().map(|look| look.rss).fold(0.0, f64::max);
    let mut bound = |what: &str, before: f64, after: f64| {
        let allowed = before * (1.0 + SLACK) + SLACK_BYTES;
        if after > allowed {
            let [before, after, allowed] = [before, after, allowed].map(|bytes| bytes / MEGABYTE);
            problems.push(format!("{what}: {after:.1} MB after {before:.1}, allowed {allowed:.1}"));
        }
    };
    bound("memory grew", most(early), most(late));
    bound("memory did not come back", first.rss, last.rss);
    if last.files > first.files + 8 {
        problems.push(format!("{} files are open after {}", last.files, first.files));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(megabytes: &[f64], files: usize) -> Vec<Look> {
        let look = |mb: &f64| Look { minutes: 0.0, connections: 0, rss: mb * MEGABYTE, files };
        megabytes.iter().map(look).collect()
    }

    #[test]
    fn what_grows_is_told() {
        assert_eq!(judge(&looks(&[20.0, 30.0, 40.0, 40.0, 41.0, 40.0, 25.0], 30)), [""; 0]);
        let grown = judge(&looks(&[20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 25.0], 30));
        assert_eq!(grown, ["memory grew: 70.0 MB after 40.0, allowed 52.0"]);
        let kept = judge(&looks(&[20.0, 40.0, 40.0, 40.0, 40.0, 40.0, 35.0], 30));
        assert_eq!(kept, ["memory did not come back: 35.0 MB after 20.0, allowed 30.0"]);
        let mut leaking = looks(&[20.0; 7], 30);
        leaking[6].files = 39;
        assert_eq!(judge(&leaking), ["39 files are open after 30"]);
    }
}
