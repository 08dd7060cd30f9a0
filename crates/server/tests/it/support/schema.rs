//! As much of JSON Schema as the descriptions of the API and the events use. Stricter in one thing: a property
//! that is not described is wrong.

use serde_json::{Map, Value};

/// Holds `value` against `schema`, whose references are into `document`.
pub fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return check(document, target.ok_or(format!("{reference} leads nowhere"))?, value);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let outcomes: Vec<_> =
                choices.iter().map(|choice| check(document, choice, value)).collect();
            return match outcomes.iter().any(Result::is_ok) {
                true => Ok(()),
                false => Err(format!("none of {choice}: {outcomes:?}")),
            };
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().try_for_each(|part| check(document, part, value));
    }
    check_type(schema, value)?;
    check_bounds(schema, value)?;
    match value {
        Value::Object(object) => check_object(document, schema, object),
        Value::Array(entries) if schema["items"].is_object() => {
            entries.iter().enumerate().try_for_each(|(n, entry)| {
                check(document, &schema["items"], entry).map_err(|p| format!("/{n}: {p}"))
            })
        }
        _ => Ok(()),
    }
}

fn check_type(schema: &Value, value: &Value) -> Result<(), String> {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    };
    types.iter().any(is).then_some(()).ok_or(format!("{value} is not {types:?}"))
}

fn check_bounds(schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        return Err(format!("{value} is not {constant}"));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{value} is not one of {values:?}"));
    }
    let number = value.as_f64();
    let below = schema["minimum"].as_f64().zip(number).is_some_and(|(min, n)| n < min);
    let above = schema["maximum"].as_f64().zip(number).is_some_and(|(max, n)| n > max);
    if below || above {
        return Err(format!("{value} is out of range"));
    }
    let Some(text) = value.as_str() else { return Ok(()) };
    let well_formed = match schema["format"].as_str() {
        Some("uuid") => text.parse::<uuid::Uuid>().is_ok(),
        Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
        _ => true,
    };
    well_formed.then_some(()).ok_or(format!("{text:?} is not a {}", schema["format"]))
}

fn check_object(
    document: &Value,
    schema: &Value,
    object: &Map<String, Value>,
) -> Result<(), String> {
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        if !object.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    for (name, value) in object {
        let Some(property) = properties.get(name) else {
            return Err(format!("{name} is not described"));
        };
        check(document, property, value).map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(())
}
