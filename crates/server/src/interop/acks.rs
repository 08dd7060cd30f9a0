//! Events of others that clients here acknowledge.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tidings_bus::socketio::{Answer, Event, Selection};
use tidings_gateway::Gateway;

use super::{
    Interop, ReplyTo,
    broadcast::{frame, with_recipients},
    metrics::Outcome,
};
use crate::{lifecycle::Phase, state::AppState};

/// Without a word about it, and at most.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

pub(super) struct Question {
    pub(super) event: Event,
    pub(super) to: Selection,
    pub(super) timeout: Option<Duration>,
}

/// When this returns the event has its place in each socket's order, and who asked knows how many will answer.
pub(super) fn emit(
    state: &AppState,
    interop: &Interop,
    gateway: &Gateway,
    question: Question,
    reply: ReplyTo,
) -> Outcome {
    let Ok(place) = Arc::clone(&interop.collecting).try_acquire_owned() else {
        interop.answer(&reply, &Answer::ClientCount(0));
        return Outcome::Overrun;
    };
    let Question { event, to, timeout } = question;
    let frame = frame(&event);
    let sockets =
        with_recipients(state, gateway, &to, &event.name, |recipients| recipients.sockets());
    let mut asked = Vec::new();
    for socket in sockets {
        if socket.is_plain() {
            // It cannot answer; it hears the event all the same, if it can take it.
            let _ = socket.emit(&frame);
        } else if let Ok(one) = socket.ask(&frame) {
            asked.push(one);
        }
    }
    interop.answer(&reply, &Answer::ClientCount(asked.len()));
    if asked.is_empty() {
        return Outcome::Delivered;
    }
    let timeout = timeout.unwrap_or(TIMEOUTS.0).min(TIMEOUTS.1);
    let state = state.clone();
    tokio::spawn(async move {
        let mut answers: FuturesUnordered<_> =
            asked.into_iter().map(|asked| asked.answer(timeout)).collect();
        let collect = async {
            while let Some(answer) = answers.next().await {
                // Who does not answer is reported by who asked.
                let (Ok(said), Some(interop)) = (answer, &state.interop) else { continue };
                let first = said.args.first().map(|arg| arg.get());
                interop.answer(&reply, &Answer::Acknowledged(first, &said.attachments));
            }
        };
        tokio::select! {
            () = collect => {}
            () = state.lifecycle.reached(Phase::Stopping) => {}
        }
        drop(place);
    });
    Outcome::Delivered
}
