use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use tidings_testkit::program::{Program, free_port};
use tokio::net::TcpStream;

use super::{Api, within};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    HaProxy,
}

/// The real program before these nodes, with its file of `deploy/`: only addresses, and where it
/// writes, are others.
pub struct Balancer {
    pub address: SocketAddr,
    program: Program,
}

impl Balancer {
    pub async fn start(kind: Kind, nodes: &[SocketAddr]) -> Self {
        // Somebody may take a free port before the program does.
        let mut said = String::new();
        for _ in 0..5 {
            let mut balancer = Self::launch(kind, nodes);
            if within(balancer.listens()).await {
                return balancer;
            }
            said = balancer.program.log();
        }
        panic!("{kind:?} does not start: {said}");
    }

    fn launch(kind: Kind, nodes: &[SocketAddr]) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut program = match kind {
            Kind::Nginx => Program::new("nginx"),
            Kind::HaProxy => Program::new("haproxy"),
        };
        let dir = program.dir().display().to_string();
        match kind {
            Kind::Nginx => {
                let settings = deployed("nginx/tidings.conf", nodes)
                    .replace("listen 80;", &format!("listen {address};"))
                    .replace("/var/log/nginx", &dir);
                let conf = write(program.dir(), "tidings.conf", &settings);
                let main = write(program.dir(), "nginx.conf", &nginx_conf(&dir, &conf));
                program.start(&["nginx", "-p", &dir, "-e", "stderr", "-c", &main]);
            }
            Kind::HaProxy => {
                let settings = deployed("haproxy/haproxy.cfg", nodes)
                    .replace("bind :80\n", &format!("bind {address}\n"))
                    .replace("log /dev/log local0", "log stdout format raw local0")
                    .replace("maxconn 30000", "maxconn 1000");
                let file = write(program.dir(), "haproxy.cfg", &settings);
                program.start(&["haproxy", "-db", "-f", &file]);
            }
        }
        Self { address, program }
    }

    async fn listens(&mut self) -> bool {
        while self.program.is_alive() {
            if TcpStream::connect(self.address).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// A caller of the API from an address of this machine.
    pub fn api(&self, from: Ipv4Addr, token: Option<String>) -> Api {
        let http = reqwest::Client::builder().no_proxy().local_address(Some(from.into()));
        let http = http.build().expect("a client");
        Api { http, origin: format!("http://{}", self.address), prefix: "/api/v1", token }
    }

    /// Who it is to the nodes.
    pub fn own_address() -> String {
        Ipv4Addr::LOCALHOST.to_string()
    }
}

/// A file of `deploy/` with these nodes in place of the three that it names.
fn deployed(name: &str, nodes: &[SocketAddr]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let text = fs::read_to_string(root.join(name)).expect("it is there");
    let mut lines = String::new();
    for line in text.lines() {
        let named = (1..=3).find(|n| line.contains(&format!("10.0.0.1{n}:3001")));
        match named.map(|n| (n, nodes.get(n - 1))) {
            None => lines.push_str(line),
            Some((n, Some(node))) => {
                lines.push_str(&line.replace(&format!("10.0.0.1{n}:3001"), &node.to_string()));
            }
            Some((_, None)) => continue,
        }
        lines.push('\n');
    }
    lines
}

/// What stands around the file in `deploy/`: nothing is written outside of the directory.
fn nginx_conf(dir: &str, included: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {dir}/{name};"))
        .join(" ");
    format!(
        "daemon off; worker_processes 1; pid {dir}/pid; error_log stderr;\n\
         events {{ worker_connections 1000; }}\n\
         http {{ {temporary} include {included}; }}\n"
    )
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).expect("written");
    path.display().to_string()
}
