//! Carries out what applications leave in Redis.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::join_all};
use tidings_bus::ingest::{Entry, Stream, Taken};
use tidings_core::{
    audit::{Actor, Happening},
    idempotency::IdempotencyClaim,
    ids::UserId,
    notification::{NewMessage, Recipients},
    ports::{Accept, AcceptOutcome, BusError, StoreError},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    ingest::{Became, Ends, Ingest, Message, Published, Work},
    lifecycle::Phase,
    rooms,
    spool::Spool,
    state::AppState,
};

/// Entries that are read at once.
const BATCH: usize = 200;
/// After a failure.
const REST: Duration = Duration::from_secs(1);
/// So often an entry is tried that the store fails on.
const ATTEMPTS: u32 = 5;

pub(crate) fn start(loops: &mut JoinSet<()>, state: &AppState) {
    let ingest = state.ingest.clone().filter(|_| state.config.role.works());
    let Some(ingest) = ingest else { return };
    let Some(Ends { link, published, streams: [reader, writer] }) = ingest.take_ends() else {
        return;
    };
    let (stopping, listener) = (state.lifecycle.clone(), Arc::clone(&ingest) as _);
    loops.spawn(async move {
        tokio::select! {
            () = link.run(listener) => {}
            () = stopping.reached(Phase::Stopping) => {}
        }
    });
    let stopping = state.clone();
    loops.spawn(async move {
        tokio::select! {
            () = file(&stopping, published, writer) => {}
            () = stopping.lifecycle.reached(Phase::Stopping) => {}
        }
    });
    let consumer = Consumer {
        state: state.clone(),
        ingest,
        stream: reader,
        unfinished: true,
        failed: HashMap::new(),
        next_claim: Instant::now(),
    };
    loops.spawn(consumer.run());
}

/// Puts what comes by channels into the stream, in its order.
async fn file(state: &AppState, mut published: mpsc::Receiver<Published>, stream: Stream) {
    while let Some(Published { channel, payload, .. }) = published.recv().await {
        let became = match stream.take(&channel, &payload).await {
            Ok(Taken::Here) => Message::Taken,
            Ok(Taken::Elsewhere) => Message::Elsewhere,
            Ok(Taken::Full) => Message::Full,
            Err(problem) => {
                tracing::warn!(%problem, "a message of a channel was lost");
                Message::Lost
            }
        };
        state.metrics.ingest.message(became);
    }
}

/// One of the group that reads the stream.
struct Consumer {
    state: AppState,
    ingest: Arc<Ingest>,
    stream: Stream,
    /// This node may have entries that it has not carried out.
    unfinished: bool,
    /// Entries that the store failed on, and how often.
    failed: HashMap<String, u32>,
    /// When it is looked for entries of nodes that are gone.
    next_claim: Instant,
}

/// An entry with a notification.
struct Notice {
    id: String,
    entry: Entry,
    message: Box<NewMessage>,
    claim: IdempotencyClaim,
}

