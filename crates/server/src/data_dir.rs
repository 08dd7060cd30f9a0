//! The data directory: one process at a time, and (in `--dev`) a secret of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};
use tidings_core::registry::Incarnation;

/// Marks a directory that `--dev` made: its secret is not for production.
const DEV_SECRET: &str = "dev-secret";
const DEV_API_KEY: &str = "dev-api-key";
const LOCK: &str = "tidings.lock";
const LAST_RUN: &str = "last-run";
const ADMIN_SOCKET: &str = "admin.sock";

/// A data directory that this process holds. Dropping it lets go.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be and takes its lock. Fails with the pid of the holder
    /// if another process has it.
    pub fn lock(path: &Path) -> anyhow::Result<Self> {
        // Everybody's notifications lie here: nobody else needs to look. A directory that was
        // there before keeps the permissions that somebody gave it.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let file = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&file)
            .with_context(|| format!("cannot open {}", file.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            lock.read_to_string(&mut pid).ok();
            bail!(
                "the data directory {} is in use by process {}; stop it first, or choose another with --data-dir",
                path.display(),
                if pid.trim().is_empty() { "unknown" } else { pid.trim() }
            );
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn admin_socket(&self) -> PathBuf {
        admin_socket(&self.path)
    }
}

/// Where a running server listens for the command line.
pub fn admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join(ADMIN_SOCKET)
}

/// Whether `--dev` made this directory.
pub fn is_dev(data_dir: &Path) -> bool {
    data_dir.join(DEV_SECRET).exists()
}

/// The directory's own secret, made on the first call.
pub fn dev_secret(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join(DEV_SECRET);
    match fs::read_to_string(&path) {
        Ok(secret) if secret.trim().len() >= crate::config::MIN_SECRET => {
            return Ok(secret.trim().to_owned());
        }
        // Cut off while it was written: nothing can be signed with it.
        Ok(_) | Err(_) => {}
    }
    let secret = crate::secret::random_hex::<32>();
    write_secret(&path, &secret)?;
    Ok(secret)
}

/// Writes a secret that only the owner may read.
fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "{secret}")?;
    Ok(file.sync_all()?)
}

impl DataDir {
    /// The playground's API key, if there is one.
    pub fn dev_api_key(&self) -> Option<String> {
        let key = fs::read_to_string(self.path.join(DEV_API_KEY)).ok()?;
        Some(key.trim().to_owned())
    }

    pub fn keep_dev_api_key(&self, key: &str) -> anyhow::Result<()> {
        write_secret(&self.path.join(DEV_API_KEY), key)
    }
}

impl DataDir {
    /// The last run of this node among others. It is over, since we hold the directory.
    pub fn last_run(&self) -> Option<Incarnation> {
        let text = fs::read_to_string(self.path.join(LAST_RUN)).ok()?;
        text.trim().parse().ok().map(Incarnation)
    }

    pub fn keep_run(&self, run: Option<Incarnation>) -> anyhow::Result<()> {
        let Some(run) = run else { return Ok(()) };
        let path = self.path.join(LAST_RUN);
        // Lost, it costs the next start some seconds of waiting.
        fs::write(&path, format!("{run}\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
