//! The conformance suite of what nodes leave for one another.

use std::{sync::Arc, time::Duration};

use tidings_core::ports::Parking;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3_600);

/// One `#[tokio::test]` for each case of the suite; the expression makes an `Arc<dyn Parking>`.
#[macro_export]
macro_rules! parking_conformance {
    ($parking:expr) => {
        $crate::parking_conformance_cases! { $parking;
            what_was_left_is_taken_once,
            it_is_forgotten_after_a_while,
            it_is_taken_back_only_if_it_is_still_this,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! parking_conformance_cases {
    ($parking:expr; $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::parking::$case($parking).await;
            }
        )*
    };
}

pub async fn what_was_left_is_taken_once(parking: Arc<dyn Parking>) {
    assert_eq!(parking.take("a").await.unwrap(), None);
    parking.park("a", "one", LONG).await.unwrap();
    parking.park("a", "two", LONG).await.unwrap();
    parking.park("b", "other", LONG).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let parking = Arc::clone(&parking);
        tasks.spawn(async move { parking.take("a").await.unwrap() });
    }
    let taken: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken, ["two"]);
    assert_eq!(parking.take("b").await.unwrap().as_deref(), Some("other"));
}

pub async fn it_is_forgotten_after_a_while(parking: Arc<dyn Parking>) {
    parking.park("a", "one", Duration::from_millis(5)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(parking.take("a").await.unwrap(), None);
}

pub async fn it_is_taken_back_only_if_it_is_still_this(parking: Arc<dyn Parking>) {
    parking.withdraw("a", "one").await.unwrap();
    parking.park("a", "two", LONG).await.unwrap();
    parking.withdraw("a", "one").await.unwrap();
    assert_eq!(parking.take("a").await.unwrap().as_deref(), Some("two"));
    parking.park("a", "one", LONG).await.unwrap();
    parking.withdraw("a", "one").await.unwrap();
    assert_eq!(parking.take("a").await.unwrap(), None);
}
