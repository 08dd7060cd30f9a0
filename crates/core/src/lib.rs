//! The domain of Tidings: ids, notifications, inboxes and the ports to the outside.
