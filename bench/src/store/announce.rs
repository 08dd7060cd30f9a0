//! One announcement to everybody, with no pause between its batches.

use std::time::Instant;

use anyhow::Context as _;
use tidings_core::{announcement::BATCH, ports::Accept, time::Timestamp};
use tidings_testkit::{message, new_id};

use super::{Place, Sizes, Subject, alone::NOW, pages::run_sql};
use crate::{
    gateway::{Grid, Measured},
    options::Scenario,
};

pub async fn measure(subjects: &[Subject], sizes: &Sizes) -> anyhow::Result<(Scenario, Measured)> {
    let columns = ["seconds", "notifications/s"];
    let mut grid = Grid::new(
        format!("An announcement to {} users, stored", sizes.announced),
        columns.map(str::to_owned).to_vec(),
    );
    for subject in subjects {
        let numbers = match &subject.place {
            Place::Sqlite { .. } => format!(
                "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {}) SELECT n FROM s)",
                sizes.announced
            ),
            Place::Postgres { .. } => {
                format!("(SELECT n FROM generate_series(1, {}) n) s", sizes.announced)
            }
        };
        run_sql(
            subject,
            &format!("INSERT INTO users (id, created_at) SELECT 'member-' || n, 0 FROM {numbers}"),
        )
        .await?;
        let now = Timestamp::from_millis(NOW);
        let messages = vec![message(now).id(new_id()).to_all().build()];
        let begun = Instant::now();
        let outcome = subject.store.accept(Accept { messages, idempotency: None, now }).await?;
        let id = outcome.accepted.first().context("nothing was accepted")?.id;
        let mut served = 0;
        loop {
            let progress = subject.store.advance_announcement(id, BATCH, now).await?;
            served += progress.added;
            if progress.finished {
                break;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        grid.row(subject.name, vec![vec![seconds], vec![served as f64 / seconds]]);
    }
    grid.note(format!(
        "In batches of {BATCH}, one transaction each; none of the users had an inbox before."
    ));
    Ok((Scenario::StoreAnnounce, grid.into()))
}
