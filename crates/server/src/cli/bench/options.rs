//! What `tidings bench` is told, and what is to be measured by that.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use serde_json::{Map, Value};
use tidings_load::{
    Emit, Flow, Hellos, Join, Load, Pace, Plan, Request, Rush, Target, Template, Tokens, Via,
};

/// Clients that come and go take their users from so many names.
pub(super) const PASSING_USERS: usize = 5_000;

/// More than one process can hold.
const MAX_CONNECTIONS: usize = 1_000_000;

#[derive(Args)]
#[command(next_help_heading = "Clients")]
pub(super) struct Clients {
    /// The server: http://HOST:PORT or https://HOST:PORT
    #[arg(long, default_value = "http://127.0.0.1:3001")]
    pub(super) url: String,
    /// Trust the certificates in this file (PEM) too, beside those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where it serves Socket.IO
    #[arg(long, default_value = "/socket.io/")]
    path: String,
    #[arg(long, default_value = "/")]
    namespace: String,
    /// Clients that are connected
    #[arg(short = 'n', long, default_value_t = 1_000)]
    pub(super) connections: usize,
    /// Connect so many a second, at fixed times
    #[arg(long, conflicts_with_all = ["at_once", "abreast"], value_name = "RATE")]
    connect_rate: Option<f64>,
    /// Connect all at the same moment
    #[arg(long, conflicts_with = "abreast")]
    at_once: bool,
    /// Connections that are being made at a time
    #[arg(long, default_value_t = 100)]
    abreast: usize,
    /// How long a client may take to get in
    #[arg(long, default_value = "30s", value_name = "TIME")]
    timeout: SignedDuration,
    /// How long messages are sent, or connections are held
    #[arg(long, default_value = "10s", value_name = "TIME")]
    duration: SignedDuration,
    /// How long the last messages are waited for
    #[arg(long, default_value = "5s", value_name = "TIME")]
    grace: SignedDuration,
    /// Users: a name with the number of the connection, as the default has it
    #[arg(long, default_value = "user-{n}")]
    user: String,
    /// A token for all clients
    #[arg(long)]
    token: Option<String>,
    /// A file with a token in each line, for a client each
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Sign a token (HS256) for each user with this secret, if no tokens are given
    #[arg(long, env = "TIDINGS_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
    /// Further claims of signed tokens, a JSON object [default with --room: that room]
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// What CONNECT carries: JSON with {token} and {user} [default: {"token":"{token}"}]
    #[arg(long, value_name = "JSON")]
    auth: Option<String>,
    /// A header of the clients' requests, "NAME: VALUE"; may be given several times
    #[arg(long, value_name = "HEADER")]
    client_header: Vec<String>,
    /// An event with one argument to emit when connected; may be given several times
    #[arg(long, value_name = "EVENT=ARGUMENT")]
    join: Vec<String>,
    /// Clients are in when this event has come, not with the answer to CONNECT
    #[arg(long, value_name = "EVENT")]
    wait_for: Option<String>,
    /// Count only events with this name [default: all that carry a mark]
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// A local address to connect from; may be given several times [default: as many of
    /// 127.0.0.0/8 as it takes, or what the system chooses]
    #[arg(long, value_name = "ADDRESS")]
    source: Vec<IpAddr>,
    /// Threads that clients are shared by
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sender {
    /// Requests that POST a message each
    Http,
    /// Clients that emit an event, which the server passes on
    Emit,
}

#[derive(Args)]
#[command(next_help_heading = "Messages")]
pub(super) struct Messages {
    /// Who sends
    #[arg(long, value_enum, default_value_t = Sender::Http)]
    send: Sender,
    /// The room of broadcasts, {room} elsewhere
    #[arg(long, default_value = "task:bench")]
    room: String,
    /// The address of a POST; with {room} and {user} [default: events in rooms of Tidings]
    #[arg(long, value_name = "PATH")]
    post: Option<String>,
    /// What is posted: with {mark} where it reaches the clients as it is, and {fill}
    #[arg(
        long,
        value_name = "JSON",
        default_value = r#"{"type":"bench","data":{"mark":"{mark}","fill":"{fill}"}}"#
    )]
    body: String,
    /// A header of posts, "NAME: VALUE"; may be given several times
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Short for --header "Authorization: Bearer KEY"
    #[arg(long, env = "TIDINGS_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
    /// Connections that post. Messages of one keep their order
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    http_connections: usize,
    /// Requests that each has on their way
    #[arg(long, default_value_t = 16, value_name = "COUNT")]
    pipeline: usize,
    /// What is emitted
    #[arg(
        long,
        value_name = "EVENT=ARGUMENT",
        default_value = r#"room:message={"room":"{room}","data":{"mark":"{mark}","fill":"{fill}"}}"#
    )]
    emit: String,
    /// Clients that emit, beside the others
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    senders: usize,
    /// Bytes that {fill} stands for
    #[arg(long, default_value_t = 120, value_name = "BYTES")]
    fill: usize,
}

