//! Every connection is an open file.

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Database, log, sockets that come and go.
const OTHERS: u64 = 512;
/// Of those, connections that come while all others are taken: a request for the metrics, say.
const NEWCOMERS: u64 = 256;

/// Raises this process's limit of open files to the hard one, and refuses a capacity that it could
/// not hold. Gives how many sockets of clients there are files for.
pub(crate) fn raise_limit(connections: usize) -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let sockets = sockets(connections as u64, limit.maximum)?;
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
            .context("cannot raise the limit of open files")?;
    }
    Ok(sockets)
}

fn sockets(connections: u64, allowed: Option<u64>) -> anyhow::Result<usize> {
    let Some(allowed) = allowed else { return Ok(usize::MAX) };
    if connections.saturating_add(OTHERS) > allowed {
        bail!(
            "limits.connections is {connections}, but this process may open only {allowed} files; raise the limit (ulimit -n, LimitNOFILE=) or lower limits.connections"
        );
    }
    Ok(usize::try_from(allowed - OTHERS + NEWCOMERS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_for_sockets() {
        assert_eq!(sockets(10_000, None).unwrap(), usize::MAX);
        assert_eq!(sockets(10_000, Some(1_000_000)).unwrap(), 999_744);
        assert_eq!(sockets(10_000, Some(10_512)).unwrap(), 10_256);
        let problem = sockets(10_000, Some(10_511)).unwrap_err().to_string();
        assert!(problem.contains("limits.connections is 10000"), "{problem}");
        assert!(problem.contains("only 10511 files"), "{problem}");
    }
}