impl Consumer {
    async fn run(mut self) {
        let state = self.state.clone();
        while state.lifecycle.phase() < Phase::Stopping {
            // A panic is a bug, but not one that may end this for good.
            let round = AssertUnwindSafe(self.round()).catch_unwind().await;
            match round {
                Ok(Ok(true)) => continue,
                // The store is away.
                Ok(Ok(false)) => {}
                Ok(Err(problem)) => {
                    tracing::warn!(%problem, "the stream in Redis cannot be read");
                }
                Err(_) => tracing::error!("a round of ingestion panicked; it is tried again"),
            }
            self.unfinished = true;
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                () = state.lifecycle.reached(Phase::Stopping) => {}
            }
        }
    }

    /// Carries out what is there, or waits for it. `false`: it has to wait.
    async fn round(&mut self) -> Result<bool, BusError> {
        if let Some(spool) = &self.state.spool
            && !is_passable(spool).await
        {
            return Ok(false);
        }
        let entries = self.entries().await?;
        if entries.is_empty() {
            tokio::time::sleep(self.state.config.ingest.pause).await;
            return Ok(true);
        }
        self.carry_out(entries).await
    }

    async fn entries(&mut self) -> Result<Vec<Entry>, BusError> {
        if self.unfinished {
            let own = self.stream.own(BATCH).await?;
            self.unfinished = !own.is_empty();
            return Ok(own);
        }
        let idle = self.state.config.ingest.claim_after;
        if Instant::now() >= self.next_claim {
            let claimed = self.stream.reclaim(idle, BATCH).await?;
            if claimed.is_empty() {
                self.next_claim = Instant::now() + idle / 2;
                self.stream.forget_consumers().await?;
            } else {
                tracing::info!(event = "ingest.reclaimed", entries = claimed.len());
            }
            return Ok(claimed);
        }
        self.stream.fresh(BATCH).await
    }

    /// In their order; side by side only what is for different users.
    async fn carry_out(&mut self, entries: Vec<Entry>) -> Result<bool, BusError> {
        let mut together: Vec<Notice> = Vec::new();
        let mut users: HashSet<UserId> = HashSet::new();
        for entry in entries {
            let now = self.state.clock.now();
            let read = || self.ingest.read(&self.state, &entry, now);
            let work = std::panic::catch_unwind(AssertUnwindSafe(read))
                .unwrap_or_else(|_| Err("it made the server panic".into()));
            match work {
                Ok(Work::Notify(message, claim)) => {
                    let alone = !joins(&message, &mut users);
                    if alone && !self.accept(std::mem::take(&mut together)).await? {
                        return Ok(false);
                    }
                    if alone {
                        users.clear();
                        joins(&message, &mut users);
                    }
                    together.push(Notice { id: entry.id.clone(), entry, message, claim });
                }
                Ok(Work::Say(event)) => {
                    if !self.accept(std::mem::take(&mut together)).await? {
                        return Ok(false);
                    }
                    users.clear();
                    // At most once: better not said than said twice, also by a node that took it over meanwhile.
                    if self.stream.done(&[entry.id]).await? == 0 {
                        continue;
                    }
                    match rooms::publish(&self.state, event).await {
                        Ok(()) => self.state.metrics.ingest.entry(Became::Said),
                        Err(problem) => {
                            tracing::warn!(%problem, "an event of the stream was not said everywhere");
                        }
                    }
                }
                Err(reason) => self.bury(&entry, &reason).await?,
            }
        }
        self.accept(together).await
    }

    /// Has them stored. `false`: the store is away, and what is left has to wait.
    async fn accept(&mut self, notices: Vec<Notice>) -> Result<bool, BusError> {
        if notices.is_empty() {
            return Ok(true);
        }
        if self.unfinished {
            self.state.breakers.hasten_write(self.state.config.spool.retry);
        }
        let now = self.state.clock.now();
        let accepting = notices.iter().map(|notice| {
            let (message, claim) = ((*notice.message).clone(), notice.claim.clone());
            self.state.store.accept(Accept {
                messages: vec![message],
                idempotency: Some(claim),
                now,
            })
        });
        let outcomes = join_all(accepting).await;
        let (mut done, mut goes_on) = (Vec::new(), true);
        for (notice, outcome) in notices.into_iter().zip(outcomes) {
            match outcome {
                Ok(outcome) => {
                    report(&self.state, &outcome);
                    self.failed.remove(&notice.id);
                    done.push(notice.id);
                }
                Err(StoreError::Busy | StoreError::Unavailable(_)) => goes_on = false,
                Err(StoreError::IdempotencyMismatch) => {
                    self.bury(&notice.entry, "another entry had this id").await?;
                }
                Err(StoreError::Internal(problem)) => {
                    let failed = self.failed.entry(notice.id.clone()).or_default();
                    *failed += 1;
                    if *failed >= ATTEMPTS {
                        self.failed.remove(&notice.id);
                        self.bury(&notice.entry, &format!("the store fails on it: {problem}"))
                            .await?;
                    } else {
                        goes_on = false;
                    }
                }
            }
        }
        self.stream.done(&done).await?;
        Ok(goes_on)
    }

    async fn bury(&mut self, entry: &Entry, reason: &str) -> Result<(), BusError> {
        self.stream.bury(entry, reason).await?;
        self.state.metrics.ingest.entry(Became::Dead);
        // Why may quote what was written.
        tracing::warn!(event = "ingest.dead", entry = entry.id, "the dead stream has the reason");
        Ok(())
    }
}

/// What waits in the spool was accepted before.
async fn is_passable(spool: &Spool) -> bool {
    spool.is_passable().await
}

/// Whether it has no user in common with the others; then they are its users too.
fn joins(message: &NewMessage, users: &mut HashSet<UserId>) -> bool {
    match &message.recipients {
        Recipients::Users(its) if its.iter().all(|user| !users.contains(user)) => {
            users.extend(its.iter().cloned());
            true
        }
        _ => false,
    }
}

fn report(state: &AppState, outcome: &AcceptOutcome) {
    let became = if outcome.replayed { Became::Repeated } else { Became::Accepted };
    state.metrics.ingest.entry(became);
    for announced in outcome.accepted.iter().filter(|accepted| accepted.announced) {
        state.announced.notify_one();
        if !outcome.replayed {
            let happening =
                Happening::new("announcement.accepted", Actor::System).target(announced.id);
            state.audit.record_often(happening.with("recipients", announced.recipients));
        }
    }
}
