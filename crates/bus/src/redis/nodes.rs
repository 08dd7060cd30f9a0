//! The other nodes, as far as they are heard, and what they are asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tidings_core::{ids::NodeId, ports::Answers};
use tokio::sync::oneshot;

/// A node that was not heard for so long is not waited for.
const SILENT: Duration = Duration::from_secs(5);
/// More cannot be nodes of one cluster; what says so is not believed.
const MAX_NODES: usize = 1_024;

#[derive(Default)]
pub(super) struct Nodes(Mutex<State>);

#[derive(Default)]
struct State {
    heard: BTreeMap<NodeId, Instant>,
    questions: BTreeMap<u64, Question>,
}

struct Question {
    awaited: BTreeSet<NodeId>,
    answers: Answers,
    /// Told when nobody is awaited any more.
    complete: Option<oneshot::Sender<()>>,
}

impl Nodes {
    pub(super) fn heard(&self, node: NodeId, now: Instant) {
        let mut state = self.0.lock();
        if state.heard.len() < MAX_NODES || state.heard.contains_key(&node) {
            state.heard.insert(node, now);
        }
    }

    pub(super) fn left(&self, node: &NodeId) {
        let mut state = self.0.lock();
        state.heard.remove(node);
        for question in state.questions.values_mut() {
            question.awaited.remove(node);
            question.look();
        }
    }

    pub(super) fn count(&self, now: Instant) -> usize {
        let mut state = self.0.lock();
        state.heard.retain(|_, heard| now.duration_since(*heard) < SILENT);
        state.heard.len()
    }

    /// Begins a question to all that live.
    pub(super) fn ask(&self, id: u64, now: Instant) -> oneshot::Receiver<()> {
        let (complete, completed) = oneshot::channel();
        let mut state = self.0.lock();
        let living = state.heard.iter().filter(|(_, heard)| now.duration_since(**heard) < SILENT);
        let awaited = living.map(|(node, _)| node.clone()).collect();
        let answers = Answers::default();
        let mut question = Question { awaited, answers, complete: Some(complete) };
        question.look();
        state.questions.insert(id, question);
        completed
    }

    pub(super) fn answered(&self, id: u64, node: NodeId, concerned: u64) {
        let mut state = self.0.lock();
        let Some(question) = state.questions.get_mut(&id) else { return };
        if question.answers.answered.contains(&node) {
            return;
        }
        question.awaited.remove(&node);
        question.answers.concerned = question.answers.concerned.saturating_add(concerned);
        question.answers.answered.push(node);
        question.look();
    }

    /// Ends a question.
    pub(super) fn answers(&self, id: u64) -> Answers {
        let question = self.0.lock().questions.remove(&id);
        question.map_or_else(Answers::default, |mut question| {
            question.answers.silent = question.awaited.into_iter().collect();
            question.answers
        })
    }
}

impl Question {
    fn look(&mut self) {
        if self.awaited.is_empty()
            && let Some(complete) = self.complete.take()
        {
            // Who asked may have given up.
            let _ = complete.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str) -> NodeId {
        NodeId::new(id).unwrap()
    }

    #[tokio::test]
    async fn a_question_ends_when_all_that_live_have_answered() {
        let (nodes, now) = (Nodes::default(), Instant::now());
        nodes.heard(node("a"), now);
        nodes.heard(node("b"), now);
        nodes.heard(node("long-gone"), now.checked_sub(SILENT).unwrap());
        let completed = nodes.ask(7, now);
        nodes.answered(7, node("a"), 2);
        nodes.answered(7, node("a"), 2);
        nodes.answered(7, node("b"), 1);
        completed.await.unwrap();
        let answered = vec![node("a"), node("b")];
        assert_eq!(nodes.answers(7), Answers { concerned: 3, answered, silent: vec![] });
    }

    #[tokio::test]
    async fn who_leaves_is_not_waited_for_and_who_is_silent_is_named() {
        let (nodes, now) = (Nodes::default(), Instant::now());
        nodes.heard(node("a"), now);
        nodes.heard(node("b"), now);
        let completed = nodes.ask(1, now);
        nodes.left(&node("a"));
        nodes.answered(1, node("b"), 0);
        completed.await.unwrap();
        assert!(nodes.answers(1).silent.is_empty());
        nodes.heard(node("c"), now);
        drop(nodes.ask(2, now));
        assert_eq!(nodes.answers(2).silent, [node("b"), node("c")]);
    }
}
