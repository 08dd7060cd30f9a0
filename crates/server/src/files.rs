//! Every connection is an open file.

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Database, log, sockets that come and go.
const OTHERS: u64 = 512;
/// Connections that have not asked for anything yet: at most, and where files are few.
const HALF_OPEN: u64 = 4096;
const FEW_HALF_OPEN: u64 = 256;

/// Raises this process's limit of open files to the hard one, and refuses a capacity that it could
/// not hold. Gives how many connections there may be beside those that count.
pub(crate) fn raise_limit(connections: usize) -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let spare = spare(connections as u64, limit.maximum)?;
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
            .context("cannot raise the limit of open files")?;
    }
    Ok(spare)
}

fn spare(connections: u64, allowed: Option<u64>) -> anyhow::Result<usize> {
    let left = match allowed {
        None => u64::MAX,
        Some(allowed) => allowed.saturating_sub(connections.saturating_add(OTHERS)),
    };
    if let Some(allowed) = allowed.filter(|allowed| connections.saturating_add(OTHERS) > *allowed) {
        bail!(
            "limits.connections is {connections}, but this process may open only {allowed} files; raise the limit (ulimit -n, LimitNOFILE=) or lower limits.connections"
        );
    }
    // OTHERS covers the few.
    Ok(usize::try_from(left.clamp(FEW_HALF_OPEN, HALF_OPEN))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_for_those_who_have_not_asked_yet() {
        assert_eq!(spare(10_000, None).unwrap(), 4_096);
        assert_eq!(spare(10_000, Some(1_000_000)).unwrap(), 4_096);
        assert_eq!(spare(10_000, Some(12_000)).unwrap(), 1_488);
        assert_eq!(spare(10_000, Some(10_512)).unwrap(), 256);
        let problem = spare(10_000, Some(10_511)).unwrap_err().to_string();
        assert!(problem.contains("limits.connections is 10000"), "{problem}");
        assert!(problem.contains("only 10511 files"), "{problem}");
    }
}
