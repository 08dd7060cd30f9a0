//! How connections are made, and the pools that keep them.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures_util::{TryStreamExt as _, future, stream};
use tokio_postgres::{AsyncMessage, Client, config::TargetSessionAttrs};

use crate::{
    Options, Timeouts,
    address::Address,
    failure::{Failure, Result},
    tls,
};

/// A connection from a pool: it goes back when dropped, and is forgotten when it broke. Its
/// statements are kept prepared (`prepare_cached`).
pub(crate) type Connection = deadpool_postgres::Object;

/// What the server shows in `pg_stat_activity`, unless the URL or the options say otherwise.
pub(crate) const APPLICATION: &str = "tidings";
/// A transaction left open this long is one that its owner has lost.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(60);
/// Where the network drops what is silent, this notices: a dead peer within a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
const UNANSWERED: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    /// As `Read`, of a copy that may be behind.
    Replica,
    Write,
    /// Long statements: no statement time-out.
    Migrate,
}

/// A pool of up to `size` connections. None is made before it is asked for.
pub(crate) fn pool(options: &Options, address: &Address, usage: Use, size: usize) -> Result<Pool> {
    let timeouts = &options.timeouts;
    let tls = tls::connector(address).map_err(unusable)?;
    let manager = Manager::from_config(
        session(address, timeouts, &options.application_name, usage),
        tls,
        // A connection that closed is known as closed; asking the server would cost every use
        // a round trip.
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    Pool::builder(manager)
        .max_size(size.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(timeouts.acquire))
        .create_timeout(Some(timeouts.connect))
        .recycle_timeout(Some(timeouts.connect))
        .build()
        .map_err(unusable)
}

/// One connection outside of every pool. It ends when the client is dropped.
pub(crate) async fn connect(address: &Address, usage: Use) -> Result<Client> {
    let timeouts = Timeouts::default();
    let tls = tls::connector(address).map_err(unusable)?;
    let config = session(address, &timeouts, APPLICATION, usage);
    let connecting = tokio::time::timeout(timeouts.connect, config.connect(tls));
    let (client, connection) = connecting.await.map_err(late)??;
    // What ends it is told to whoever uses the client.
    tokio::spawn(connection);
    Ok(client)
}

/// Calls `heard` once it listens to a channel, and for each message on it; until the connection
/// ends.
pub(crate) async fn listen(
    address: &Address,
    channel: &str,
    heard: impl Fn() + Send,
) -> Result<()> {
    let timeouts = Timeouts::default();
    let tls = tls::connector(address).map_err(unusable)?;
    let config = session(address, &timeouts, APPLICATION, Use::Write);
    let connecting = tokio::time::timeout(timeouts.connect, config.connect(tls));
    let (client, mut connection) = connecting.await.map_err(late)??;
    let messages = stream::poll_fn(move |context| connection.poll_message(context));
    let listen = format!("LISTEN {channel}");
    let begin = async {
        client.batch_execute(&listen).await?;
        heard();
        // The client is what keeps the connection open.
        std::future::pending::<Result<()>>().await
    };
    let follow = messages.try_for_each(|message| {
        if matches!(message, AsyncMessage::Notification(_)) {
            heard();
        }
        future::ready(Ok(()))
    });
    tokio::select! {
        refused = begin => refused,
        ended = follow => Ok(ended?),
    }
}

fn late(_: tokio::time::error::Elapsed) -> Failure {
    unusable("the database gave no connection in time")
}

/// The settings go with the connection request: they cost no round trip, and a pooler's
/// `DISCARD ALL` goes back to them.
fn session(
    address: &Address,
    timeouts: &Timeouts,
    application: &str,
    usage: Use,
) -> tokio_postgres::Config {
    let mut config = address.config.clone();
    let millis = |duration: Duration| duration.as_millis();
    let statement = if usage == Use::Migrate { Duration::ZERO } else { timeouts.statement };
    let mut settings = vec![
        config.get_options().unwrap_or_default().to_owned(),
        // Every statement walks an index, whatever its values: one plan is the right one, it
        // need not be made again, and compiling it would take longer than running it.
        "-c plan_cache_mode=force_generic_plan -c jit=off".into(),
        format!("-c statement_timeout={}", millis(statement)),
        format!("-c lock_timeout={}", millis(timeouts.lock)),
        format!("-c idle_in_transaction_session_timeout={}", millis(IDLE_IN_TRANSACTION)),
    ];
    if !matches!(usage, Use::Read | Use::Replica) {
        // Whatever the server's own default: accepted means flushed.
        settings.push("-c synchronous_commit=on".into());
    }
    config
        .options(settings.join(" ").trim())
        .connect_timeout(timeouts.connect)
        .keepalives_idle(KEEPALIVE)
        .tcp_user_timeout(UNANSWERED);
    if config.get_application_name().is_none() {
        config.application_name(application);
    }
    let of_primary = match usage {
        Use::Replica => false,
        Use::Read => address.has_many_hosts(),
        Use::Write | Use::Migrate => true,
    };
    if of_primary {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config
}

fn unusable(why: impl std::fmt::Display) -> Failure {
    Failure::Store(tidings_core::ports::StoreError::Unavailable(why.to_string()))
}
