//! Where PostgreSQL is installed.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Debian keeps the server's programs out of the PATH, one directory for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

pub(super) fn find(program: &str) -> PathBuf {
    let in_path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&in_path).collect::<Vec<_>>();
    // The server's own directory first: what is in the PATH may be a wrapper of it.
    debian()
        .into_iter()
        .chain(in_path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed: run scripts/setup"))
}

/// The newest version first.
fn debian() -> Vec<PathBuf> {
    let versions = Path::new(DEBIAN).read_dir().into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path.join("bin")).collect()
}
