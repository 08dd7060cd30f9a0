//! Publishing from inside the application's own transactions.

use std::sync::Arc;

use tidings_core::ports::Inboxes as _;
use tidings_testkit::{ManualClock, message, user};

use super::Bench;
use crate::outbox::Check;

/// The body names the recipient; "bad" is refused.
fn check(clock: &ManualClock) -> Check {
    let now = clock.tick();
    Arc::new(move |entry| match entry.body.as_str() {
        r#"{"bad":1}"# => Err("it is bad".into()),
        // What the rules let through but the database cannot hold.
        r#"{"worse":1}"# => Ok(message(now).id(entry.id).kind("\0").build()),
        _ => Ok(message(now).id(entry.id).build()),
    })
}

#[tokio::test]
async fn what_is_committed_is_published_once_and_the_rest_never() {
    let bench = Bench::new().await;
    let clock = ManualClock::default();
    let mut client = bench.connect().await;
    let notify = "SELECT tidings_notify($1::text::json)";
    let good = r#"{"to":"alice"}"#;
    let undone = client.transaction().await.unwrap();
    undone.query_one(notify, &[&good]).await.unwrap();
    undone.rollback().await.unwrap();
    let mut ids = Vec::new();
    let kept = client.transaction().await.unwrap();
    for body in [good, r#"{"bad":1}"#, good, r#"{"worse":1}"#, good] {
        ids.push(kept.query_one(notify, &[&body]).await.unwrap().get::<_, uuid::Uuid>(0));
    }
    let early = bench.store.take_outbox(100, clock.tick(), check(&clock)).await.unwrap();
    assert_eq!(early.entries(), 0, "it is not committed yet");
    kept.commit().await.unwrap();
    assert!(ids.iter().all(|id| id.get_version_num() == 7));
    let (mut accepted, mut dead) = (0, Vec::new());
    loop {
        let (first, second) = tokio::join!(
            bench.store.take_outbox(100, clock.tick(), check(&clock)),
            bench.store.take_outbox(100, clock.tick(), check(&clock)),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        if first.entries() + second.entries() == 0 {
            break;
        }
        accepted += first.accepted + second.accepted;
        dead.extend(first.dead.into_iter().chain(second.dead));
    }
    assert_eq!((accepted, dead.len()), (3, 2));
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().unread, 3);
    let listed = bench.sink.by_user()[&user("alice")].len();
    assert_eq!(listed, 3);
    let buried = "SELECT count(*) FROM outbox_dead WHERE reason <> ''";
    assert_eq!(bench.count(buried).await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM outbox").await, 0);
}

#[tokio::test]
async fn an_application_needs_nothing_but_the_function() {
    let bench = Bench::new().await;
    let client = bench.connect().await;
    for bad in ["[]", "null", "1"] {
        let refused = client.query_one("SELECT tidings_notify($1::text::json)", &[&bad]).await;
        let refused = refused.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("JSON object"), "{refused:?}");
    }
    let name = format!("app_{}", bench.database.name());
    bench.database.execute(&format!("CREATE ROLE {name}"));
    let as_app = |sql: &str| format!("SET ROLE {name}; {sql}");
    let refused = bench
        .database
        .server()
        .try_execute(bench.database.name(), &as_app("SELECT tidings_notify('{}')"));
    assert!(refused.unwrap_err().contains("permission denied"));
    bench.database.execute(&format!("GRANT EXECUTE ON FUNCTION tidings_notify(json) TO {name}"));
    bench.database.execute(&as_app("SELECT tidings_notify('{}')"));
    assert_eq!(bench.count("SELECT count(*) FROM outbox").await, 1);
}

#[tokio::test]
async fn what_could_not_be_carried_out_is_erased_with_its_user() {
    use tidings_core::{
        erasure::{ErasureId, NewErasure},
        ports::Erasures as _,
    };
    let bench = Bench::new().await;
    let clock = ManualClock::default();
    let bury = |number: i32, to: &str| {
        format!(
            "INSERT INTO outbox_dead VALUES ({number}, gen_random_uuid(), '{{\"to\":\"{to}\"}}', 0, 'why', 0);"
        )
    };
    let buried = [bury(1, "alice"), bury(2, "alice2"), bury(3, "bob")].concat();
    bench.connect().await.batch_execute(&buried).await.unwrap();
    let (id, now) = (ErasureId(uuid::Uuid::from_u128(1)), clock.tick());
    let alice = tidings_testkit::user("alice");
    let erasure = NewErasure { id, user: alice, requested_at: now, settles_at: now };
    bench.store.begin_erasure(erasure).await.unwrap();
    while !bench.store.advance_erasure(id, 10, clock.tick()).await.unwrap().finished {}
    assert_eq!(bench.count("SELECT sum(number)::bigint FROM outbox_dead").await, 5);
}
