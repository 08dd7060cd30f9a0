//! A master, two replicas, and three Sentinels that watch them.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{PATIENCE, PORTS, Papers, Redis, Secured, cli, pause, url, wait_for};
use crate::program::{Program, free_port};

const NAME: &str = "main";

pub struct Sentinels {
    servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    program: Program,
    port: u16,
    papers: Option<Papers>,
}

impl Sentinels {
    /// Returns when everybody knows everybody.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// All of them speak TLS alone, also with one another.
    pub fn start_secured() -> Self {
        Self::start_as(Some(&Secured::new()))
    }

    fn start_as(secured: Option<&Secured>) -> Self {
        let master = Redis::start_as(&[], secured);
        let of = format!("--replicaof 127.0.0.1 {}", master.port);
        let mut servers = vec![master];
        servers.extend((0..2).map(|_| Redis::start_as(&[&of], secured)));
        let master = servers[0].port;
        let sentinels = (0..3).map(|_| Sentinel::start(master, secured)).collect();
        let started = Self { servers, sentinels };
        for sentinel in &started.sentinels {
            wait_for("the Sentinels know one another and the replicas", || {
                let known = sentinel.ask(&["SENTINEL", "MASTER", NAME]);
                let field = |name: &str| {
                    let mut lines = known.lines().skip_while(|line| *line != name);
                    lines.nth(1).map(str::to_owned)
                };
                field("num-slaves").as_deref() == Some("2")
                    && field("num-other-sentinels").as_deref() == Some("2")
                    && field("flags").as_deref() == Some("master")
            });
        }
        started
    }

    /// Nobody is taken for dead from here on, however busy the machine is: for tests in which
    /// nothing fails.
    pub fn steady(self) -> Self {
        for sentinel in &self.sentinels {
            let set = ["SENTINEL", "SET", NAME, "down-after-milliseconds", "600000"];
            assert_eq!(sentinel.ask(&set), "OK");
        }
        self
    }

    pub fn url(&self) -> String {
        self.url_of("")
    }

    /// That of a user of the servers, given as `name:password@`.
    pub fn url_of(&self, user: &str) -> String {
        let host = |sentinel: &Sentinel| format!("127.0.0.1:{}", sentinel.port);
        let hosts: Vec<String> = self.sentinels.iter().map(host).collect();
        let place = format!("{}/{NAME}", hosts.join(","));
        url("+sentinel", user, &place, self.sentinels[0].papers.as_ref())
    }

    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// The master, as the Sentinels see it now.
    pub fn master(&self) -> &Redis {
        let answer = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let port: u16 = answer.lines().nth(1).unwrap().parse().unwrap();
        self.servers.iter().find(|server| server.port == port).unwrap()
    }

    /// Kills the master, and returns when another is one.
    pub fn fail_over(&self) {
        let before = self.master();
        before.kill();
        self.wait_for_another_than(before);
    }

    pub fn wait_for_another_than(&self, before: &Redis) {
        wait_for("another master", || {
            let master = self.master();
            master.port != before.port && master.call(&["ROLE"]).starts_with("master")
        });
    }
}

impl Sentinel {
    fn start(master: u16, secured: Option<&Secured>) -> Self {
        let mut said = String::new();
        for _ in 0..PORTS {
            let mut started = Self::launch(free_port(), master, secured);
            if started.wait_until_it_watches(master) {
                return started;
            }
            said = started.program.log();
        }
        panic!("a Sentinel does not start: {said}");
    }

    fn launch(port: u16, master: u16, secured: Option<&Secured>) -> Self {
        let mut program = Program::new("sentinel");
        let papers = secured.map(|secured| secured.furnish(program.dir()));
        let file = program.dir().join("sentinel.conf");
        let mut lines = match &papers {
            Some(papers) => papers.settings(port),
            None => vec![format!("port {port}")],
        };
        lines.extend([
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", program.dir().display()),
            format!("sentinel monitor {NAME} 127.0.0.1 {master} 2"),
            format!("sentinel down-after-milliseconds {NAME} 1000"),
            format!("sentinel failover-timeout {NAME} 5000"),
        ]);
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_start_matches('-')).collect();
        fs::write(&file, lines.join("\n")).unwrap();
        program.start(&["redis-server", &file.display().to_string(), "--sentinel"]);
        Self { program, port, papers }
    }

    /// Somebody else may have the port: that one watches another master.
    fn wait_until_it_watches(&mut self, master: u16) -> bool {
        let (end, master) = (Instant::now() + PATIENCE, master.to_string());
        while Instant::now() < end && self.program.is_alive() {
            if self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).lines().nth(1)
                == Some(&master)
            {
                return true;
            }
            pause(Duration::from_millis(20));
        }
        false
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = cli(self.port, self.papers.as_ref()).args(words).output();
        String::from_utf8_lossy(&output.unwrap().stdout).trim().to_owned()
    }
}
