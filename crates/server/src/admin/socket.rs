//! The running server's end of the admin socket.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tidings_core::notification::DraftLimits;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
};

use super::{Answer, Context, execute};
use crate::{lifecycle::Phase, state::AppState};

/// Longest request, in bytes.
const MAX_REQUEST: u64 = 1 << 20;

/// Opens the socket. Who connects from now on is served, as soon as the server runs.
pub fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    // Left over from a process that was killed: we hold the directory's lock, so nobody else's.
    let _ = std::fs::remove_file(path);
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until the server stops. Only the owner of the data directory can reach it.
pub async fn listen(state: AppState, listener: UnixListener, path: PathBuf) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let state = state.clone();
                tokio::spawn(async move {
                    if let Err(problem) = serve(&state, stream).await {
                        tracing::debug!(%problem, "an admin request broke off");
                    }
                });
            }
            () = state.lifecycle.reached(Phase::Stopping) => {
                let _ = std::fs::remove_file(&path);
                return;
            }
        }
    }
}

async fn serve(state: &AppState, stream: UnixStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_REQUEST)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let context = Context {
                store: &*state.store,
                types: &state.types,
                clock: &*state.clock,
                limits: DraftLimits { data: state.config.limits.notification_data },
            };
            let answer = execute(&context, request).await;
            if matches!(answer, Answer::Sent { announced: true, .. }) {
                state.announced.notify_one();
            }
            answer
        }
        Err(problem) => Answer::Failed(format!("not understood: {problem}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    writer.write_all(text.as_bytes()).await
}
