//! What was measured, for people and for programs.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::{
    measure::Outcome,
    tally::{Failures, Messages, Opened, Times},
};

/// A thread that was busier than this was what limited the measurement.
const BUSY: f64 = 0.9;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub target: String,
    /// It was stopped before its time.
    pub interrupted: bool,
    pub connections: Connections,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unicast: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<Connections>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posts: Option<Posts>,
    /// Connections that ended meanwhile.
    pub ended: Vec<Reason>,
    /// To a connection that it was not for.
    pub astray: u64,
    /// Of a message, with its WebSocket header.
    pub frame_bytes: u64,
    pub received_bytes: u64,
    pub seconds: f64,
    pub generator: Generator,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    pub wanted: u64,
    pub connected: u64,
    pub failed: u64,
    pub failures: Vec<Reason>,
    /// Joins that the server did not answer.
    pub unconfirmed_joins: u64,
    pub per_second: f64,
    pub latency_ms: Latency,
}

/// Messages to everybody, or to one connection each.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kind {
    pub sent: u64,
    pub expected: u64,
    pub received: u64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    pub deliveries_per_second: f64,
    pub latency_ms: Latency,
    /// Until the last recipient of a broadcast had it (with one thread).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_recipient_ms: Option<Latency>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Posts {
    pub answered: u64,
    /// Due, and never sent: the server took no more.
    pub unsent: u64,
    pub not_taken: Vec<Reason>,
    pub latency_ms: Latency,
}

#[derive(Debug, Serialize)]
pub struct Reason {
    pub count: u64,
    pub reason: String,
}

#[derive(Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generator {
    /// Shares of a core that its threads took, while clients came and then.
    pub opening_cpu: Vec<f64>,
    pub cpu: Vec<f64>,
    /// It may have been what limited the figures.
    pub was_bottleneck: bool,
    /// From when messages were due to when they were sent.
    pub late_ms: Latency,
}

impl Report {
    pub fn new(target: &str, outcome: &Outcome, interrupted: bool) -> Self {
        let Outcome { opened, tally, opening_cpu } = outcome;
        let kind =
            |messages: &Messages| (messages.sent > 0).then(|| Kind::new(messages, tally.seconds));
        let posted = !tally.answers.is_empty() || tally.unsent > 0 || tally.not_taken.count() > 0;
        Self {
            target: target.to_owned(),
            interrupted,
            connections: Connections::new(opened),
            broadcast: kind(&tally.broadcast),
            unicast: kind(&tally.unicast),
            churn: (tally.churn.wanted > 0).then(|| Connections::new(&tally.churn)),
            posts: posted.then(|| Posts {
                answered: tally.answers.len(),
                unsent: tally.unsent,
                not_taken: reasons(&tally.not_taken),
                latency_ms: Latency::new(&tally.answers),
            }),
            ended: reasons(&tally.ends),
            astray: tally.astray,
            frame_bytes: tally.frame_bytes,
            received_bytes: tally.bytes,
            seconds: tally.seconds,
            generator: Generator {
                opening_cpu: opening_cpu.clone(),
                cpu: tally.cpu.clone(),
                was_bottleneck: tally.cpu.iter().any(|share| *share > BUSY),
                late_ms: Latency::new(&tally.lateness),
            },
        }
    }
}

impl Connections {
    fn new(opened: &Opened) -> Self {
        let connected = opened.connected.len();
        Self {
            wanted: opened.wanted,
            connected,
            failed: opened.failures.count(),
            failures: reasons(&opened.failures),
            unconfirmed_joins: opened.unconfirmed,
            per_second: connected as f64 / opened.seconds.max(1e-9),
            latency_ms: Latency::new(&opened.connected),
        }
    }
}

impl Kind {
    fn new(messages: &Messages, seconds: f64) -> Self {
        Self {
            sent: messages.sent,
            expected: messages.expected,
            received: messages.bill.received,
            lost: messages.bill.lost,
            doubled: messages.bill.doubled,
            reordered: messages.bill.reordered,
            deliveries_per_second: messages.bill.received as f64 / seconds.max(1e-9),
            latency_ms: Latency::new(&messages.latency),
            last_recipient_ms: (!messages.last.is_empty()).then(|| Latency::new(&messages.last)),
        }
    }
}

