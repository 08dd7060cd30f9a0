//! A TCP proxy that misbehaves when it is told to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What it does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Pass,
    /// Each piece waits for so long.
    Delay(Duration),
    /// Connections stay open, and nothing goes through: not even their end.
    Freeze,
    /// Connections are cut, and new ones too.
    Cut,
}

pub struct Proxy {
    pub address: SocketAddr,
    manner: Arc<watch::Sender<Manner>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// One to a server on this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Arc::new(watch::Sender::new(Manner::Pass));
        let manners = Arc::clone(&manner);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let manner = manners.subscribe();
                if *manner.borrow() != Manner::Cut {
                    tokio::spawn(serve(client, port, manner));
                }
            }
        });
        Self { address, manner, accepting }
    }

    /// From now on, for all connections.
    pub fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.manner.send_replace(Manner::Cut);
    }
}

async fn serve(client: TcpStream, port: u16, manner: watch::Receiver<Manner>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = manner.clone();
    tokio::select! {
        () = carry(from_client, to_server, manner.clone()) => {}
        () = carry(from_server, to_client, manner) => {}
        _ = cut.wait_for(|manner| *manner == Manner::Cut) => {}
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut manner: watch::Receiver<Manner>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return };
        let now = *manner.borrow();
        if let Manner::Delay(pause) = now {
            tokio::time::sleep(pause).await;
        }
        if manner.wait_for(|manner| *manner != Manner::Freeze).await.is_err() || count == 0 {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
