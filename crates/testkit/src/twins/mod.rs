//! Two stores that are to behave alike: the same random operations on both, and whatever either
//! says is compared.
//!
//! Operations come one after the other from a seed, so a run that failed is repeated exactly.
//! What two stores may choose freely is not compared: in which order the items of one rev are
//! named, and texts of errors that come from a database.

mod deed;
mod dice;
mod look;
mod script;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tidings_core::{
    ids::UserId,
    inbox::{ChangeKind, InboxChange},
    ports::Store,
    time::Timestamp,
};

use crate::RecordingSink;
use script::{Script, Step};

/// How often everything that can be read is compared, in operations.
const ALL: u64 = 2_500;

/// A store and what it tells.
pub struct Twin {
    pub name: &'static str,
    pub store: Arc<dyn Store>,
    pub sink: Arc<RecordingSink>,
}

/// Gives both `steps` operations; panics at the first difference.
pub async fn assert_alike(left: Twin, right: Twin, seed: u64, steps: u64) {
    println!("TIDINGS_SEED={seed} TIDINGS_STEPS={steps}");
    let begun = Instant::now();
    let mut script = Script::new(seed, steps);
    let mut told = 0;
    for (number, step) in script.opening().into_iter().enumerate() {
        told += both(&left, &right, &step, &format!("opening {number}")).await;
    }
    for number in 1..=steps {
        let step = script.next();
        told += both(&left, &right, &step, &format!("step {number}")).await;
        if number % ALL == 0 || number == steps {
            let looks = script.everything();
            for step in looks {
                both(&left, &right, &step, &format!("everything after step {number}")).await;
            }
        }
    }
    assert!(told as u64 > steps / 4, "the operations did too little: {told} changes");
    println!("{steps} operations, {told} changes, {:.1} s", begun.elapsed().as_secs_f64());
}

/// One operation on both; returns how many changes it made.
async fn both(left: &Twin, right: &Twin, step: &Step, at: &str) -> usize {
    let (of_left, of_right) = tokio::join!(step.run(&*left.store), step.run(&*right.store));
    assert_eq!(of_left, of_right, "{at}: {} and {} differ on {step:?}", left.name, right.name);
    let (told_left, told_right) = (changes(&left.sink), changes(&right.sink));
    assert_eq!(
        told_left, told_right,
        "{at}: {} and {} tell different changes of {step:?}",
        left.name, right.name
    );
    told_left.values().map(Vec::len).sum()
}

/// What was told since the last look, by user: the order counts only within an inbox.
fn changes(sink: &RecordingSink) -> BTreeMap<UserId, Vec<String>> {
    let mut users = BTreeMap::<_, Vec<_>>::new();
    for change in sink.take() {
        users.entry(change.user.clone()).or_default().push(shown(&change));
    }
    users
}

fn shown(change: &InboxChange) -> String {
    let InboxChange { rev, unread, at, kind, .. } = change;
    let at = Timestamp::as_millis(*at);
    let kind = match kind {
        ChangeKind::Added { message, item } => {
            format!("added {item:?} {}", serde_json::to_string(&**message).unwrap())
        }
        ChangeKind::Updated(items) => {
            let mut items = items.clone();
            items.sort_unstable_by_key(|item| item.id);
            format!("updated {items:?}")
        }
        ChangeKind::Removed(ids) => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            format!("removed {ids:?}")
        }
        other @ (ChangeKind::ReadAll { .. } | ChangeKind::Cleared { .. }) => format!("{other:?}"),
    };
    format!("{rev} unread {unread} at {at}: {kind}")
}
