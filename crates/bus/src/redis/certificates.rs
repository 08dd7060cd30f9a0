//! TLS to Redis: whom we trust, and what we show of ourselves.

use std::{
    error::Error as _,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use redis::{ClientTlsConfig, ErrorKind, RedisError, RedisResult, TlsCertificates};

/// Files in PEM. They are read for each connection, so that renewed ones need no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Certificates {
    /// Authorities to trust instead of those of the system.
    pub(super) authorities: Option<PathBuf>,
    /// A certificate of ours and its key, for a Redis that asks for one.
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn read(&self) -> RedisResult<TlsCertificates> {
        let client_tls = match &self.own {
            Some((certificate, key)) => {
                let (client_cert, client_key) = (pem(certificate)?, pem(key)?);
                Some(ClientTlsConfig { client_cert, client_key })
            }
            None => None,
        };
        let root_cert = self.authorities.as_deref().map(pem).transpose()?;
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

fn pem(path: &Path) -> RedisResult<Vec<u8>> {
    let bad = |why: String| {
        let what = format!("{}: {why}", path.display());
        RedisError::from((ErrorKind::InvalidClientConfig, "a certificate cannot be used", what))
    };
    let bytes = fs::read(path).map_err(|problem| bad(problem.to_string()))?;
    match bytes.windows(10).any(|text| text == b"-----BEGIN") {
        true => Ok(bytes),
        false => Err(bad("there is nothing in PEM in it".to_owned())),
    }
}

/// Whether it is TLS that objects: time does not heal that. The driver hands on what the
/// connection said, and that wraps what TLS said.
pub(super) fn are_refused(problem: &RedisError) -> bool {
    type Shared = Arc<dyn std::error::Error + Send + Sync>;
    let shared = problem.source().and_then(|source| source.downcast_ref::<Shared>());
    let of_connection = shared.and_then(|shared| shared.downcast_ref::<io::Error>());
    let wrapped = of_connection.and_then(io::Error::get_ref);
    wrapped.is_some_and(|inner| inner.is::<rustls::Error>())
}
