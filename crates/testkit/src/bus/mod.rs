//! The conformance suite of the bus. A bus passes it by one line in its tests:
//!
//! ```ignore
//! tidings_testkit::bus_conformance!(MyHarness::new());
//! ```
//!
//! where the expression makes a [`BusHarness`], once for each case.

mod heard;
pub mod histories;
pub mod inboxes;
pub mod memories;
pub mod nodes;
pub mod rooms;

use std::sync::Arc;

use async_trait::async_trait;
use tidings_core::{
    ids::NodeId,
    ports::{Bus, BusSink},
};

pub use heard::Heard;

/// Makes the nodes' ends of the bus under test.
#[async_trait]
pub trait BusHarness: Send + Sync + 'static {
    /// Returns when the node is connected to the others.
    async fn join(&self, node: NodeId, sink: Arc<dyn BusSink>) -> Arc<dyn Bus>;
}

/// One node and what it heard.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) heard: Arc<Heard>,
}

pub(crate) async fn node(harness: &impl BusHarness, name: &str) -> Node {
    // Tests of one binary may share a server.
    let id = NodeId::new(format!("{name}-{:08x}", rand::random::<u32>())).unwrap();
    let heard = Arc::new(Heard::default());
    let bus = harness.join(id.clone(), heard.clone()).await;
    Node { id, bus, heard }
}

/// A name that no other test has.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{:08x}", rand::random::<u32>())
}

/// One `#[tokio::test]` for each case of the suite.
#[macro_export]
macro_rules! bus_conformance {
    ($harness:expr) => {
        $crate::bus_conformance_cases! { $harness;
            inboxes {
                changes_reach_the_nodes_that_subscribed_in_order,
                a_node_hears_its_own_changes_once,
                the_last_subscription_ends_it,
                every_field_of_a_change_arrives,
                a_thousand_subscriptions_at_once_hear_what_follows,
            }
            rooms {
                events_reach_the_nodes_in_the_room_in_order,
                every_field_of_an_event_arrives,
                lost_memberships_are_told,
            }
            histories {
                a_room_remembers_for_who_comes_back,
                what_is_too_old_or_too_much_is_forgotten,
                positions_come_in_order_on_every_node,
                a_strange_position_is_not_believed,
            }
            memories {
                what_is_kept_is_heard_once_and_has_a_place,
            }
            nodes {
                a_signal_reaches_every_node_once,
                a_signal_for_one_node_reaches_only_that,
                a_question_is_answered_by_all,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! bus_conformance_cases {
    ($harness:expr; $($noun:ident { $($case:ident),* $(,)? })*) => {
        $(
            mod $noun {
                #[allow(unused_imports)]
                use super::*;
                $(
                    #[tokio::test]
                    async fn $case() {
                        $crate::bus::$noun::$case(&$harness).await;
                    }
                )*
            }
        )*
    };
}
