//! A copy of the database while it is written to.
//!
//! The copy is one snapshot: SQLite's online backup reads through a read transaction of its own
//! connection, so what is committed meanwhile is neither waited for nor in it. It takes shape
//! under another name, is checked, synced, and only then gets the name that was asked for: there
//! is never half a backup.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} exists already; another name, or --force")]
    Exists(PathBuf),
    #[error("there is no database at {0}")]
    NoDatabase(PathBuf),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("another process holds the database")]
    Busy,
    #[error("the copy is not whole: {0}")]
    Corrupt(String),
    #[error("the database cannot be copied: {0}")]
    Database(#[from] rusqlite::Error),
}

/// How far a backup is, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    pub copied: u64,
    pub total: u64,
}

/// Pages that are copied at once, 4 MiB; in between the progress is told.
const PAGES: i32 = 1_024;
/// How long something else (a checkpoint, `sqlite3`) is waited for that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Copies the database at `from` to `to`. Everything that was committed before this was called
/// is in the copy.
pub fn backup(
    from: &Path,
    to: &Path,
    replace: bool,
    mut progress: impl FnMut(BackupProgress),
) -> Result<(), BackupError> {
    if !from.exists() {
        return Err(BackupError::NoDatabase(from.to_owned()));
    }
    if !replace && to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let part = Part::new(to)?;
    copy(from, &part.path, &mut progress)?;
    check(&part.path)?;
    part.finish(to, replace)
}

fn copy(
    from: &Path,
    to: &Path,
    progress: &mut impl FnMut(BackupProgress),
) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags)?;
    source.busy_timeout(BUSY_TIMEOUT)?;
    // Without it the backup would begin again with each write of another connection, and under
    // load never end. In WAL mode it keeps nobody from writing.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    let mut target = Connection::open(to)?;
    {
        let backup = Backup::new(&source, &mut target)?;
        loop {
            let step = backup.step(PAGES)?;
            let state = backup.progress();
            let total = u64::try_from(state.pagecount).unwrap_or(0);
            let left = u64::try_from(state.remaining).unwrap_or(0);
            progress(BackupProgress { copied: total.saturating_sub(left), total });
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // It has waited for as long as the time-out tells.
                _ => return Err(BackupError::Busy),
            }
        }
    }
    // One file, without a log beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, problem)| problem)?;
    Ok(())
}

fn check(path: &Path) -> Result<(), BackupError> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = conn.prepare("PRAGMA integrity_check(10)")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?;
    let found = found.collect::<Result<Vec<_>, _>>()?;
    if found == ["ok"] { Ok(()) } else { Err(BackupError::Corrupt(found.join("; "))) }
}

/// The copy in the making; removed unless it is finished.
struct Part {
    path: PathBuf,
    folder: PathBuf,
    finished: bool,
}

impl Part {
    fn new(to: &Path) -> Result<Self, BackupError> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let folder = match to.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let part = Self { path: folder.join(name), folder, finished: false };
        // Left over from a process that was killed.
        let _ = fs::remove_file(&part.path);
        Ok(part)
    }

    fn finish(mut self, to: &Path, replace: bool) -> Result<(), BackupError> {
        let failed = |source| BackupError::File { path: to.to_owned(), source };
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(failed)?;
        if replace {
            fs::rename(&self.path, to).map_err(failed)?;
        } else {
            // Unlike a rename, a link takes nobody's place that came meanwhile.
            fs::hard_link(&self.path, to).map_err(|source| match source.kind() {
                std::io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
                _ => failed(source),
            })?;
            fs::remove_file(&self.path).map_err(failed)?;
        }
        self.finished = true;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}
