//! The ports: what the domain needs from outside. Adapters implement them; each has one
//! conformance suite in `tidings-testkit` that every implementation must pass.

mod bus;
mod clock;
mod connections;
mod erasures;
mod parking;
mod quotas;
mod registry;
mod store;

pub use bus::{Answers, Bus, BusError, BusHealth, BusSink};
pub use clock::Clock;
pub use connections::Connections;
pub use erasures::Erasures;
pub use parking::Parking;
pub use quotas::{Quotas, Taken};
pub use registry::{Enlisted, Registry, RegistryError, Seated};
pub use store::{
    Accept, AcceptOutcome, Accepted, Announcements, ApiKeys, AuditLog, ChangeSink, Inboxes,
    Maintenance, Memberships, NewMembers, PruneBefore, Retracted, Revocations, Store, StoreError,
    Users,
};
