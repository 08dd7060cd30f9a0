//! `tidings store copy`

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use tidings_core::copy::{TABLES, Table};
use tidings_store_postgres::{Address, Import, Place as Progressed, Standing, migrations};
use tidings_store_sqlite::Export;

use super::{
    progress::{Progress, grouped},
    rows,
};
use crate::{
    cli::{Global, block_on, say},
    config::{Config, Place},
    data_dir::DataDir,
    spool::Spool,
};

#[derive(Args)]
pub(super) struct Copy {
    /// What is copied: sqlite:PATH. No server may use it meanwhile
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where it goes: postgres://USER:PASSWORD@HOST/DATABASE, an empty database [default: the
    /// configured `database_url`]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Only count what there is to copy, and look whether it could be
    #[arg(long)]
    dry_run: bool,
    /// Throw away what an unfinished copy left in the database, and begin again
    #[arg(long)]
    restart: bool,
    /// Rows that are written together
    #[arg(long, value_name = "ROWS", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
}

/// What there is to copy.
struct Source {
    path: PathBuf,
    state: String,
    counts: Vec<(&'static Table, u64)>,
}

impl Source {
    fn look(path: PathBuf, export: &Export) -> anyhow::Result<Self> {
        let count = |table| anyhow::Ok((table, export.count(table)?));
        let counts = TABLES.iter().map(count).collect::<anyhow::Result<_>>()?;
        Ok(Self { path, state: export.state()?, counts })
    }

    fn rows(&self) -> u64 {
        self.counts.iter().map(|(_, rows)| rows).sum()
    }
}

impl Copy {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let path = sqlite_path(&self.from)?;
        let config = global.load()?;
        let to = match &self.to {
            Some(url) => url.parse().context("--to")?,
            None => configured(&config)?,
        };
        let _locks = lock(&path, &config.data_dir)?;
        block_on(self.copy(path, to))
    }

    async fn copy(&self, path: PathBuf, to: Address) -> anyhow::Result<()> {
        let export = Export::open(&path)?;
        let source = Source::look(path, &export)?;
        let mut import = Import::open(&to).await?;
        let standing = import.standing().await?;
        if self.dry_run {
            return report(&source, &standing);
        }
        let places = match standing {
            Standing::Unfinished { state, places } if state == source.state && !self.restart => {
                migrations::up(&to).await?;
                places
            }
            Standing::Empty | Standing::Unfinished { .. } if self.restart => {
                migrations::up(&to).await?;
                if standing != Standing::Empty {
                    import.start_over().await?;
                }
                import.begin(&source.state, export.oldest()?).await?;
                BTreeMap::new()
            }
            Standing::Empty => {
                migrations::up(&to).await?;
                import.begin(&source.state, export.oldest()?).await?;
                BTreeMap::new()
            }
            other => bail!(refusal(&other)),
        };
        self.carry_out(export, &mut import, &source, places).await
    }

    async fn carry_out(
        &self,
        export: Export,
        import: &mut Import,
        source: &Source,
        places: BTreeMap<String, Progressed>,
    ) -> anyhow::Result<()> {
        let rows_there = places.values().map(|place| place.rows).sum();
        let mut progress = Progress::new("copied", source.rows(), rows_there);
        let most = self.batch as usize;
        let export = rows::copy(export, import, places, most, &mut progress).await?;
        let mut progress = Progress::new("compared", source.rows(), 0);
        let export = rows::compare(export, import, most, &mut progress).await?;
        if Export::open(&source.path)?.state()? != source.state {
            bail!(
                "{} was changed while it was copied: stop what writes it, and copy again with --restart",
                source.path.display()
            );
        }
        for table in TABLES.iter().filter(|table| table.numbered) {
            import.number_from(table, export.highest_number(table)?).await?;
        }
        import.finish().await?;
        let rows = grouped(source.rows());
        say(format_args!("Copied {rows} rows; counts and checksums of all tables agree."));
        Ok(())
    }
}

fn configured(config: &Config) -> anyhow::Result<Address> {
    match config.place().map_err(|problem| anyhow!("database_url: {problem}"))? {
        Place::Postgres(address) => Ok(*address),
        Place::Sqlite(_) => bail!("database_url is not postgres://…: say where it goes with --to"),
    }
}

fn report(source: &Source, standing: &Standing) -> anyhow::Result<()> {
    for (table, rows) in &source.counts {
        say(format_args!("{:<24} {:>15}", table.name, grouped(*rows)));
    }
    say(format_args!("{:<24} {:>15}", "all", grouped(source.rows())));
    match standing {
        Standing::Empty => say("The other database is empty."),
        Standing::Unfinished { state, places } if *state == source.state => {
            let rows = places.values().map(|place| place.rows).sum();
            say(format_args!("The other database has {} rows of them.", grouped(rows)));
        }
        other => bail!(refusal(other)),
    }
    Ok(())
}

fn refusal(standing: &Standing) -> String {
    match standing {
        Standing::Empty => "the other database is empty".into(),
        Standing::Unfinished { .. } => "the other database has a part of something else: another \
            database was copied into it, or this one was written to since; to throw that part \
            away and begin again, add --restart"
            .into(),
        Standing::Finished { at } => format!("the copy into this database was finished at {at}"),
        Standing::Occupied { tables } => format!(
            "the other database is not empty: there are rows in {}; copy into an empty one",
            tables.join(", ")
        ),
    }
}

fn sqlite_path(url: &str) -> anyhow::Result<PathBuf> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        bail!("--from: must be sqlite:PATH; copying from PostgreSQL is not offered");
    };
    let path = PathBuf::from(rest.strip_prefix("//").unwrap_or(rest));
    fs::canonicalize(&path).with_context(|| format!("there is no database at {}", path.display()))
}

/// What was accepted while the database was away is not in it yet.
fn must_not_wait(data_dir: &Path) -> anyhow::Result<()> {
    let waiting = Spool::waiting_in(data_dir)?;
    if waiting > 0 {
        bail!(
            "{waiting} accepted requests wait in {} and are not in the database yet: start the server \
            on it once, and stop it when /health shows no records in the spool",
            data_dir.join("spool").display()
        );
    }
    Ok(())
}

/// No server may write what is copied: it would hold the lock of the database's directory, or
/// that of the data directory which the configuration names.
fn lock(database: &Path, data_dir: &Path) -> anyhow::Result<Vec<DataDir>> {
    let beside = database.parent().unwrap_or(Path::new("/"));
    let mut locks = vec![DataDir::lock(beside)?];
    if let Ok(named) = fs::canonicalize(data_dir)
        && named != beside
    {
        locks.push(DataDir::lock(&named)?);
    }
    for dir in &locks {
        must_not_wait(dir.path())?;
    }
    Ok(locks)
}
