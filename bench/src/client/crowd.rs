//! Many connections together.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use tokio::task::JoinHandle;

use super::{
    board::Board,
    connection::{Connection, Hello, Orders},
};
use crate::token;

/// Connections that open at the same time, where it is not the opening that is measured.
const ABREAST: usize = 100;
/// Longest that opening may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to connect, and how.
#[derive(Clone, Copy)]
pub enum Door {
    SocketIo(SocketAddr),
    Bare(SocketAddr),
}

/// Connections that are open until this is dropped.
pub struct Crowd {
    pub board: Rc<Board>,
    tasks: Vec<JoinHandle<()>>,
    /// What those in a room are to say, in the order of their opening.
    orders: Vec<Rc<Orders>>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Crowd {
    /// Opens a connection for each user, a few at a time.
    pub async fn gather(door: Door, users: &[String]) -> anyhow::Result<Self> {
        let mut crowd = Self::new();
        crowd.grow(door, users).await?;
        Ok(crowd)
    }

    /// Opens a connection for each user, which joins the room.
    pub async fn gather_in(door: Door, users: &[String], room: &str) -> anyhow::Result<Self> {
        let mut crowd = Self::new();
        for some in users.chunks(ABREAST) {
            let mut hellos = Vec::with_capacity(some.len());
            for user in some {
                let orders = Rc::new(Orders::default());
                crowd.orders.push(Rc::clone(&orders));
                let token = token::sign_for_room(user, room)?;
                let join = format!(r#"42["room:join","{room}"]"#);
                hellos.push(Hello::InRoom { token, join, orders });
            }
            crowd.start(door, hellos);
            crowd.arrived().await?;
        }
        Ok(crowd)
    }

    /// Has one of those in a room send a text.
    pub fn say(&self, client: usize, text: &str) {
        if let Some(orders) = self.orders.get(client) {
            orders.give(text);
        }
    }

    fn new() -> Self {
        Self { board: Board::new(), tasks: Vec::new(), orders: Vec::new() }
    }

    /// Opens more.
    pub async fn grow(&mut self, door: Door, users: &[String]) -> anyhow::Result<()> {
        for some in users.chunks(ABREAST) {
            self.start(door, hellos(door, some)?);
            self.arrived().await?;
        }
        Ok(())
    }

    /// Waits for all that were started.
    async fn arrived(&self) -> anyhow::Result<()> {
        self.board.wait_connected(self.tasks.len(), PATIENCE).await;
        let failures = self.board.failures.borrow();
        anyhow::ensure!(
            failures.is_empty() && self.board.connected_count() == self.tasks.len(),
            "{} of {} connections were made; the first failure: {}",
            self.board.connected_count(),
            self.tasks.len(),
            failures.first().map_or("none in time", String::as_str)
        );
        Ok(())
    }

    fn start(&mut self, door: Door, hellos: Vec<Hello>) {
        let (Door::SocketIo(address) | Door::Bare(address)) = door;
        for hello in hellos {
            let client = self.tasks.len();
            let running = Connection::run(address, client, hello, Rc::clone(&self.board));
            self.tasks.push(tokio::task::spawn_local(running));
        }
    }
}

fn hellos(door: Door, users: &[String]) -> anyhow::Result<Vec<Hello>> {
    let hello = |user: &String| {
        Ok(match door {
            Door::SocketIo(_) => Hello::SocketIo { token: token::sign(user)? },
            Door::Bare(_) => Hello::Bare,
        })
    };
    users.iter().map(hello).collect()
}
