//! The conformance suite of quotas.

use std::{sync::Arc, time::Duration};

use tidings_core::ports::{Quotas, Taken};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3_600);

/// One `#[tokio::test]` for each case of the suite; the expression makes an `Arc<dyn Quotas>`.
#[macro_export]
macro_rules! quotas_conformance {
    ($quotas:expr) => {
        $crate::quotas_conformance_cases! { $quotas;
            a_quota_gives_its_limit_and_then_says_when,
            it_is_refilled_evenly,
            of_many_at_once_as_many_get_one_as_there_are,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! quotas_conformance_cases {
    ($quotas:expr; $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::quotas::$case($quotas).await;
            }
        )*
    };
}

pub async fn a_quota_gives_its_limit_and_then_says_when(quotas: Arc<dyn Quotas>) {
    for left in (0..10).rev() {
        assert_eq!(quotas.take("a", 10, LONG).await.unwrap(), Taken::Yes { left });
    }
    match quotas.take("a", 10, LONG).await.unwrap() {
        Taken::No { wait } => assert!(wait > LONG / 20 && wait <= LONG / 10, "{wait:?}"),
        other => panic!("{other:?}"),
    }
    // Others have theirs.
    assert_eq!(quotas.take("b", 10, LONG).await.unwrap(), Taken::Yes { left: 9 });
}

pub async fn it_is_refilled_evenly(quotas: Arc<dyn Quotas>) {
    let period = Duration::from_millis(1_000);
    let mut refused = None;
    for _ in 0..1_000 {
        if let Taken::No { wait } = quotas.take("a", 5, period).await.unwrap() {
            refused = Some(wait);
            break;
        }
    }
    let wait = refused.expect("asked faster than it is refilled");
    assert!(wait <= period / 5, "{wait:?}");
    tokio::time::sleep(wait).await;
    // As it was said, whatever the clocks' fractions.
    let again = async {
        while !matches!(quotas.take("a", 5, period).await.unwrap(), Taken::Yes { .. }) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("refilled");
}

pub async fn of_many_at_once_as_many_get_one_as_there_are(quotas: Arc<dyn Quotas>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let quotas = Arc::clone(&quotas);
        tasks.spawn(async move { quotas.take("a", 7, LONG).await.unwrap() });
    }
    let taken = tasks.join_all().await;
    let got = taken.iter().filter(|one| matches!(one, Taken::Yes { .. })).count();
    assert_eq!(got, 7);
}
