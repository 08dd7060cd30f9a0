//! A certificate with its key.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::validity::valid_until;

/// A certificate, those that lead to a known authority, and the private key: checked to belong together.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    expires: i64,
}

/// Why a certificate and a key cannot be used. Tells nothing of what is in them.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the certificate file has no certificate in PEM")]
    NoCertificate,
    #[error("the certificate cannot be read")]
    Certificate,
    #[error("the key file has no private key in PEM")]
    NoKey,
    #[error("the key does not belong to the certificate, or neither can be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Identity {
    /// From the contents of two PEM files; the server's own certificate comes first.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|_| IdentityError::NoCertificate)?;
        let own = chain.first().ok_or(IdentityError::NoCertificate)?;
        let expires = valid_until(own).ok_or(IdentityError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::NoKey)?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
        Ok(Self { key: Arc::new(key), expires })
    }

    /// Until when the server's own certificate is valid, in seconds since the Unix epoch.
    pub fn expires(&self) -> i64 {
        self.expires
    }

    pub(super) fn into_key(self) -> Arc<CertifiedKey> {
        self.key
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("expires", &self.expires).finish_non_exhaustive()
    }
}
