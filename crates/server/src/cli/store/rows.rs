//! The rows on their way: read on a thread, a batch ahead of what is written.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use tidings_core::{
    copy::{Batch, Checksum, TABLES, Table},
    ports::StoreError,
};
use tidings_store_postgres::{Import, Place};
use tidings_store_sqlite::Export;
use tokio::sync::mpsc;

use super::progress::Progress;

/// Batches that wait to be written.
const AHEAD: usize = 2;

type Read<T> = Result<(&'static Table, T), StoreError>;

/// Copies what is not copied yet.
pub(super) async fn copy(
    export: Export,
    import: &mut Import,
    places: BTreeMap<String, Place>,
    most: usize,
    progress: &mut Progress,
) -> anyhow::Result<Export> {
    let (batches, mut to_write) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || {
        for table in TABLES {
            let place = places.get(table.name).cloned().unwrap_or_default();
            if !place.done && !read(&export, table, place.cursor, most, &batches) {
                break;
            }
        }
        export
    });
    while let Some(batch) = to_write.recv().await {
        let (table, batch) = batch?;
        import.put(table, &batch).await.with_context(|| format!("table {}", table.name))?;
        progress.add(table.name, batch.rows.len() as u64);
    }
    progress.end();
    Ok(reading.await?)
}

/// Sends the batches of a table; whether all of them were taken.
fn read(
    export: &Export,
    table: &'static Table,
    mut cursor: Option<String>,
    most: usize,
    batches: &mpsc::Sender<Read<Batch>>,
) -> bool {
    loop {
        let batch = export.batch(table, cursor.as_deref(), most);
        let goes_on = batch.as_ref().is_ok_and(|batch| !batch.last);
        let failed = batch.is_err();
        cursor = batch.as_ref().ok().and_then(|batch| batch.cursor.clone());
        if batches.blocking_send(batch.map(|batch| (table, batch))).is_err() || failed {
            return false;
        }
        if !goes_on {
            return true;
        }
    }
}

/// Reads everything on both sides once more: every table must have as many rows, and the same.
pub(super) async fn compare(
    export: Export,
    import: &Import,
    most: usize,
    progress: &mut Progress,
) -> anyhow::Result<Export> {
    let (checksums, mut ours) = mpsc::channel::<Read<Checksum>>(AHEAD);
    let reading = tokio::task::spawn_blocking(move || {
        for table in TABLES {
            let checksum = export.checksum(table, most).map(|checksum| (table, checksum));
            if checksums.blocking_send(checksum).is_err() {
                break;
            }
        }
        export
    });
    let mut differ = Vec::new();
    for table in TABLES {
        let theirs = import.checksum(table).await?;
        let (of, ours) = ours.recv().await.context("nothing more is read")??;
        if of != table || ours != theirs {
            differ.push(format!("{}: {ours} here, {theirs} there", table.name));
        }
        progress.add(table.name, ours.rows);
    }
    progress.end();
    if !differ.is_empty() {
        bail!("the copy is not what was copied; begin again with --restart\n{}", differ.join("\n"));
    }
    Ok(reading.await?)
}
