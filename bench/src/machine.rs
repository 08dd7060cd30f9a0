//! What the figures were taken on: enough to judge them by, nothing that tells whose it is.

use std::{fs, path::Path, process::Command};

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of `name: value` or `name=value` in a file of such lines.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once([':', '='])?;
        (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn output(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

pub fn cores() -> usize {
    read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count()
}

/// A line each.
pub fn describe(work_dir: &Path, peer: Option<&Path>) -> Vec<String> {
    let (cpus, cores) = (read("/proc/cpuinfo"), cores());
    let model = field(&cpus, "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let memory: u64 = memory.split(' ').next().and_then(|kb| kb.parse().ok()).unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let mut lines = vec![
        format!("Machine: {cores} cores ({model}), {} GB of memory", memory.div_ceil(1 << 20)),
        format!("Kernel: Linux {}, file system {}", kernel.trim(), file_system(work_dir)),
        format!("Rust: {}", output("rustc", &["--version"]).unwrap_or_else(|| "unknown".into())),
    ];
    if let Some(peer) = peer {
        let node = output("node", &["--version"]).unwrap_or_else(|| "unknown".into());
        lines.push(format!("Peer: Socket.IO {} on Node.js {node}", socket_io_version(peer)));
    }
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown");
    lines.push(format!(
        "Load average before the run: {load} (other work on the machine makes figures worse)"
    ));
    lines
}

fn file_system(path: &Path) -> String {
    output("stat", &["-f", "-c", "%T", &path.to_string_lossy()]).unwrap_or_else(|| "unknown".into())
}

fn socket_io_version(peer: &Path) -> String {
    let package = peer.with_file_name("../node_modules/socket.io/package.json");
    let package = fs::read_to_string(package).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    package["version"].as_str().unwrap_or("unknown").to_owned()
}

/// Processor time so far, in ticks.
pub struct Usage {
    /// Of all cores together, idle or not.
    total: f64,
    busy: f64,
    /// Of this process and of the servers that it has ended.
    ours: f64,
}

impl Usage {
    pub fn now() -> Self {
        let all = read("/proc/stat");
        // cpu user nice system idle iowait irq softirq steal …
        let line = all.lines().next().unwrap_or_default();
        let ticks: Vec<f64> =
            line.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
        let total: f64 = ticks.iter().sum();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        let own = read("/proc/self/stat");
        let fields = own.rsplit_once(')').map_or("", |(_, fields)| fields);
        // User and system time, our own and that of children.
        let ours = fields.split_whitespace().skip(11).take(4);
        let ours = ours.filter_map(|t| t.parse::<f64>().ok()).sum();
        Self { total, busy: total - idle, ours }
    }

    /// The share of the machine, in percent, that others have taken since then.
    pub fn of_others(&self) -> f64 {
        let now = Self::now();
        let others = (now.busy - self.busy) - (now.ours - self.ours);
        (others / (now.total - self.total).max(1.0) * 100.0).max(0.0)
    }
}

/// What the kernel has dropped of the machine's traffic since it started, loopback's too. A SYN that is dropped is sent
/// again after 1 s, then 3, 7 … s: that is how a connection takes seconds though nobody was slow.
pub struct Dropped {
    /// The queue of a core was full (`net.core.netdev_max_backlog`).
    packets: u64,
    /// The queue of a listener was full.
    accepts: u64,
    /// SYNs that were sent again.
    syns: u64,
}

impl Dropped {
    pub fn now() -> Self {
        // A line for each core; the second number, in hexadecimal, is what was dropped.
        let softnet = read("/proc/net/softnet_stat");
        let dropped = softnet.lines().filter_map(|line| line.split_whitespace().nth(1));
        let packets = dropped.filter_map(|count| u64::from_str_radix(count, 16).ok()).sum();
        let netstat = read("/proc/net/netstat");
        let count = |name: &str| tcp_counter(&netstat, name).unwrap_or(0);
        Self { packets, accepts: count("ListenDrops"), syns: count("TCPSynRetrans") }
    }

    /// What was dropped since then, in words; none if nothing was.
    pub fn since(&self) -> Option<String> {
        let now = Self::now();
        let counts = [now.packets - self.packets, now.accepts - self.accepts, now.syns - self.syns];
        let [packets, accepts, syns] = counts;
        (counts != [0; 3]).then(|| {
            format!("The kernel dropped {packets} packets and {accepts} connections that waited to be accepted, and sent {syns} SYNs again, after a second or more.")
        })
    }
}

/// A counter of /proc/net/netstat: a line of names, and one of values.
fn tcp_counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|known| known == name)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

/// Files that this process, and with it the servers that it starts, may open.
pub fn open_files() -> usize {
    let limits = read("/proc/self/limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    // "Max open files  <soft>  <hard>  files"
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    match soft {
        Some("unlimited") => usize::MAX,
        Some(number) => number.parse().unwrap_or(1_024),
        None => 1_024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "model name\t: A processor\nMemTotal:  1024 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A processor"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("1024 kB"));
        assert_eq!(field(text, "Mem"), None);
    }

    #[test]
    fn counters_are_found_by_name() {
        let text = "TcpExt: A ListenDrops B\nTcpExt: 1 23 4\nIpExt: X\nIpExt: 5\n";
        assert_eq!(tcp_counter(text, "ListenDrops"), Some(23));
        assert_eq!(tcp_counter(text, "X"), None);
    }
}
