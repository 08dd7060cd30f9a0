//! Many Socket.IO clients in one thread, and whoever sends to them: the engine of `tidings bench`.
//!
//! [`Engine`] is a loop over sockets that do not block. A frame is read in place and never
//! copied or allocated for; what a client must remember of a stream is one counter. Every message
//! carries a [`mark::Mark`], by which each client keeps its own books: what was lost, what came
//! twice, what came late. Times are counted from when something was *due*, so that a server that
//! stalls does not slow down its own measurement.

mod books;
mod churn;
mod clock;
mod dice;
mod emit;
mod engine;
mod files;
mod hello;
mod http;
mod ledger;
mod mark;
mod measure;
mod pipe;
mod poster;
mod report;
mod run;
mod sequence;
mod socket;
mod tally;
mod target;
mod template;
mod timer;
mod tls;
pub mod wire;

pub use churn::Churn;
pub use clock::Clock;
pub use dice::Dice;
pub use emit::Emit;
pub use engine::{Engine, Rush};
pub use files::raise_limit;
pub use hello::{Hellos, Join, Tokens};
pub use http::{Answer, Broken, answer};
pub use ledger::Ledger;
pub use mark::Mark;
pub use measure::{Outcome, Plan, measure};
pub use poster::Request;
pub use report::Report;
pub use run::{Flow, Load, Pace, Via};
pub use sequence::Bill;
pub use socket::Role;
pub use tally::{Failures, Messages, Opened, Tally, Times};
pub use target::Target;
pub use template::{Template, Values};
pub use tls::Tls;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{url}: {problem}")]
    Url { url: String, problem: String },
    #[error("a token could not be signed: {0}")]
    Sign(jsonwebtoken::errors::Error),
    #[error(
        "{needed} files would be open, and this system allows {allowed}: use fewer connections, or raise the hard limit (`ulimit -Hn`, LimitNOFILE=)"
    )]
    Files { needed: u64, allowed: u64 },
    #[error("the first client did not get in: {0}")]
    FirstClient(String),
    #[error("{failed} of {wanted} clients did not get in; most often: {reason}")]
    Clients { failed: u64, wanted: u64, reason: String },
    #[error("no message was taken; most often: {0}")]
    NothingTaken(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
