//! What is known of a client before its session begins, where its first request says it all.

use tidings_core::ids::{DeviceId, Rev};

use super::open::{OpenRequest, Since};
use crate::auth::Claims;

/// A client that has proven who it is, and what it asks for.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub(super) claims: Claims,
    pub(super) request: OpenRequest,
    /// Names of rooms that it wants to be in.
    pub(super) rooms: Vec<String>,
    /// The device has everything up to here, and says so.
    pub(super) acknowledged: Option<Rev>,
}

impl Arrival {
    pub fn of(claims: Claims) -> Self {
        let request = OpenRequest::default();
        Self { claims, request, rooms: Vec::new(), acknowledged: None }
    }

    #[must_use]
    pub fn since(mut self, since: Option<Since>) -> Self {
        self.request.since = since;
        self
    }

    /// The device has everything up to this rev.
    #[must_use]
    pub fn after(mut self, rev: Option<Rev>) -> Self {
        if let Some(rev) = rev {
            self.request.since = Some(Since::Rev(rev));
            self.acknowledged = Some(rev);
        }
        self
    }

    #[must_use]
    pub fn device(mut self, device: Option<DeviceId>) -> Self {
        self.request.device = device;
        self
    }

    #[must_use]
    pub fn rooms(mut self, rooms: Vec<String>) -> Self {
        self.rooms = rooms;
        self
    }
}
