//! The types of event that the configuration declares: what their data looks like, and who may
//! see which fields of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidings_core::room::{Audience, MAX_AUDIENCES, check_event_name};

/// Most wrong fields that one answer names.
const MAX_ERRORS: usize = 20;

/// A type as it is declared.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// A JSON Schema that `data` fulfils.
    pub schema: serde_json::Value,
    /// Roles and the fields that they may see; empty: everybody sees all.
    #[serde(default)]
    pub audiences: BTreeMap<String, BTreeSet<String>>,
}

/// All declared types. With none declared, every name and all data are fine.
#[derive(Default)]
pub struct EventTypes(BTreeMap<String, EventType>);

struct EventType {
    schema: jsonschema::Validator,
    audiences: Arc<[Audience]>,
}

/// Why an event is not one of a declared type.
pub(crate) enum TypeError {
    Undeclared,
    /// Pointers into the data, and what is wrong there.
    Invalid(Vec<(String, String)>),
}

impl EventTypes {
    /// Fails with a sentence about the first declaration that makes no sense.
    pub fn new(specs: &BTreeMap<String, EventSpec>) -> Result<Self, String> {
        let read = |(name, spec): (&String, &EventSpec)| match event_type(name, spec) {
            Ok(event_type) => Ok((name.clone(), event_type)),
            Err(problem) => Err(format!("events.{name:?}: {problem}")),
        };
        specs.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Every role that some audience is about.
    pub(crate) fn roles(&self) -> BTreeSet<String> {
        let audiences = self.0.values().flat_map(|event_type| event_type.audiences.iter());
        audiences.map(|audience| audience.role.clone()).collect()
    }

    /// Who may see what of an event of this name with this data.
    pub(crate) fn check(&self, name: &str, data: &RawValue) -> Result<Arc<[Audience]>, TypeError> {
        if self.0.is_empty() {
            return Ok(Arc::default());
        }
        let event_type = self.0.get(name).ok_or(TypeError::Undeclared)?;
        let value: serde_json::Value = serde_json::from_str(data.get())
            .map_err(|problem| TypeError::Invalid(vec![(String::new(), problem.to_string())]))?;
        let errors: Vec<_> = event_type
            .schema
            .iter_errors(&value)
            .take(MAX_ERRORS)
            .map(|error| (error.instance_path().to_string(), error.to_string()))
            .collect();
        match errors.is_empty() {
            true => Ok(Arc::clone(&event_type.audiences)),
            false => Err(TypeError::Invalid(errors)),
        }
    }
}

fn event_type(name: &str, spec: &EventSpec) -> Result<EventType, String> {
    check_event_name(name).map_err(|problem| problem.to_string())?;
    if spec.audiences.len() > MAX_AUDIENCES {
        return Err(format!("audiences: at most {MAX_AUDIENCES}"));
    }
    let schema =
        jsonschema::validator_for(&spec.schema).map_err(|problem| format!("schema: {problem}"))?;
    let audiences = spec.audiences.iter();
    let audience = |(role, fields): (&String, &BTreeSet<String>)| Audience {
        role: role.clone(),
        fields: fields.clone(),
    };
    Ok(EventType { schema, audiences: audiences.map(audience).collect() })
}
