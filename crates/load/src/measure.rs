//! A whole measurement: clients come, messages are sent, the bill is made up.

use std::{sync::Arc, thread, time::Duration};

use crate::{
    Error, Hellos,
    clock::{Clock, thread_cpu},
    engine::{Engine, Rush},
    ledger::Ledger,
    run::Load,
    socket::Role,
    tally::{Opened, Tally},
    target::Target,
};

/// What is to be measured.
#[derive(Clone)]
pub struct Plan {
    pub hellos: Hellos,
    pub connections: usize,
    /// Further clients, that emit.
    pub senders: usize,
    pub rush: Rush,
    /// How long a client may take to get in.
    pub patience: Duration,
    /// Only events with this name are messages.
    pub listen: Option<String>,
    /// Local addresses; none: as the system likes.
    pub sources: Vec<std::net::IpAddr>,
    pub threads: usize,
    pub load: Load,
}

#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub opened: Opened,
    pub tally: Tally,
    /// Shares of a core that the threads took while clients came.
    pub opening_cpu: Vec<f64>,
}

/// Measures, and returns when it is over or the ledger says stop.
pub fn measure(plan: &Plan, ledger: &Arc<Ledger>) -> Result<Outcome, Error> {
    let clock = Clock::start();
    let threads = plan.threads.clamp(1, plan.connections.max(1));
    let target = &plan.hellos.target;
    let engine = || {
        let mut engine =
            Engine::new(target.clone(), plan.sources.clone(), clock, Arc::clone(ledger))?;
        if let Some(event) = &plan.listen {
            engine.listen_to(event);
        }
        Ok(engine)
    };
    let mut engines = (0..threads).map(|_| engine()).collect::<Result<Vec<_>, Error>>()?;
    let mut outcome = Outcome::default();
    if let Some(first) = engines.first_mut() {
        outcome.opened = first_client(first, plan)?;
    }
    let opened = together(&mut engines, |index, engine| {
        let cpu = thread_cpu();
        let numbers = (1..plan.connections).filter(|number| number % threads == index);
        let mut rush = plan.rush;
        if let Rush::PerSecond(rate) = &mut rush {
            *rate /= threads as f64;
        }
        let mut opened =
            engine.open(plan.hellos.make(numbers)?, Role::Member, rush, plan.patience)?;
        if index == 0 && plan.senders > 0 {
            let last = plan.connections + plan.senders;
            let senders = plan.hellos.make(plan.connections..last)?;
            opened.extend(&engine.open(senders, Role::Sender, Rush::Abreast(10), plan.patience)?);
        }
        Ok((thread_cpu() - cpu, opened))
    })?;
    for (cpu, opened) in opened {
        outcome.opening_cpu.push(cpu / opened.seconds.max(1e-9));
        outcome.opened.extend(&opened);
    }
    enough(&outcome.opened, plan)?;
    for engine in &mut engines {
        engine.prepare(plan.load.streams(plan.senders));
    }
    let tallies = together(&mut engines, |index, engine| match index {
        0 => engine.run(&plan.load),
        _ => engine.run(&Load { sends: false, churn: None, ..plan.load.clone() }),
    })?;
    for tally in &tallies {
        outcome.tally.extend(tally);
    }
    taken(&outcome.tally)?;
    Ok(outcome)
}

/// Runs the same on every engine, in a thread each.
fn together<T: Send>(
    engines: &mut [Engine],
    work: impl Fn(usize, &mut Engine) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = engines
            .iter_mut()
            .enumerate()
            .map(|(index, engine)| scope.spawn(move || work(index, engine)))
            .collect();
        let broken = |_| std::io::Error::other("a thread of the generator broke").into();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|e| Err(broken(e)))).collect()
    })
}

/// What is wrong with the address, the token or the rooms shows at the first client.
fn first_client(engine: &mut Engine, plan: &Plan) -> Result<Opened, Error> {
    let first = plan.hellos.make([0])?;
    let opened = engine.open(first, Role::Member, Rush::AtOnce, plan.patience)?;
    match opened.failures.sorted().first() {
        Some((reason, _)) => Err(Error::FirstClient((*reason).to_owned())),
        None => Ok(opened),
    }
}

/// Without clients there is nothing to measure.
fn enough(opened: &Opened, plan: &Plan) -> Result<(), Error> {
    let (failed, wanted) = (opened.failures.count(), opened.wanted);
    let reason = opened.failures.sorted().first().map(|(reason, _)| (*reason).to_owned());
    match reason {
        Some(reason) if failed * 2 > wanted && plan.connections > 1 => {
            Err(Error::Clients { failed, wanted, reason })
        }
        _ => Ok(()),
    }
}

/// A wrong key or path shows at the first message.
fn taken(tally: &Tally) -> Result<(), Error> {
    let delivered = tally.broadcast.bill.received + tally.unicast.bill.received;
    match tally.not_taken.sorted().first() {
        Some((reason, _)) if delivered == 0 => Err(Error::NothingTaken((*reason).to_owned())),
        _ => Ok(()),
    }
}

impl Plan {
    /// Files that will be open: connections, and a few more.
    pub fn files(&self) -> u64 {
        (self.connections + self.senders + 2_500 * usize::from(self.load.churn.is_some())) as u64
            + 200
    }

    /// Local addresses that these connections need.
    pub fn sources_for(target: &Target, connections: usize, load: &Load) -> Vec<std::net::IpAddr> {
        // Whoever comes and goes leaves a port behind that rests for a minute.
        let passing = load.churn.as_ref().map_or(0.0, |churn| churn.rate * 60.0);
        target.sources(connections + passing as usize)
    }
}