impl Latency {
    pub fn new(times: &Times) -> Self {
        let at = |percent| times.percentile(percent);
        let (p50, p90, p95, p99, p999) = (at(50.0), at(90.0), at(95.0), at(99.0), at(99.9));
        Self { p50, p90, p95, p99, p999, max: times.max() }
    }
}

fn reasons(failures: &Failures) -> Vec<Reason> {
    let reason = |(reason, count): (&str, u64)| Reason { count, reason: reason.to_owned() };
    failures.sorted().into_iter().map(reason).collect()
}

impl Display for Latency {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max, .. } = self;
        write!(f, "p50 {p50:.2} · p90 {p90:.2} · p99 {p99:.2} · p99.9 {p999:.2} · max {max:.2} ms")
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.interrupted {
            writeln!(f, "Interrupted: what was measured until then.")?;
        }
        self.connections.write(f, "Connections")?;
        if let Some(kind) = &self.broadcast {
            kind.write(f, "Broadcast", self.seconds)?;
        }
        if let Some(kind) = &self.unicast {
            kind.write(f, "Unicast", self.seconds)?;
        }
        if let Some(churn) = &self.churn {
            churn.write(f, "Came and went")?;
        }
        if let Some(posts) = &self.posts {
            let Posts { answered, unsent, not_taken, latency_ms } = posts;
            writeln!(f, "Posts          {answered} answered, {unsent} not sent")?;
            writeln!(f, "  answer       {latency_ms}")?;
            write_reasons(f, not_taken)?;
        }
        if !self.ended.is_empty() {
            let count: u64 = self.ended.iter().map(|reason| reason.count).sum();
            writeln!(f, "Ended early    {count} connections")?;
            write_reasons(f, &self.ended)?;
        }
        if self.astray > 0 {
            writeln!(f, "Astray         {} messages reached a wrong connection", self.astray)?;
        }
        self.generator.write(f)
    }
}

impl Connections {
    fn write(&self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        let Self { connected, wanted, per_second, latency_ms, .. } = self;
        writeln!(f, "{name:<14} {connected} of {wanted}, {per_second:.0} a second")?;
        writeln!(f, "  until in     {latency_ms}")?;
        if self.unconfirmed_joins > 0 {
            let count = self.unconfirmed_joins;
            writeln!(
                f,
                "  {count} joins were not acknowledged: it is not known whether they hold"
            )?;
        }
        write_reasons(f, &self.failures)
    }
}

impl Kind {
    fn write(&self, f: &mut Formatter<'_>, name: &str, seconds: f64) -> fmt::Result {
        let Self { sent, expected, received, lost, doubled, reordered, .. } = self;
        let rate = *sent as f64 / seconds.max(1e-9);
        writeln!(f, "{name:<14} {sent} messages, {rate:.0} a second")?;
        writeln!(
            f,
            "  received     {received} of {expected}, {:.0} a second: lost {lost}, doubled {doubled}, reordered {reordered}",
            self.deliveries_per_second
        )?;
        writeln!(f, "  latency      {}", self.latency_ms)?;
        if let Some(last) = &self.last_recipient_ms {
            writeln!(f, "  to the last  {last}")?;
        }
        Ok(())
    }
}

impl Generator {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let share = |share: &f64| format!("{:.0} %", share * 100.0);
        let shares: Vec<String> = self.cpu.iter().map(share).collect();
        let late = &self.late_ms;
        writeln!(
            f,
            "Generator      {} of a core; messages sent late by p99 {:.2} ms",
            shares.join(", "),
            late.p99
        )?;
        if self.was_bottleneck {
            writeln!(
                f,
                "  The generator itself was at its limit: the server can do more than this (--threads)."
            )?;
        }
        Ok(())
    }
}

fn write_reasons(f: &mut Formatter<'_>, reasons: &[Reason]) -> fmt::Result {
    for Reason { count, reason } in reasons.iter().take(5) {
        writeln!(f, "  {count} × {reason}")?;
    }
    Ok(())
}
