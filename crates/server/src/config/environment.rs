//! Settings from the environment.
//!
//! `TIDINGS_PORT` sets `port`, `TIDINGS_LIMITS__CONNECTIONS` sets `limits.connections`. Some
//! have short names of their own, and some unprefixed names that other servers of this kind
//! use work as fall-backs.

use toml::{Table, Value};

use super::load::ConfigError;

const PREFIX: &str = "TIDINGS_";

/// Short names, and where they lead.
const SHORT: [(&str, &str); 2] =
    [("TIDINGS_JWT_SECRET", "auth.jwt_secret"), ("TIDINGS_ORIGINS", "http.origins")];

/// Variables that begin like ours but are not settings.
const NOT_SETTINGS: [&str; 3] = ["TIDINGS_CONFIG", "TIDINGS_BIN", "TIDINGS_API_KEY"];

/// Names without our prefix, used only where nothing else sets the value.
const FALLBACKS: [(&str, &str); 6] = [
    ("WEBSOCKET_PORT", "port"),
    ("REDIS_URL", "redis_url"),
    ("DATABASE_URL", "database_url"),
    ("JWT_SECRET", "auth.jwt_secret"),
    ("MAX_CONNECTIONS", "limits.connections"),
    ("CORS_ORIGIN", "http.origins"),
];

/// Settings that are lists: written with commas.
const LISTS: [&str; 4] =
    ["http.origins", "http.trusted_proxies", "http.hosts", "database.replicas"];

/// Settings that are text even if they look like a number.
const TEXTS: [&str; 6] = [
    "auth.jwt_secret",
    "node_id",
    "auth.audience",
    "auth.introspection.client_id",
    "auth.introspection.client_secret",
    "authorization.secret",
];

/// Puts the environment over `table`.
pub(super) fn apply(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    let variables: Vec<_> = variables.filter(|(_, value)| !value.is_empty()).collect();
    for (name, path) in FALLBACKS {
        if let Some((_, value)) = variables.iter().find(|(n, _)| n == name)
            && !is_set(table, path)
        {
            set(table, path, parse(path, value), name)?;
        }
    }
    // Elsewhere this is a bare number of milliseconds.
    if let Some((name, value)) = variables.iter().find(|(n, _)| n == "HEARTBEAT_INTERVAL")
        && !is_set(table, "gateway.ping_interval")
    {
        set(table, "gateway.ping_interval", Value::String(format!("{value}ms")), name)?;
    }
    // DATABASE_PATH is a file name, not an address.
    if let Some((name, value)) = variables.iter().find(|(n, _)| n == "DATABASE_PATH")
        && !is_set(table, "database_url")
    {
        set(table, "database_url", Value::String(format!("sqlite:{value}")), name)?;
    }
    for (name, value) in variables.iter().filter(|variable| !is_service_link(variable)) {
        let Some(path) = path_of(name) else { continue };
        set(table, &path, parse(&path, value), name)?;
    }
    Ok(())
}

/// Kubernetes tells a pod of a service called `tidings` its addresses in variables that look
/// like ours: `TIDINGS_PORT=tcp://…`, `TIDINGS_SERVICE_HOST`, `TIDINGS_PORT_3001_TCP`.
fn is_service_link((name, value): &(String, String)) -> bool {
    let ours = |rest| name.strip_prefix(PREFIX).is_some_and(|name| name.starts_with(rest));
    ours("SERVICE_") || ours("PORT_") || (name == "TIDINGS_PORT" && value.contains("://"))
}

fn path_of(name: &str) -> Option<String> {
    if NOT_SETTINGS.contains(&name) {
        return None;
    }
    if let Some((_, path)) = SHORT.iter().find(|(short, _)| *short == name) {
        return Some((*path).to_owned());
    }
    let rest = name.strip_prefix(PREFIX)?;
    Some(rest.to_ascii_lowercase().replace("__", "."))
}

fn is_set(table: &Table, path: &str) -> bool {
    let mut parts = path.split('.');
    let first = parts.next().and_then(|part| table.get(part));
    parts.fold(first, |value, part| value?.as_table()?.get(part)).is_some()
}

/// Sets `path` in `table`; `source` names the variable or flag in errors.
pub(super) fn set(
    table: &mut Table,
    path: &str,
    value: Value,
    source: &str,
) -> Result<(), ConfigError> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            let inner = inner.as_table_mut().ok_or_else(|| ConfigError::Invalid {
                setting: path.to_owned(),
                problem: format!("{source} names a section that is a plain setting"),
            })?;
            set(inner, rest, value, source)
        }
    }
}

fn parse(path: &str, text: &str) -> Value {
    if LISTS.contains(&path) {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        return Value::Array(entries.map(|entry| Value::String(entry.to_owned())).collect());
    }
    if TEXTS.contains(&path) {
        return Value::String(text.to_owned());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::Integer(number);
    }
    if let Ok(number) = text.parse::<f64>() {
        return Value::Float(number);
    }
    match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(file: &str, variables: &[(&str, &str)]) -> Table {
        let mut table: Table = file.parse().unwrap();
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        apply(&mut table, variables).unwrap();
        table
    }

    #[test]
    fn double_underscores_lead_into_sections() {
        let table = applied("", &[("TIDINGS_LIMITS__CONNECTIONS", "7")]);
        assert_eq!(table["limits"]["connections"].as_integer(), Some(7));
    }

    #[test]
    fn the_environment_wins_over_the_file_and_fallbacks_over_nothing() {
        let table = applied("port = 1", &[("TIDINGS_PORT", "2"), ("WEBSOCKET_PORT", "3")]);
        assert_eq!(table["port"].as_integer(), Some(2));
        let table = applied("port = 1", &[("WEBSOCKET_PORT", "3")]);
        assert_eq!(table["port"].as_integer(), Some(1));
        let table = applied("", &[("WEBSOCKET_PORT", "3")]);
        assert_eq!(table["port"].as_integer(), Some(3));
    }

    #[test]
    fn service_links_are_no_settings() {
        let links = [
            ("TIDINGS_PORT", "tcp://10.0.0.1:3001"),
            ("TIDINGS_SERVICE_HOST", "10.0.0.1"),
            ("TIDINGS_PORT_3001_TCP", "x"),
        ];
        assert!(applied("", &links).is_empty());
    }

    #[test]
    fn a_secret_of_digits_stays_text() {
        let table = applied("", &[("TIDINGS_JWT_SECRET", "12345")]);
        assert_eq!(table["auth"]["jwt_secret"].as_str(), Some("12345"));
    }
}
