//! Who is one of the cluster.

use std::sync::Arc;

use tidings_core::ports::{Enlisted, Registry};

use super::{LONG, MIDDLE, dead_node, node};

pub async fn an_id_is_taken_while_its_lease_lasts(registry: Arc<dyn Registry>) {
    let first = node(&registry, "a", MIDDLE).await;
    let renewed = registry.renew(first, LONG).await.unwrap().expect("in time");
    assert_eq!(renewed.live.get(&first).map(String::as_str), Some("a"));
    match registry.enlist("a", None, LONG).await.unwrap() {
        Enlisted::Taken { by, left } => {
            assert_eq!(by, first);
            assert!(left > MIDDLE && left <= LONG, "{left:?}");
        }
        other => panic!("{other:?}"),
    }
    let other = node(&registry, "b", LONG).await;
    assert!(other > first);
    let roster = registry.renew(other, LONG).await.unwrap().unwrap();
    assert_eq!((roster.live.len(), roster.newest), (2, other));
}

pub async fn a_run_that_is_known_to_be_over_makes_way(registry: Arc<dyn Registry>) {
    let first = node(&registry, "a", LONG).await;
    let Enlisted::As(second) = registry.enlist("a", Some(first), LONG).await.unwrap() else {
        panic!("it is over");
    };
    assert!(second > first);
    assert_eq!(registry.renew(first, LONG).await.unwrap(), None);
    let roster = registry.renew(second, LONG).await.unwrap().unwrap();
    assert_eq!(roster.dead, [first]);
    // Whoever knows only of the one before that has no right to it.
    let again = registry.enlist("a", Some(first), LONG).await.unwrap();
    assert!(matches!(again, Enlisted::Taken { by, .. } if by == second), "{again:?}");
}

pub async fn a_lease_that_has_run_out_is_not_renewed(registry: Arc<dyn Registry>) {
    let dead = dead_node(&registry, "a").await;
    assert_eq!(registry.renew(dead, LONG).await.unwrap(), None);
    let next = node(&registry, "a", LONG).await;
    let roster = registry.renew(next, LONG).await.unwrap().unwrap();
    assert_eq!(roster.dead, [dead]);
    registry.bury(dead).await.unwrap();
    let roster = registry.renew(next, LONG).await.unwrap().unwrap();
    assert!(roster.dead.is_empty());
    assert!(dead < roster.newest, "and is known to be over");
    // One that lives is not buried.
    registry.bury(next).await.unwrap();
    assert!(registry.renew(next, LONG).await.unwrap().is_some());
}

pub async fn who_quits_leaves_the_id_free(registry: Arc<dyn Registry>) {
    let first = node(&registry, "a", LONG).await;
    registry.quit(first).await.unwrap();
    assert_eq!(registry.renew(first, LONG).await.unwrap(), None);
    node(&registry, "a", LONG).await;
}

pub async fn of_many_who_want_an_id_at_once_one_gets_it(registry: Arc<dyn Registry>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let registry = Arc::clone(&registry);
        tasks.spawn(async move { registry.enlist("a", None, LONG).await.unwrap() });
    }
    let got = tasks.join_all().await;
    assert_eq!(got.iter().filter(|one| matches!(one, Enlisted::As(_))).count(), 1);
}
