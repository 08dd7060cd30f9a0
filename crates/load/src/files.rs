//! The limit of open files: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;

/// Raises the limit of this process so that `needed` files may be open.
pub fn raise_limit(needed: u64) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(allowed) = limit.maximum.filter(|maximum| *maximum < needed) {
        return Err(Error::Files { needed, allowed });
    }
    let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|problem| Error::Io(problem.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_does_not_allow_is_refused() {
        raise_limit(1).unwrap();
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let problem = raise_limit(u64::MAX - 1).unwrap_err().to_string();
            assert!(problem.contains("ulimit -Hn"), "{problem}");
        }
    }
}
