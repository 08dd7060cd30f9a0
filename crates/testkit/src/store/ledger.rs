//! The ledger: random operations of several tasks on a few inboxes, replayed afterwards on a
//! model. `TIDINGS_SEED` repeats the operations of a run that failed, `TIDINGS_STEPS` makes a
//! longer one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxChange, PageQuery},
    notification::Item,
    ports::{ChangeSink, Store},
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    StoreHarness,
    follower::Follower,
    ledger_ops::{Actor, Ledger},
    model::Model,
};
use crate::{ManualClock, RecordingSink, users};

const USERS: usize = 5;
const TASKS: u64 = 8;
/// Operations of each task.
const STEPS: u64 = 300;

pub async fn random_operations_give_exactly_what_the_ledger_says(harness: &dyn StoreHarness) {
    let sink = RecordingSink::new();
    let store = harness.open(sink.clone()).await;
    let ledger = run(&store, seed()).await;
    let models = replay(&sink, &ledger);
    check(&store, &ledger, &models).await;
    drop(store);
    let reopened = harness.reopen(RecordingSink::new()).await;
    check(&reopened, &ledger, &models).await;
}

/// Every fifth change is lost on its way to the client.
pub async fn followers_that_lose_changes_converge(harness: &dyn StoreHarness) {
    let (sender, mut changes) = mpsc::unbounded_channel();
    let store = harness.open(Arc::new(Forward(sender))).await;
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed ^ 1);
    let mut followers: BTreeMap<_, _> =
        users("user", USERS).into_iter().map(|user| (user.clone(), Follower::new(user))).collect();
    let mut running = Box::pin(run(&store, seed));
    loop {
        tokio::select! {
            _ = &mut running => break,
            Some(change) = changes.recv() => {
                let lost = rng.random_bool(0.2);
                if let (false, Some(follower)) = (lost, followers.get_mut(&change.user)) {
                    follower.hear(&*store, &change, &mut rng).await;
                }
            }
        }
    }
    for (user, follower) in &mut followers {
        follower.catch_up(&*store, &mut rng).await;
        let rev = store.state(user).await.unwrap().rev;
        follower.assert_converged(&all_items(&store, user).await, rev);
    }
}

struct Forward(mpsc::UnboundedSender<Arc<InboxChange>>);