impl Clients {
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let authority = self
            .ca
            .as_ref()
            .map(|path| std::fs::read(path).with_context(|| format!("--ca {}", path.display())));
        let mut target = Target::parse(&self.url, authority.transpose()?.as_deref())?;
        ensure!(self.path.starts_with('/'), "--path begins with a slash");
        ensure!(self.namespace.starts_with('/'), "--namespace begins with a slash");
        (target.path, target.namespace) = (self.path.clone(), self.namespace.clone());
        Ok(target)
    }

    /// A plan without messages.
    pub(super) fn plan(&self, room: &str) -> anyhow::Result<Plan> {
        let most = MAX_CONNECTIONS;
        ensure!((1..=most).contains(&self.connections), "--connections is between 1 and {most}");
        ensure!(self.connect_rate.is_none_or(|rate| rate > 0.0), "--connect-rate is more than 0");
        let rush = match self.connect_rate {
            Some(rate) => Rush::PerSecond(rate),
            None if self.at_once => Rush::AtOnce,
            None => Rush::Abreast(self.abreast.max(1)),
        };
        let load = Load {
            broadcast: None,
            unicast: None,
            churn: None,
            duration: time(self.duration, "--duration")?,
            grace: time(self.grace, "--grace")?,
            sends: true,
        };
        Ok(Plan {
            hellos: self.hellos(room)?,
            connections: self.connections,
            senders: 0,
            rush,
            patience: time(self.timeout, "--timeout")?,
            listen: self.event.clone(),
            sources: self.source.clone(),
            threads: self.threads,
            load,
        })
    }

    fn hellos(&self, room: &str) -> anyhow::Result<Hellos> {
        let join = |text: &String| {
            Join::parse(text).with_context(|| format!("--join is EVENT=ARGUMENT, not {text}"))
        };
        let tokens = self.tokens(room)?;
        let with_token =
            if matches!(tokens, Tokens::None) { "{}" } else { r#"{"token":"{token}"}"# };
        Ok(Hellos {
            target: self.target()?,
            headers: headers(&self.client_header)?,
            tokens,
            user: Template::new(&self.user),
            auth: Template::new(self.auth.as_deref().unwrap_or(with_token)),
            room: room.to_owned(),
            joins: self.join.iter().map(join).collect::<anyhow::Result<_>>()?,
            wait_for: self.wait_for.clone(),
        })
    }

    fn tokens(&self, room: &str) -> anyhow::Result<Tokens> {
        if let Some(token) = &self.token {
            return Ok(Tokens::One(token.clone()));
        }
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--token-file {}", path.display()))?;
            let tokens: Vec<_> =
                text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            ensure!(!tokens.is_empty(), "--token-file {} holds no token", path.display());
            return Ok(Tokens::List(tokens.into_iter().map(str::to_owned).collect()));
        }
        let Some(secret) = &self.jwt_secret else { return Ok(Tokens::None) };
        let claims = match &self.claims {
            Some(text) => serde_json::from_str(text).context("--claims is no JSON object")?,
            None if room.is_empty() => Map::new(),
            None => Map::from_iter([("rooms".to_owned(), Value::from(vec![room]))]),
        };
        Ok(Tokens::Sign { secret: secret.clone(), claims })
    }

    fn users(&self) -> Arc<Vec<String>> {
        let user = Template::new(&self.user);
        let name = |number| user.render(&tidings_load::Values { number, ..Default::default() });
        Arc::new((0..self.connections).map(name).collect())
    }

    /// Local addresses, for these connections and for those that come and go.
    pub(super) fn settle(&self, plan: &mut Plan) {
        if plan.sources.is_empty() {
            let target = &plan.hellos.target;
            plan.sources = Plan::sources_for(target, plan.connections, &plan.load);
        }
    }
}

