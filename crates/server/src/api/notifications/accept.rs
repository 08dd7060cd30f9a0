//! Has messages stored; while the database is away, spools them.

use tidings_core::{
    idempotency::IdempotencyClaim,
    ports::{Accept, AcceptOutcome, Accepted, StoreError},
};

use crate::{
    api::{caller::Server, problem::Problem},
    inbox::provisional,
    spool::{Record, STORED_FIRST, Spool},
    state::AppState,
};

/// Where the messages of one request are handed in.
pub(super) struct Desk<'a> {
    state: &'a AppState,
    server: &'a Server,
    /// Nothing of it may be spooled.
    require_store: bool,
}

/// What became of them.
pub(super) enum Taken {
    Committed(AcceptOutcome),
    Spooled(AcceptOutcome),
}

impl Taken {
    /// The outcome, and whether it is one of the spool.
    pub(super) fn parts(&self) -> (&AcceptOutcome, bool) {
        match self {
            Self::Committed(outcome) => (outcome, false),
            Self::Spooled(outcome) => (outcome, true),
        }
    }

    pub(super) fn is_replayed(&self) -> bool {
        self.parts().0.replayed
    }

    pub(super) fn set_note(&mut self, note: String) {
        match self {
            Self::Committed(outcome) | Self::Spooled(outcome) => outcome.note = note,
        }
    }
}

impl<'a> Desk<'a> {
    pub(super) fn new(state: &'a AppState, server: &'a Server, require_store: bool) -> Self {
        let require_store = require_store || state.config.spool.require_store;
        Self { state, server, require_store }
    }

    fn spool(&self) -> Option<&'a Spool> {
        self.state.spool.as_ref().filter(|_| !self.require_store)
    }

    /// The outcome of the request that had this key first. While the database is away only what waits in the spool is
    /// known; the rest is found out when it is carried out.
    pub(super) async fn replay(&self, claim: &IdempotencyClaim) -> Result<Option<Taken>, Problem> {
        if let Some(record) = self.waiting(claim).await? {
            if !record.is_of(claim) {
                return Err(StoreError::IdempotencyMismatch.into());
            }
            return Ok(Some(Taken::Spooled(record.outcome(true))));
        }
        match self.state.store.replay(claim, self.state.clock.now()).await {
            Err(StoreError::Unavailable(_)) if self.spool().is_some() => Ok(None),
            outcome => Ok(outcome?.map(Taken::Committed)),
        }
    }

    async fn waiting(&self, claim: &IdempotencyClaim) -> Result<Option<Record>, Problem> {
        let Some(spool) = &self.state.spool else { return Ok(None) };
        let found = spool.find(&claim.scope, &claim.key).await;
        // Not knowing is no answer: it might be done twice.
        Ok(found.map_err(|problem| StoreError::Unavailable(format!("the spool: {problem}")))?)
    }

    /// Has the messages stored, or spooled if the store is away or what was spooled before still waits.
    pub(super) async fn accept(&self, request: Accept) -> Result<Taken, Problem> {
        let passable = match &self.state.spool {
            Some(spool) => spool.is_passable().await,
            None => true,
        };
        let Some(spool) = self.spool() else {
            if !passable {
                return Err(StoreError::Unavailable(STORED_FIRST.to_owned()).into());
            }
            return Ok(self.committed(self.state.store.accept(request).await?));
        };
        if !passable {
            return self.keep(spool, request, true).await;
        }
        let patience = self.state.config.spool.patience;
        let attempt = self.state.store.accept(request.clone());
        match tokio::time::timeout(patience, attempt).await {
            Ok(Ok(outcome)) => Ok(self.committed(outcome)),
            Ok(Err(StoreError::Unavailable(problem))) => {
                tracing::debug!(problem, "a request is spooled");
                self.keep(spool, request, true).await
            }
            Ok(Err(problem)) => Err(problem.into()),
            Err(_) => {
                // It may be stored any moment, and its devices told: they are not to be told twice.
                self.state.breakers.write_is_late();
                self.keep(spool, request, false).await
            }
        }
    }

    /// Answered once it is on the disk.
    async fn keep(&self, spool: &Spool, request: Accept, show: bool) -> Result<Taken, Problem> {
        let record = Record::new(request, self.server.key.id.clone(), self.server.ip);
        let metrics = &self.state.metrics.spool;
        let held = spool.append(&record).await.inspect_err(|problem| metrics.refused(problem))?;
        metrics.spooled();
        if show {
            provisional::show(self.state, &record).await;
        }
        // From here on it may be carried out: whoever was shown it hears of that afterwards.
        drop(held);
        Ok(Taken::Spooled(record.outcome(false)))
    }

    /// Wakes who announces, if there is something to announce.
    fn committed(&self, outcome: AcceptOutcome) -> Taken {
        let announced = || outcome.accepted.iter().filter(|accepted| accepted.announced);
        if announced().next().is_some() {
            self.state.announced.notify_one();
        }
        if !outcome.replayed {
            for Accepted { id, recipients, .. } in announced() {
                let happening = self.server.does("announcement.accepted").target(id);
                self.server.did_once(happening.with("recipients", recipients));
            }
        }
        Taken::Committed(outcome)
    }
}
