//! Inboxes: accept, change, read.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_core::{
    idempotency::IdempotencyClaim,
    ids::{DeviceId, NotificationId, Rev, UserId},
    inbox::{Device, InboxOp, InboxState, OpOutcome, OpenFrom, Opening, Page, PageQuery, Sync},
    notification::Notification,
    ports::{Accept, AcceptOutcome, Inboxes, StoreError},
    time::Timestamp,
};

use crate::{
    PostgresStore, accept, acknowledge, change, idempotency, inboxes,
    lane::{self, Job, Task, Weight},
    messages, open, page,
    retry::Repeat::Always,
    rev_at, sync, watermark,
};

#[async_trait]
impl Inboxes for PostgresStore {
    async fn accept(&self, request: Accept) -> Result<AcceptOutcome, StoreError> {
        let request = accept::Request::new(request)?;
        let (weight, route) = (request.weight(), request.route().to_owned());
        let (task, answer) = Task::new(request);
        self.lanes().enqueue(&route, weight, Job::Accept(task))?;
        Self::answer(answer).await
    }

    async fn accept_in_order(
        &self,
        requests: Vec<Accept>,
    ) -> Result<Vec<Result<AcceptOutcome, StoreError>>, StoreError> {
        let requests = requests.into_iter().map(accept::Request::new);
        let requests = Arc::new(requests.collect::<Result<Vec<_>, _>>()?);
        let weights = requests.iter().map(accept::Request::weight);
        let weight = weights.fold(Weight::default(), |sum, one| Weight {
            rows: sum.rows + one.rows,
            bytes: sum.bytes + one.bytes,
        });
        let route = requests.first().map_or("", |first| first.route()).to_owned();
        self.write(&route, weight, move |tx| {
            let requests = Arc::clone(&requests);
            Box::pin(async move { lane::accept_in(tx, &requests).await })
        })
        .await
    }

    async fn replay(
        &self,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Result<Option<AcceptOutcome>, StoreError> {
        self.retry(Always, || async move {
            idempotency::outcome(&self.reader().await?, claim, now).await
        })
        .await
    }

    async fn change(
        &self,
        user: &UserId,
        op: InboxOp,
        now: Timestamp,
    ) -> Result<OpOutcome, StoreError> {
        let user = user.clone();
        let route = user.clone();
        let weight = change::weight(&op);
        let (InboxOp::ReadAll { up_to } | InboxOp::Clear { up_to }) = op else {
            let (task, answer) = Task::new(change::Request { user, op, now });
            self.lanes().enqueue(route.as_str(), weight, Job::Change(task))?;
            return Self::answer(answer).await;
        };
        let reads = matches!(op, InboxOp::ReadAll { .. });
        self.write(route.as_str(), weight, move |tx| {
            let user = user.clone();
            Box::pin(async move {
                match reads {
                    true => watermark::read_all(tx, &user, up_to, now).await,
                    false => watermark::clear(tx, &user, up_to, now).await,
                }
            })
        })
        .await
    }

    async fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        up_to: Rev,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let is_news = self
            .retry(Always, || async move {
                acknowledge::is_news(&self.reader().await?, user, device, up_to).await
            })
            .await?;
        if !is_news {
            return Ok(());
        }
        let request =
            acknowledge::Request { user: user.clone(), device: device.cloned(), up_to, now };
        let (task, answer) = Task::new(request);
        let weight = Weight { rows: 1, bytes: 256 };
        self.lanes().enqueue(user.as_str(), weight, Job::Acknowledge(task))?;
        Self::answer(answer).await
    }

    async fn state(&self, user: &UserId) -> Result<InboxState, StoreError> {
        self.retry(Always, || async move { inboxes::state(&self.reader().await?, user).await })
            .await
    }

    async fn devices(&self, user: &UserId) -> Result<Vec<Device>, StoreError> {
        self.retry(
            Always,
            || async move { acknowledge::devices(&self.reader().await?, user).await },
        )
        .await
    }

    async fn states(&self, users: &[UserId]) -> Result<Vec<(UserId, InboxState)>, StoreError> {
        self.retry(Always, || async move {
            let snapshot = self.snapshot().await?;
            let states = inboxes::states(&snapshot, users).await?;
            snapshot.end().await?;
            Ok(states)
        })
        .await
    }

    async fn notification(
        &self,
        user: &UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError> {
        self.retry(Always, || async move {
            let snapshot = self.snapshot().await?;
            let notification = messages::notification(&snapshot, user, id).await?;
            snapshot.end().await?;
            Ok(notification)
        })
        .await
    }

    async fn exists(&self, id: NotificationId) -> Result<bool, StoreError> {
        self.retry(Always, || async move {
            let snapshot = self.snapshot().await?;
            let exists = messages::exists(&snapshot, id).await?;
            snapshot.end().await?;
            Ok(exists)
        })
        .await
    }

    async fn page(&self, query: PageQuery) -> Result<Page, StoreError> {
        let query = &query;
        if let Some(page) = self.page_of_replica(query).await {
            return Ok(page);
        }
        self.retry(Always, || async move { page::page(self.snapshot().await?, query).await }).await
    }

    async fn sync(&self, user: &UserId, since: Rev, limit: usize) -> Result<Sync, StoreError> {
        self.retry(Always, || async move {
            let snapshot = self.snapshot().await?;
            let sync = sync::sync(&snapshot, user, since, limit).await?;
            snapshot.end().await?;
            Ok(sync)
        })
        .await
    }

    async fn rev_at(&self, user: &UserId, at: Timestamp) -> Result<Rev, StoreError> {
        self.retry(Always, || async move {
            let snapshot = self.snapshot().await?;
            let rev = rev_at::rev_at(&snapshot, user, at).await?;
            snapshot.end().await?;
            Ok(rev)
        })
        .await
    }

    async fn open(&self, user: &UserId, from: OpenFrom) -> Result<Opening, StoreError> {
        let from = &from;
        self.retry(Always, || async move {
            let snapshot = self.snapshot().await?;
            let opening = open::open(&snapshot, user, from).await?;
            snapshot.end().await?;
            Ok(opening)
        })
        .await
    }
}
