//! Connections that end at the wrong moment.

use tidings_core::{ids::Rev, inbox::InboxOp, ports::Inboxes as _};
use tidings_testkit::{ManualClock, user};

use super::{Bench, to};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_is_done_once_when_all_connections_end() {
    let bench = Bench::new().await;
    let clock = ManualClock::default();
    let alice = user("alice");
    let mut ids = Vec::new();
    for round in 0..30 {
        let request = to(std::slice::from_ref(&alice), clock.tick());
        ids.push(request.messages[0].message.id);
        let killer = bench.connect();
        let (done, killed) = tokio::join!(bench.store.accept(request), async {
            if round % 3 == 0 {
                killer
                    .await
                    .batch_execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND pid <> pg_backend_pid()",
                    )
                    .await
            } else {
                Ok(())
            }
        });
        killed.unwrap();
        assert_eq!(done.unwrap().accepted[0].recipients, 1);
    }
    let changed = loop {
        // A read on a connection that was ended fails; the next finds another.
        match bench.store.change(&alice, InboxOp::Read(ids.clone()), clock.tick()).await {
            Ok(outcome) => break outcome,
            Err(error) => assert!(matches!(error, tidings_core::ports::StoreError::Unavailable(_))),
        }
    };
    assert_eq!((changed.changed, changed.missing), (30, 0));
    assert_eq!(changed.state.rev, Rev(31));
    assert_eq!(bench.sink.by_user()[&alice].len(), 31, "every change was told, once");
}
