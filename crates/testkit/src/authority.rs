//! A certificate authority for tests of TLS.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// Signs certificates for `localhost` and 127.0.0.1. Nobody trusts it who was not given [`Authority::pem`].
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    #[expect(clippy::new_without_default, reason = "a new one each time is no default")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: what has the name of its authority seems to have signed itself.
        let name = format!("authority {:08x}", rand::random::<u32>());
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate that is valid to the end of June of this year.
    pub fn issue(&self, year: i32) -> Issued {
        self.issue_to(&["localhost", "127.0.0.1"], year)
    }

    /// The same, made out to other names.
    pub fn issue_to(&self, names: &[&str], year: i32) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.not_after = date_time_ymd(year, 6, 30);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
