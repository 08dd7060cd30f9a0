//! Who the masters are, and which of them has which partition.

use redis::{Value, aio::MultiplexedConnection};

use super::{
    address::{Deployment, Server},
    connection,
    partition::Partition,
    settings::Settings,
};

/// The masters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topology {
    pub(super) masters: Vec<Server>,
    /// For each partition its master's place in the list.
    of: Vec<Option<usize>>,
}

impl Topology {
    fn single(master: Server) -> Self {
        Self { masters: vec![master], of: Partition::all().map(|_| Some(0)).collect() }
    }

    pub(super) fn master_of(&self, partition: Partition) -> Option<usize> {
        self.of.get(partition.index()).copied().flatten()
    }

    pub(super) fn partitions_of(&self, master: usize) -> Vec<Partition> {
        Partition::all().filter(|partition| self.master_of(*partition) == Some(master)).collect()
    }
}

/// Why nobody could say.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("{0}")]
    Redis(#[from] redis::RedisError),
    #[error("{0}")]
    Answer(String),
}

/// Asks who the masters are, again and again, on a connection that it keeps.
pub(super) struct Scout {
    settings: Settings,
    /// Whom to ask, the last that answered first.
    known: Vec<Server>,
    connection: Option<(Server, MultiplexedConnection)>,
    /// Has shown that it is one.
    master: Option<Server>,
}

impl Scout {
    pub(super) fn new(settings: Settings) -> Self {
        let known = match &settings.address.deployment {
            Deployment::Standalone(server) => vec![server.clone()],
            Deployment::Sentinel { sentinels, .. } => sentinels.clone(),
            Deployment::Cluster { seeds } => seeds.clone(),
        };
        Self { settings, known, connection: None, master: None }
    }

    pub(super) async fn look(&mut self) -> Result<Topology, Unknown> {
        match self.settings.address.deployment.clone() {
            Deployment::Standalone(server) => {
                if self.master.is_none() {
                    // Once, to see whether it lets us in.
                    let info = self.settings.address.of_server(&server)?;
                    connection::open(info, &self.settings).await?;
                    self.master = Some(server.clone());
                }
                Ok(Topology::single(server))
            }
            Deployment::Sentinel { master, .. } => self.ask_sentinels(&master).await,
            Deployment::Cluster { .. } => self.ask_cluster().await,
        }
    }

    /// One that was asked did not know, or is out of date: another is asked the next time.
    fn distrust(&mut self) {
        self.connection = None;
        self.known.rotate_left(1);
    }

    async fn connected(
        &mut self,
        to_sentinel: bool,
    ) -> Result<(Server, MultiplexedConnection), Unknown> {
        if let Some(connected) = &self.connection {
            return Ok(connected.clone());
        }
        let server = self.known.first().cloned();
        let server = server.ok_or_else(|| Unknown::Answer("nobody to ask".to_owned()))?;
        let address = &self.settings.address;
        let info =
            if to_sentinel { address.of_sentinel(&server) } else { address.of_server(&server) };
        let connection = connection::open(info?, &self.settings).await?;
        self.connection = Some((server.clone(), connection.clone()));
        Ok((server, connection))
    }

    async fn ask_sentinels(&mut self, name: &str) -> Result<Topology, Unknown> {
        let mut outcome = Err(Unknown::Answer("there are no Sentinels".to_owned()));
        for _ in 0..self.known.len() {
            outcome = self.ask_sentinel(name).await;
            if outcome.is_ok() {
                break;
            }
            self.distrust();
        }
        outcome
    }

    async fn ask_sentinel(&mut self, name: &str) -> Result<Topology, Unknown> {
        let (_, mut connection) = self.connected(true).await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let answer: Option<(String, u16)> = ask.query_async(&mut connection).await?;
        let (host, port) = answer
            .ok_or_else(|| Unknown::Answer(format!("the Sentinels know no master {name}")))?;
        let master = Server { host, port };
        if self.master.as_ref() != Some(&master) {
            // One that was failed over may not have heard of it yet.
            self.check_role(&master).await?;
            self.master = Some(master.clone());
        }
        Ok(Topology::single(master))
    }

    async fn check_role(&self, master: &Server) -> Result<(), Unknown> {
        let info = self.settings.address.of_server(master)?;
        let mut connection = connection::open(info, &self.settings).await?;
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(()),
            Some(Value::SimpleString(role)) if role == "master" => Ok(()),
            _ => Err(Unknown::Answer(format!("{master} is no master"))),
        }
    }

    async fn ask_cluster(&mut self) -> Result<Topology, Unknown> {
        let mut outcome = Err(Unknown::Answer("there are no servers".to_owned()));
        for _ in 0..self.known.len() {
            outcome = self.ask_member().await;
            match &outcome {
                Ok(topology) => {
                    self.learn(&topology.masters.clone());
                    break;
                }
                Err(_) => self.distrust(),
            }
        }
        outcome
    }

    async fn ask_member(&mut self) -> Result<Topology, Unknown> {
        let (asked, mut connection) = self.connected(false).await?;
        let slots: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
        let ranges = ranges(&slots, &asked)
            .ok_or_else(|| Unknown::Answer("CLUSTER SLOTS was not understood".to_owned()))?;
        let mut masters: Vec<Server> = ranges.iter().map(|range| range.master.clone()).collect();
        masters.sort();
        masters.dedup();
        let of = Partition::all().map(|partition| {
            let slot = i64::from(partition.slot());
            let range = ranges.iter().find(|range| range.first <= slot && slot <= range.last)?;
            masters.iter().position(|master| *master == range.master)
        });
        let of: Vec<_> = of.collect();
        if of.iter().all(Option::is_none) {
            return Err(Unknown::Answer("the Cluster has no slots".to_owned()));
        }
        Ok(Topology { masters, of })
    }

    /// Whoever was named can be asked too, should the seeds be gone.
    fn learn(&mut self, masters: &[Server]) {
        for master in masters {
            if !self.known.contains(master) && self.known.len() < 64 {
                self.known.push(master.clone());
            }
        }
    }
}

struct Range {
    first: i64,
    last: i64,
    master: Server,
}

/// Reads the answer to CLUSTER SLOTS: `[first, last, [host, port, …], replicas…]` for each range.
fn ranges(answer: &Value, asked: &Server) -> Option<Vec<Range>> {
    let Value::Array(entries) = answer else { return None };
    let range = |entry: &Value| {
        let Value::Array(entry) = entry else { return None };
        let (Value::Int(first), Value::Int(last), Value::Array(master)) =
            (entry.first()?, entry.get(1)?, entry.get(2)?)
        else {
            return None;
        };
        let host = match master.first()? {
            Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
            // One that does not know its own name is where it was asked.
            _ => String::new(),
        };
        let host = if host.is_empty() || host == "?" { asked.host.clone() } else { host };
        let Value::Int(port) = master.get(1)? else { return None };
        let port = u16::try_from(*port).ok()?;
        Some(Range { first: *first, last: *last, master: Server { host, port } })
    };
    entries.iter().map(range).collect()
}
