//! Engine.IO: sessions over HTTP long-polling and WebSocket.

mod close;
mod conn;
mod heartbeat;
mod http;
mod linger;
mod link;
mod pipe;
mod plain;
mod polling;
mod receive;
mod registry;
mod session;
mod stream;
mod takeover;
mod upgrade;
mod websocket;

pub(crate) use close::Ending;
#[cfg(test)]
pub(crate) use conn::Conn;
pub use http::Body;
#[cfg(test)]
pub(crate) use link::Transport;
pub(crate) use pipe::Stream;
pub(crate) use registry::Registry;
pub(crate) use session::Refused;
pub use session::Session;
pub use stream::EventStream;
pub(crate) use takeover::Takeover;
