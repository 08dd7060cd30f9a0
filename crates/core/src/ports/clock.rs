use crate::time::Timestamp;

/// Tells the time. The server has the real one; tests have one that they move.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}
