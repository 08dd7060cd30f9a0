//! What is measured, one file for each scenario.

mod accept;
mod announce;
mod room;
mod steady;

pub use accept::accept;
pub use announce::announce;
pub use room::room;
pub use steady::steady;

use crate::report::figure;

/// `count` users whose names begin with `prefix`.
fn users(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

/// A notification with about 100 bytes of content, as JSON; its number lets the receiver tell
/// which it was.
fn draft(to: &str, number: u64) -> String {
    format!(
        r##"{{"to":{to},"type":"like","actorId":"bob","entityType":"post","entityId":"post-1","message":"bench #{number}","data":{{"postId":"post-1","url":"/posts/1"}}}}"##
    )
}

/// A name and figures, as the cells of a row.
fn row(name: &str, figures: impl IntoIterator<Item = f64>) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(figures.into_iter().map(figure)).collect()
}

/// Small random numbers: which user is next. The same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most.max(1) as u64).unwrap_or(0)
    }
}
