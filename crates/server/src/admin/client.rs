//! The command line's end: the running server if there is one, else the store itself.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tidings_core::{
    inbox::InboxChange, notification::DraftLimits, notification_type::TypeCatalog,
    ports::ChangeSink,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

use super::{Answer, Context, Request, execute};
use crate::{
    clock::SystemClock,
    config::Config,
    data_dir::{DataDir, admin_socket},
    store::OwnStore,
};

/// Nobody is connected while there is no server: devices ask when they come.
struct Nobody;

impl ChangeSink for Nobody {
    fn committed(&self, _changes: Vec<Arc<InboxChange>>) {}
}

/// How often a server that starts is asked again, and the pause in between.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Has a request carried out.
pub async fn ask(config: &Config, request: Request) -> anyhow::Result<Answer> {
    let mut tries = TRIES;
    let answer = loop {
        if let Ok(stream) = UnixStream::connect(admin_socket(&config.data_dir)).await {
            break ask_server(stream, &request).await?;
        }
        tries -= 1;
        match DataDir::lock(&config.data_dir) {
            // No server runs, and none can start meanwhile.
            Ok(lock) => break ask_store(config, lock, request).await?,
            Err(problem) if tries == 0 => return Err(problem),
            // A server that starts has the lock a moment before it has the socket.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    match answer {
        Answer::Failed(problem) => anyhow::bail!(problem),
        answer => Ok(answer),
    }
}

async fn ask_server(stream: UnixStream, request: &Request) -> anyhow::Result<Answer> {
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    writer.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(reader).read_line(&mut answer).await?;
    serde_json::from_str(&answer).context("the server did not answer")
}

async fn ask_store(config: &Config, _lock: DataDir, request: Request) -> anyhow::Result<Answer> {
    let own = OwnStore::open(config, Arc::new(Nobody)).await?;
    let store = own.shared();
    let types = TypeCatalog::with_declared(config.types.clone());
    let context = Context {
        store: &*store,
        types: &types,
        clock: &SystemClock,
        limits: DraftLimits { data: config.limits.notification_data },
    };
    let answer = execute(&context, request).await;
    drop(store);
    own.close().await?;
    Ok(answer)
}
