//! Servers that speak TLS alone, and want to see a certificate of whoever comes.

use std::{fs, path::Path};

use crate::authority::Authority;

/// What the servers of one deployment have in common.
pub(super) struct Secured {
    authority: Authority,
}

/// Of no use after it; the tests are.
const LAST_YEAR: i32 = 2099;

impl Secured {
    pub(super) fn new() -> Self {
        Self { authority: Authority::new() }
    }

    /// Writes what a server and its clients need into its directory.
    pub(super) fn furnish(&self, dir: &Path) -> Papers {
        let issued = self.authority.issue(LAST_YEAR);
        fs::write(dir.join("ca.pem"), self.authority.pem()).unwrap();
        fs::write(dir.join("cert.pem"), issued.certificate).unwrap();
        fs::write(dir.join("key.pem"), issued.key).unwrap();
        Papers { dir: dir.display().to_string() }
    }
}

/// The files of one server. Clients may show the same certificate.
#[derive(Clone)]
pub(super) struct Papers {
    dir: String,
}

impl Papers {
    /// Settings of a server on this port, as on its command line or, without the dashes, in its
    /// file.
    pub(super) fn settings(&self, port: u16) -> Vec<String> {
        let dir = &self.dir;
        vec![
            "--port 0".to_owned(),
            format!("--tls-port {port}"),
            format!("--tls-ca-cert-file {dir}/ca.pem"),
            format!("--tls-cert-file {dir}/cert.pem"),
            format!("--tls-key-file {dir}/key.pem"),
            "--tls-auth-clients yes".to_owned(),
            "--tls-replication yes".to_owned(),
        ]
    }

    pub(super) fn of_cli(&self) -> [String; 7] {
        let [ca, cert, key] = ["ca", "cert", "key"].map(|name| format!("{}/{name}.pem", self.dir));
        let option = |name: &str| format!("--{name}");
        [option("tls"), option("cacert"), ca, option("cert"), cert, option("key"), key]
    }

    /// What stands behind the question mark of a URL.
    pub(super) fn of_url(&self) -> String {
        let dir = &self.dir;
        format!("?ca={dir}/ca.pem&cert={dir}/cert.pem&key={dir}/key.pem")
    }
}
