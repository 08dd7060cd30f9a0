//! Migrations of whichever store there is.

use anyhow::Context as _;
use tidings_store_postgres::migrations as postgres;
use tidings_store_sqlite::migrations as sqlite;

use crate::config::Place;

/// One version of the schema.
pub struct Step {
    pub version: u32,
    pub name: &'static str,
    pub applied: bool,
}

/// Brings the schema to the newest version; gives what was applied.
pub async fn up(place: &Place) -> anyhow::Result<Vec<Step>> {
    let up = |version, name| Step { version, name, applied: true };
    Ok(match place {
        Place::Sqlite(path) => {
            let applied = sqlite::up(path)
                .with_context(|| format!("cannot bring {} up to date", path.display()))?;
            applied.into_iter().map(|step| up(step.version, step.name)).collect()
        }
        Place::Postgres(address) => {
            let applied = postgres::up(address).await.context("cannot bring it up to date")?;
            applied.into_iter().map(|step| up(step.version, step.name)).collect()
        }
    })
}

/// Takes back the newest `steps`; gives what was taken back.
pub async fn down(place: &Place, steps: u32) -> anyhow::Result<Vec<Step>> {
    let down = |version, name| Step { version, name, applied: false };
    Ok(match place {
        Place::Sqlite(path) => {
            let undone = sqlite::down(path, sqlite::Down::Steps(steps))?;
            undone.into_iter().map(|step| down(step.version, step.name)).collect()
        }
        Place::Postgres(address) => {
            let undone = postgres::down(address, postgres::Down::Steps(steps)).await?;
            undone.into_iter().map(|step| down(step.version, step.name)).collect()
        }
    })
}

/// Every version that this binary knows.
pub async fn status(place: &Place) -> anyhow::Result<Vec<Step>> {
    Ok(match place {
        Place::Sqlite(path) => sqlite::status(path)?
            .into_iter()
            .map(|s| Step { version: s.version, name: s.name, applied: s.applied })
            .collect(),
        Place::Postgres(address) => postgres::status(address)
            .await?
            .into_iter()
            .map(|s| Step { version: s.version, name: s.name, applied: s.applied })
            .collect(),
    })
}