impl ChangeSink for Forward {
    fn committed(&self, changes: Vec<Arc<InboxChange>>) {
        for change in changes {
            let _ = self.0.send(change);
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

fn seed() -> u64 {
    let seed = number_from("TIDINGS_SEED").unwrap_or_else(rand::random);
    println!("TIDINGS_SEED={seed}");
    seed
}

/// Lets the tasks act; returns what they wrote down.
async fn run(store: &Arc<dyn Store>, seed: u64) -> Ledger {
    let ledger = Arc::<Mutex<Ledger>>::default();
    let clock = ManualClock::default();
    let people = users("user", USERS);
    for user in &people {
        store.see_user(user, clock.tick()).await.unwrap();
    }
    let steps = number_from("TIDINGS_STEPS").unwrap_or(STEPS);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let seed = seed.wrapping_add(task);
        let (store, ledger) = (Arc::clone(store), Arc::clone(&ledger));
        tasks.spawn(Actor::new(store, ledger, clock.clone(), people.clone(), seed).act(steps));
    }
    tasks.join_all().await;
    Arc::into_inner(ledger).unwrap().into_inner().unwrap()
}

/// Goes through the changes of each user in order and does the same on a model.
fn replay(sink: &RecordingSink, ledger: &Ledger) -> BTreeMap<UserId, Model> {
    let mut models = BTreeMap::new();
    let mut added = BTreeMap::new();
    let by_user = sink.by_user();
    for (user, changes) in &by_user {
        let mut model = Model::default();
        for change in changes {
            replay_one(&mut model, change, ledger, &mut added);
            assert_eq!(change.rev, model.rev, "{user}");
            assert_eq!(change.unread, model.unread(), "{user} after rev {}", change.rev);
        }
        models.insert(user.clone(), model);
    }
    for (id, recipients) in &ledger.recipients {
        assert_eq!(added.get(id).copied().unwrap_or(0), *recipients, "recipients of {id}");
    }
    for (user, rev) in ledger.changes.keys() {
        let heard = by_user.get(user).map_or(0, |changes| changes.len() as u64);
        assert!(rev.0 <= heard, "the sink missed rev {rev} of {user}");
    }
    models
}

fn replay_one(
    model: &mut Model,
    change: &InboxChange,
    ledger: &Ledger,
    added: &mut BTreeMap<NotificationId, u64>,
) {
    let user = &change.user;
    if let Some(entry) = ledger.changes.get(&(user.clone(), change.rev)) {
        let (changed, missing) = model.apply(&entry.op, entry.now);
        let outcome = entry.outcome;
        assert_eq!((changed, missing), (outcome.changed, outcome.missing), "{user} {entry:?}");
        assert_eq!(model.unread(), outcome.state.unread, "{user} {entry:?}");
        assert_eq!(model.read_up_to, outcome.state.read_up_to, "{user} {entry:?}");
        if let ChangeKind::Updated(items) = &change.kind {
            assert_eq!(items.len() as u64, changed);
            for item in items {
                assert_eq!(without_delivery(item), model.items[&item.id], "{user} {entry:?}");
            }
        }
        return;
    }
    match &change.kind {
        ChangeKind::Added { message, item } => {
            assert!(ledger.sent[&item.id].contains(user), "{user} was not to get {}", item.id);
            assert_eq!(message.id, item.id);
            assert_eq!(model.add(item.id), item);
            *added.entry(item.id).or_default() += 1;
        }
        ChangeKind::Removed(ids) => {
            assert!(ids.iter().all(|id| ledger.doomed.contains(id)), "{user} lost {ids:?}");
            model.remove(ids);
        }
        // It touched no item but moved the watermark.
        ChangeKind::ReadAll { up_to } => {
            let op = tidings_core::inbox::InboxOp::ReadAll { up_to: Some(*up_to) };
            assert_eq!(model.apply(&op, tidings_core::time::Timestamp::EPOCH), (0, 0));
        }
        other => panic!("{user}: nobody did rev {}: {other:?}", change.rev),
    }
}

fn without_delivery(item: &Item) -> Item {
    Item { delivered_at: None, ..item.clone() }
}

/// What the store holds is what the model holds.
async fn check(store: &Arc<dyn Store>, ledger: &Ledger, models: &BTreeMap<UserId, Model>) {
    for (user, model) in models {
        let state = store.state(user).await.unwrap();
        assert_eq!(
            tidings_core::inbox::InboxState { floor: Rev(0), ..state },
            model.state(),
            "{user}"
        );
        let acknowledged = ledger.acknowledged.get(user).copied().unwrap_or_default();
        let mut stored = all_items(store, user).await;
        for item in stored.values_mut() {
            assert_eq!(item.delivered_at.is_some(), item.seq <= acknowledged, "{user} {item:?}");
            item.delivered_at = None;
        }
        assert_eq!(stored, model.items, "{user}");
        let opening =
            store.open(user, tidings_core::inbox::OpenFrom::Since(state.rev)).await.unwrap();
        assert!(opening.pending.items.is_empty() && !opening.pending.reset);
    }
}

/// Every item, by walking both lists to their ends.
async fn all_items(store: &Arc<dyn Store>, user: &UserId) -> BTreeMap<NotificationId, Item> {
    let mut items = BTreeMap::new();
    for archived in [false, true] {
        let mut before = None;
        loop {
            let query = PageQuery {
                user: user.clone(),
                limit: 7,
                before,
                page: None,
                unread_only: false,
                archived,
                kind: None,
                tenant: None,
            };
            let page = store.page(query).await.unwrap();
            before = page.notifications.last().map(|notification| notification.item.seq);
            for notification in page.notifications {
                assert_eq!(notification.item.archived_at.is_some(), archived);
                items.insert(notification.item.id, notification.item);
            }
            if !page.has_more {
                break;
            }
        }
    }
    items
}
