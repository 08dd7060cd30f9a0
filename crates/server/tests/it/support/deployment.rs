use std::sync::OnceLock;

use tidings_testkit::redis::{Cluster, Redis, Sentinels};

/// A Redis that tests share, in one of its forms. On the Cluster nodes speak TLS, as the user that
/// docs/cluster.md describes.
#[derive(Clone, Copy)]
pub enum Deployment {
    Standalone,
    Sentinels,
    Cluster,
}

impl Deployment {
    pub fn url(self) -> String {
        match self {
            Self::Standalone => Redis::shared().url(),
            Self::Sentinels => sentinels().url(),
            Self::Cluster => cluster().url_of("tidings:PASSWORD@"),
        }
    }

    /// Who has a key.
    pub fn holder(self, key: &str) -> &'static Redis {
        match self {
            Self::Standalone => Redis::shared(),
            Self::Sentinels => sentinels().master(),
            Self::Cluster => cluster().master_of(key, &cluster().servers()[0]),
        }
    }

    /// All who have keys.
    pub fn masters(self) -> Vec<&'static Redis> {
        match self {
            Self::Standalone | Self::Sentinels => vec![self.holder("")],
            Self::Cluster => {
                let is_master = |server: &&Redis| server.call(&["ROLE"]).starts_with("master");
                cluster().servers().iter().filter(is_master).collect()
            }
        }
    }
}

fn sentinels() -> &'static Sentinels {
    static SHARED: OnceLock<Sentinels> = OnceLock::new();
    SHARED.get_or_init(|| Sentinels::start().steady())
}

fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cluster = Cluster::start_secured().steady();
        let page = include_str!("../../../../../docs/cluster.md");
        for rule in page.lines().filter(|line| line.starts_with("ACL SETUSER tidings ")) {
            cluster.servers().iter().for_each(|server| server.admit(rule));
        }
        cluster
    })
}
