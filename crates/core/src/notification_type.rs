//! The types of notification that this installation knows.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::notification::Priority;

/// What is declared about a type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TypeSpec {
    /// The priority of a notification that does not bring its own.
    #[serde(default)]
    pub priority: Priority,
    /// How long its notifications are kept, if not as long as others.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
}

/// The built-in types and those that the configuration declares.
#[derive(Debug, Clone)]
pub struct TypeCatalog {
    types: BTreeMap<String, TypeSpec>,
}

/// Every built-in type with its default priority.
const BUILT_IN: [(&str, Priority); 12] = [
    ("like", Priority::Low),
    ("comment", Priority::Normal),
    ("reply", Priority::Normal),
    ("mention", Priority::High),
    ("follow", Priority::Low),
    ("message", Priority::High),
    ("group_invite", Priority::Normal),
    ("group_join", Priority::Low),
    ("group_post", Priority::Normal),
    ("system", Priority::High),
    ("alert", Priority::High),
    ("error_docs", Priority::Normal),
];

impl Default for TypeCatalog {
    fn default() -> Self {
        Self::with_declared(BTreeMap::new())
    }
}

impl TypeCatalog {
    /// The built-in types, with `declared` ones added or put in their place.
    pub fn with_declared(declared: BTreeMap<String, TypeSpec>) -> Self {
        let mut types: BTreeMap<_, _> = BUILT_IN
            .iter()
            .map(|(name, priority)| {
                ((*name).to_owned(), TypeSpec { priority: *priority, retention: None })
            })
            .collect();
        types.extend(declared);
        Self { types }
    }

    pub fn get(&self, name: &str) -> Option<&TypeSpec> {
        self.types.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }
}
