//! Puts the configuration together: defaults, file, environment, flags.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::{Config, Role, environment};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {problem}")]
    Unreadable { path: PathBuf, problem: std::io::Error },
    #[error("{path} is not valid TOML: {problem}")]
    Syntax { path: PathBuf, problem: Box<toml::de::Error> },
    #[error("{setting}: {problem}")]
    Invalid { setting: String, problem: String },
}

/// What was said on the command line. It wins over everything else.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub role: Option<Role>,
    pub data_dir: Option<PathBuf>,
    pub dev: bool,
}

/// Loads the configuration. It is complete but not yet checked: see [`super::check`].
pub fn load(
    flags: &Flags,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let variables: Vec<_> = variables.collect();
    let named = flags.config.clone().or_else(|| {
        variables.iter().find(|(name, _)| name == "TIDINGS_CONFIG").map(|(_, v)| PathBuf::from(v))
    });
    let mut table = read_file(named.as_deref())?;
    environment::apply(&mut table, variables.into_iter())?;
    apply_flags(&mut table, flags)?;
    deserialize(table)
}

fn read_file(named: Option<&Path>) -> Result<Table, ConfigError> {
    let path = match named {
        Some(path) => path,
        None if Path::new("tidings.toml").exists() => Path::new("tidings.toml"),
        None => return Ok(Table::new()),
    };
    let text = std::fs::read_to_string(path)
        .map_err(|problem| ConfigError::Unreadable { path: path.to_owned(), problem })?;
    text.parse().map_err(|problem| ConfigError::Syntax {
        path: path.to_owned(),
        problem: Box::new(problem),
    })
}

fn apply_flags(table: &mut Table, flags: &Flags) -> Result<(), ConfigError> {
    let mut set = |path: &str, value: Value| environment::set(table, path, value, "a flag");
    if let Some(host) = &flags.host {
        set("host", Value::String(host.clone()))?;
    }
    if let Some(port) = flags.port {
        set("port", Value::Integer(port.into()))?;
    }
    if let Some(role) = flags.role {
        set("role", Value::String(role.as_str().to_owned()))?;
    }
    if let Some(dir) = &flags.data_dir {
        set("data_dir", Value::String(dir.to_string_lossy().into_owned()))?;
    }
    if flags.dev {
        set("dev", Value::Boolean(true))?;
    }
    Ok(())
}

fn deserialize(table: Table) -> Result<Config, ConfigError> {
    let mut track = serde_path_to_error::Track::new();
    let value = Value::Table(table);
    Config::deserialize(serde_path_to_error::Deserializer::new(value, &mut track)).map_err(
        |problem| ConfigError::Invalid {
            setting: track.path().to_string(),
            problem: problem.to_string().trim().to_owned(),
        },
    )
}
