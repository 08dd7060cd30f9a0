//! The conformance suite of the registry. One passes it by one line in its tests:
//!
//! ```ignore
//! tidings_testkit::registry_conformance!(an_empty_registry().await);
//! ```
//!
//! where the expression makes an `Arc<dyn Registry>` with nothing in it, once for each case.

pub mod leases;
pub mod places;
pub mod reaping;
pub mod records;

use std::{sync::Arc, time::Duration};

use tidings_core::{
    ports::{Enlisted, Registry},
    registry::{Connection, Incarnation, Seats},
    room::RoomName,
    time::Timestamp,
};

use crate::user;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);
const MIDDLE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);

/// One `#[tokio::test]` for each case of the suite.
#[macro_export]
macro_rules! registry_conformance {
    ($registry:expr) => {
        $crate::registry_conformance_cases! { $registry;
            leases {
                an_id_is_taken_while_its_lease_lasts,
                a_run_that_is_known_to_be_over_makes_way,
                a_lease_that_has_run_out_is_not_renewed,
                who_quits_leaves_the_id_free,
                of_many_who_want_an_id_at_once_one_gets_it,
            }
            records {
                connections_of_all_nodes_make_one_record,
                saying_it_again_changes_nothing_but_the_version,
                a_connection_that_moves_is_of_the_node_it_came_to,
                everything_of_a_connection_comes_back,
                nothing_is_newer_than_what_was_there,
                what_is_said_after_a_look_is_newer_than_what_was_seen,
                what_nodes_say_at_once_is_all_there,
            }
            places {
                a_room_is_counted_over_all_nodes,
                a_room_is_full_for_others_only,
                the_last_place_is_taken_once,
            }
            reaping {
                what_a_dead_node_left_is_found_and_taken_away,
                one_node_clears_away_and_another_if_it_dies_too,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! registry_conformance_cases {
    ($registry:expr; $($module:ident { $($case:ident,)* })*) => {
        $(mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    $crate::registry::$module::$case($registry).await;
                }
            )*
        })*
    };
}

async fn node(registry: &Arc<dyn Registry>, id: &str, lease: Duration) -> Incarnation {
    match registry.enlist(id, None, lease).await.expect("an answer") {
        Enlisted::As(me) => me,
        taken @ Enlisted::Taken { .. } => panic!("{id}: {taken:?}"),
    }
}

/// A node whose lease has run out.
async fn dead_node(registry: &Arc<dyn Registry>, id: &str) -> Incarnation {
    let dead = node(registry, id, SHORT).await;
    until(async || !lives(registry, dead).await).await;
    dead
}

async fn lives(registry: &Arc<dyn Registry>, node: Incarnation) -> bool {
    let observer = match registry.enlist("observer", None, LONG).await.expect("an answer") {
        Enlisted::As(me) | Enlisted::Taken { by: me, .. } => me,
    };
    let roster = registry.renew(observer, LONG).await.expect("an answer").expect("a lease");
    roster.live.contains_key(&node)
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("in time");
}

fn connection(at: Incarnation, socket: &str) -> Connection {
    Connection::new(at, socket.into(), Timestamp::from_millis(1_000))
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a room")
}

fn seats(room_name: &str, name: &str, connections: usize) -> Seats {
    Seats { room: room(room_name), user: user(name), connections }
}
