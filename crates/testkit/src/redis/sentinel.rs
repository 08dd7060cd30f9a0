//! A master, two replicas, and three Sentinels that watch them.

use std::fs;

use super::{Redis, wait_for};
use crate::program::{Program, free_port};

const NAME: &str = "main";

pub struct Sentinels {
    servers: Vec<Redis>,
    sentinels: Vec<(Program, u16)>,
}

impl Sentinels {
    /// Returns when everybody knows everybody.
    pub fn start() -> Self {
        let master = Redis::start(&[]);
        let of = format!("--replicaof 127.0.0.1 {}", master.port);
        let mut servers = vec![master];
        servers.extend((0..2).map(|_| Redis::start(&[&of])));
        let master = servers[0].port;
        let sentinels = (0..3).map(|_| sentinel(master)).collect();
        let started = Self { servers, sentinels };
        for (_, port) in &started.sentinels {
            wait_for("the Sentinels know one another and the replicas", || {
                let known = ask(*port, &["SENTINEL", "MASTER", NAME]);
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

    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    /// The master, as the Sentinels see it now.
    pub fn master(&self) -> &Redis {
        let answer = ask(self.sentinels[0].1, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
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

fn ask(port: u16, words: &[&str]) -> String {
    let mut cli = std::process::Command::new("redis-cli");
    let output = cli.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(words).output();
    String::from_utf8_lossy(&output.unwrap().stdout).trim().to_owned()
}

fn sentinel(master: u16) -> (Program, u16) {
    let (mut program, port) = (Program::new("sentinel"), free_port());
    let file = program.dir().join("sentinel.conf");
    let lines = [
        format!("port {port}"),
        "bind 127.0.0.1".to_owned(),
        format!("dir {}", program.dir().display()),
        format!("sentinel monitor {NAME} 127.0.0.1 {master} 2"),
        format!("sentinel down-after-milliseconds {NAME} 1000"),
        format!("sentinel failover-timeout {NAME} 5000"),
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    program.start(&["redis-server", &file.display().to_string(), "--sentinel"]);
    wait_for("a Sentinel", || ask(port, &["PING"]) == "PONG");
    (program, port)
}