impl Messages {
    pub(super) fn room(&self) -> &str {
        &self.room
    }

    /// Clients that emit, if that is who sends.
    pub(super) fn senders(&self) -> usize {
        if self.send == Sender::Emit { self.senders.max(1) } else { 0 }
    }

    /// Joins of Tidings, if messages go its way and nothing else was said.
    pub(super) fn default_join(&self, clients: &Clients) -> Option<Join> {
        let default = self.post.is_none() && clients.join.is_empty();
        default.then(|| Join::new("room:join", "{room}"))
    }

    /// Messages to everybody, or to one connection each.
    pub(super) fn flow(&self, clients: &Clients, pace: Pace, to_all: bool) -> anyhow::Result<Flow> {
        let via = match self.send {
            Sender::Http => Via::Http(self.request(clients, to_all)?),
            Sender::Emit => Via::Emit(self.event(clients)?),
        };
        Ok(Flow { pace, via })
    }

    fn request(&self, clients: &Clients, to_all: bool) -> anyhow::Result<Request> {
        let path = match (&self.post, to_all) {
            (Some(path), _) => path.as_str(),
            (None, true) => "/api/v1/rooms/{room}/events",
            (None, false) => "/api/v1/rooms/user:{user}/events",
        };
        ensure!(path.starts_with('/'), "--post begins with a slash");
        let body = Template::new(&self.body);
        ensure!(body.has_mark(), "--body has no {{mark}}, by which messages are told apart");
        let mut lines = self.header.clone();
        lines.extend(self.api_key.as_ref().map(|key| format!("Authorization: Bearer {key}")));
        Ok(Request {
            target: clients.target()?,
            path: Template::new(path),
            headers: headers(&lines)?,
            body,
            room: self.room.clone(),
            fill: "x".repeat(self.fill),
            users: clients.users(),
            connections: self.http_connections.clamp(1, 1_000),
            pipeline: self.pipeline.max(1),
        })
    }

    fn event(&self, clients: &Clients) -> anyhow::Result<Emit> {
        let (event, argument) = self.emit.split_once('=').context("--emit is EVENT=ARGUMENT")?;
        let Join { event, argument } = Join::new(event, argument);
        ensure!(argument.has_mark(), "--emit has no {{mark}}, by which messages are told apart");
        Ok(Emit {
            event,
            argument,
            namespace: clients.namespace.clone(),
            room: self.room.clone(),
            fill: "x".repeat(self.fill),
            users: clients.users(),
        })
    }
}

/// Lines of a request, each with its end.
fn headers(headers: &[String]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for header in headers {
        if !header.contains(':') || header.contains(['\r', '\n']) {
            bail!("a header is NAME: VALUE");
        }
        lines.push_str(header);
        lines.push_str("\r\n");
    }
    Ok(lines)
}

fn time(time: SignedDuration, flag: &str) -> anyhow::Result<Duration> {
    Duration::try_from(time).with_context(|| format!("{flag} is not negative"))
}
