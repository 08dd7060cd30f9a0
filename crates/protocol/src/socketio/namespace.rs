//! The name of a namespace.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A namespace: `/` or a name that begins with it. Nearly every packet is for `/`, which costs nothing
/// to make; the others are shared, so that a clone is cheap. Found in maps by its `&str`.
#[derive(Clone, Default)]
pub struct Namespace(Option<Arc<str>>);

impl Namespace {
    /// The default namespace.
    pub const ROOT: Namespace = Namespace(None);

    /// A namespace by its name; a slash is put in front if it lacks one.
    pub fn new(name: &str) -> Namespace {
        match name {
            "" | "/" => Namespace::ROOT,
            name if name.starts_with('/') => Namespace(Some(Arc::from(name))),
            name => Namespace(Some(Arc::from(format!("/{name}")))),
        }
    }

    /// The name, with its slash.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("/")
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }
}

impl Deref for Namespace {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Namespace {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Namespace {
    fn from(name: &str) -> Namespace {
        Namespace::new(name)
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Namespace) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Namespace {}

impl PartialEq<str> for Namespace {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Namespace {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// As its `str`, which `Borrow` demands.
impl Hash for Namespace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Namespace {
    fn partial_cmp(&self, other: &Namespace) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Namespace {
    fn cmp(&self, other: &Namespace) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
