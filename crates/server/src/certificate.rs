//! The server's certificate: read from two files, and again when they change.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use parking_lot::Mutex;
use tidings_gateway::{Identity, Tls, TlsLimits};
use tokio::sync::Notify;

use crate::{config, metrics::Metrics};

/// No chain of certificates is nearly as large.
const MAX_FILE: u64 = 1 << 20;

/// What the listener shows, and where it comes from.
pub struct Certificate {
    tls: Tls,
    cert: PathBuf,
    key: PathBuf,
    /// The files as they were when they were last read.
    seen: Mutex<Option<Stamps>>,
    asked: AtomicBool,
    /// Somebody asked to read the files again.
    pub reload: Notify,
    metrics: Arc<Metrics>,
}

/// What changes when a file is written, or another one is put in its place.
type Stamp = (u64, i64, i64, u64);
type Stamps = (Stamp, Stamp);

impl Certificate {
    /// `None` where TLS is not asked for.
    pub fn load(config: &config::Tls, metrics: Arc<Metrics>) -> anyhow::Result<Option<Self>> {
        let (Some(cert), Some(key)) = (&config.cert, &config.key) else { return Ok(None) };
        let seen = stamps(cert, key);
        let identity = read(cert, key).map_err(anyhow::Error::msg)?;
        metrics.certificate_expires(identity.expires());
        let limits = TlsLimits {
            handshake_timeout: config.handshake_timeout,
            handshakes: config.handshakes,
        };
        Ok(Some(Self {
            tls: Tls::new(identity, limits).context("cannot prepare TLS")?,
            cert: cert.clone(),
            key: key.clone(),
            seen: Mutex::new(seen),
            asked: AtomicBool::new(false),
            reload: Notify::new(),
            metrics,
        }))
    }

    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Has the files read again soon, changed or not.
    pub fn ask_to_reload(&self) {
        self.asked.store(true, Ordering::Release);
        self.reload.notify_one();
    }

    /// Reads the files if they have changed or somebody asked for it. What cannot be used changes nothing: the
    /// certificate stays as it is. One file may be new and the other not yet: that is looked at when
    /// the other has changed too.
    pub fn refresh(&self) {
        let asked = self.asked.swap(false, Ordering::AcqRel);
        let mut seen = self.seen.lock();
        // Taken before reading: a change in between is seen the next time.
        let found = stamps(&self.cert, &self.key);
        if *seen == found && !asked {
            return;
        }
        *seen = found;
        match read(&self.cert, &self.key) {
            Ok(identity) => {
                tracing::info!(event = "tls.reloaded", expires = identity.expires());
                let expires = identity.expires();
                self.tls.replace(identity);
                self.metrics.certificate_reloaded(true);
                self.metrics.certificate_expires(expires);
            }
            Err(problem) => {
                tracing::error!(event = "tls.reload_failed", problem, "the old certificate stays");
                self.metrics.certificate_reloaded(false);
            }
        }
    }
}

/// Reads both files; says what is wrong with them, never what is in them.
pub fn read(cert: &Path, key: &Path) -> Result<Identity, String> {
    let (certificates, private) = (read_file(cert)?, read_file(key)?);
    Identity::from_pem(&certificates, &private)
        .map_err(|problem| format!("{}, {}: {problem}", cert.display(), key.display()))
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |problem| format!("cannot read {}: {problem}", path.display());
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

fn stamps(cert: &Path, key: &Path) -> Option<Stamps> {
    let stamp = |path| {
        // Of the file that a link leads to.
        let about = std::fs::metadata(path).ok()?;
        Some((about.ino(), about.mtime(), about.mtime_nsec(), about.len()))
    };
    Some((stamp(cert)?, stamp(key)?))
}
