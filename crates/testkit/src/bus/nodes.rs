//! What nodes say to one another.

use std::{sync::Arc, time::Duration};

use tidings_core::{ids::UserId, room::RoomName, signal::NodeSignal};

use super::{BusHarness, node, unique};

fn signal() -> Arc<NodeSignal> {
    let room = RoomName::parse(&format!("post:{}", unique("room"))).unwrap();
    Arc::new(NodeSignal::AskAgain { room, users: vec![UserId::new("alice").unwrap()] })
}

fn times(heard: &[Arc<NodeSignal>], wanted: &NodeSignal) -> usize {
    heard.iter().filter(|signal| ***signal == *wanted).count()
}

pub async fn a_signal_reaches_every_node_once(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let (first, second) = (signal(), signal());
    here.bus.publish_to_nodes(&first).await.unwrap();
    assert_eq!(times(&here.heard.signals(), &first), 1, "at once");
    here.bus.publish_to_nodes(&second).await.unwrap();
    there.heard.signal(&second).await;
    assert_eq!(times(&there.heard.signals(), &first), 1);
    // Its own would have come back by now.
    there.bus.publish_to_nodes(&first).await.unwrap();
    while times(&here.heard.signals(), &first) < 2 {
        here.heard.signal(&first).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(times(&here.heard.signals(), &second), 1);
}

pub async fn a_signal_for_one_node_reaches_only_that(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let (for_there, for_here, for_all) = (signal(), signal(), signal());
    here.bus.publish_to_node(&there.id, &for_there).await.unwrap();
    here.bus.publish_to_node(&here.id, &for_here).await.unwrap();
    here.bus.publish_to_nodes(&for_all).await.unwrap();
    there.heard.signal(&for_there).await;
    there.heard.signal(&for_all).await;
    assert_eq!(times(&here.heard.signals(), &for_here), 1);
    assert_eq!(times(&here.heard.signals(), &for_there), 0);
    assert_eq!(times(&there.heard.signals(), &for_here), 0);
}

pub async fn a_question_is_answered_by_all(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let question = signal();
    // A node is asked for as soon as it was heard.
    let answers = loop {
        let answers = here.bus.ask_nodes(&question, Duration::from_secs(5)).await.unwrap();
        if answers.answered.contains(&there.id) {
            break answers;
        }
    };
    assert!(answers.answered.contains(&here.id));
    // Each node says 2; tests beside this one may have nodes too.
    assert_eq!(answers.concerned, 2 * answers.answered.len() as u64);
    assert!(times(&there.heard.signals(), &question) >= 1);
}
