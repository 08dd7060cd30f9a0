//! What is measured of notifications and presence, one file for each scenario.

mod accept;
mod announce;
mod room;
mod steady;

pub use accept::accept;
pub use announce::announce;
pub use room::room;
pub use steady::steady;
