//! Listens to the Socket.IO servers on the same Redis, and looks at what they say in its order.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use crate::{
    interop::{Ends, Interop},
    lifecycle::Phase,
    state::AppState,
};

pub(crate) fn start(loops: &mut JoinSet<()>, state: &AppState) {
    let Some(interop) = state.interop.clone() else { return };
    let Some(Ends { link, mut heard }) = interop.take_ends() else { return };
    let (stopping, listener) = (state.lifecycle.clone(), Arc::clone(&interop) as _);
    loops.spawn(async move {
        tokio::select! {
            () = link.run(listener) => {}
            () = stopping.reached(Phase::Stopping) => {}
        }
    });
    let state = state.clone();
    loops.spawn(async move {
        let look = async {
            while let Some(heard) = heard.recv().await {
                look(&state, &interop, heard).await;
            }
        };
        tokio::select! {
            () = look => {}
            () = state.lifecycle.reached(Phase::Stopping) => {}
        }
    });
}

async fn look(state: &AppState, interop: &Interop, heard: crate::interop::Heard) {
    // A panic is a bug, but not one that may end this for good.
    if AssertUnwindSafe(interop.look(state, heard)).catch_unwind().await.is_err() {
        tracing::error!("a message of a Socket.IO server made a panic");
    }
}
