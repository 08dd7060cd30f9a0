//! A Cluster of three masters, each with a replica.

use crate::program::free_port_of;

use super::{PORTS, Redis, Secured, cli, url, wait_for};

pub struct Cluster {
    servers: Vec<Redis>,
}

impl Cluster {
    /// Returns when all slots are served and all replicas follow.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// One whose members speak TLS alone, also with one another.
    pub fn start_secured() -> Self {
        Self::start_as(Some(&Secured::new()))
    }

    fn start_as(secured: Option<&Secured>) -> Self {
        let servers: Vec<Redis> = (0..6).map(|_| member(secured)).collect();
        let mut cli = cli(servers[0].port, servers[0].papers.as_ref());
        cli.args(["--cluster", "create"]);
        cli.args(servers.iter().map(|server| format!("127.0.0.1:{}", server.port)));
        cli.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let output = cli.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let cluster = Self { servers };
        cluster.wait_until_whole();
        for server in &cluster.servers {
            wait_for("replicas that follow", || {
                let role = server.call(&["ROLE"]);
                role.starts_with("master") || role.contains("connected")
            });
        }
        cluster
    }

    /// Nobody is taken for dead from here on, however busy the machine is: for tests in which
    /// nothing fails.
    pub fn steady(self) -> Self {
        for server in &self.servers {
            server.call(&["CONFIG", "SET", "cluster-node-timeout", "600000"]);
        }
        self
    }

    fn wait_until_whole(&self) {
        for server in &self.servers {
            wait_for("a whole Cluster", || {
                let info = server.call(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6")
            });
        }
    }

    pub fn url(&self) -> String {
        self.url_of("")
    }

    /// That of a user, given as `name:password@`.
    pub fn url_of(&self, user: &str) -> String {
        let hosts: Vec<String> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        url("+cluster", user, &hosts.join(","), self.servers[0].papers.as_ref())
    }

    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// The master of a slot, as `asked` sees it.
    pub fn master_of(&self, key: &str, asked: &Redis) -> &Redis {
        let slot: u32 = asked.call(&["CLUSTER", "KEYSLOT", key]).parse().unwrap();
        let nodes = asked.call(&["CLUSTER", "NODES"]);
        let holds = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            matches!((first.parse::<u32>(), last.parse::<u32>()),
                (Ok(first), Ok(last)) if (first..=last).contains(&slot))
        };
        let line = nodes
            .lines()
            .find(|line| !line.contains("fail") && line.split(' ').skip(8).any(holds))
            .unwrap_or_else(|| panic!("nobody has slot {slot}:\n{nodes}"));
        let address = line.split(' ').nth(1).unwrap();
        let port = address.split([':', '@']).nth(1).unwrap().parse::<u16>().unwrap();
        self.servers.iter().find(|server| server.port == port).unwrap()
    }

    /// Kills the master of a key's slot; returns when its replica has taken over.
    pub fn fail_over(&self, key: &str) {
        let before = self.master_of(key, &self.servers[0]);
        let asked = self.servers.iter().find(|server| server.port != before.port).unwrap();
        before.kill();
        wait_for("another master of the slot", || {
            let nodes = asked.call(&["CLUSTER", "NODES"]);
            let failed = nodes.lines().any(|line| {
                line.contains(&format!(":{}@", before.port))
                    && line.contains("fail")
                    && !line.contains("fail?")
            });
            failed && asked.call(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
    }

    /// Gives a key's slot to another master, while both go on.
    pub fn move_slot(&self, key: &str) {
        let asked = &self.servers[0];
        let slot = asked.call(&["CLUSTER", "KEYSLOT", key]);
        let from = self.master_of(key, asked);
        let masters: Vec<&Redis> = self
            .servers
            .iter()
            .filter(|server| server.call(&["ROLE"]).starts_with("master"))
            .collect();
        let to = masters.iter().find(|server| server.port != from.port).unwrap();
        let id = |server: &Redis| server.call(&["CLUSTER", "MYID"]);
        let (from_id, to_id) = (id(from), id(to));
        to.call(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        from.call(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        loop {
            let keys = from.call(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            let port = to.port.to_string();
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys);
            from.call(&migrate);
        }
        for server in [*to, from].into_iter().chain(masters.iter().copied()) {
            server.call(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
    }
}

/// On a port whose bus port, 10,000 above, is free too; both are below those that the kernel hands out.
fn member(secured: Option<&Secured>) -> Redis {
    for _ in 0..PORTS {
        let port = free_port_of(20_000..22_700, 10_000);
        let mut settings = vec!["--cluster-enabled yes", "--cluster-node-timeout 1000"];
        settings.extend(secured.map(|_| "--tls-cluster yes"));
        if let Some(server) = Redis::start_on(port, &settings, secured) {
            return server;
        }
    }
    panic!("a member of a Cluster does not start");
}
