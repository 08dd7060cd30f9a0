//! Scenario 5: what a connection costs in memory while nothing happens on it.

use std::time::Duration;

use super::users;
use crate::{
    client::Crowd,
    machine,
    options::Plan,
    process::{Server, Stage},
    report::{Section, Table, figure, ratio},
};

/// Files that are open beside the connections.
const OTHER_FILES: usize = 600;

pub async fn memory(stage: &Stage, plan: &Plan) -> anyhow::Result<Section> {
    let mut sizes = vec![plan.connections];
    let mut notes = vec![format!(
        "Resident memory of the process, {} s after the last connection was made, less that of the server after a small crowd had come and gone; divided by the connections. The kernel's own memory for sockets is not in it.",
        plan.settle_seconds
    )];
    if machine::open_files() >= plan.many_connections + OTHER_FILES {
        sizes.push(plan.many_connections);
    } else {
        notes.push(format!(
            "{} connections were left out: only {} files may be open.",
            plan.many_connections,
            machine::open_files()
        ));
    }
    let mut columns = vec!["server".to_owned(), "at rest, MB".to_owned()];
    columns.extend(sizes.iter().map(|size| format!("KB each at {size}")));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&columns);
    let server = stage.tidings().await?;
    let tidings = measure(&server, &sizes, plan).await?;
    server.stop().await?;
    table.row(cells("Tidings", &tidings));
    if let Some(server) = stage.peer().await? {
        let peer = measure(&server, &sizes, plan).await?;
        table.row(cells(server.name, &peer));
        let ratios = tidings.iter().zip(&peer).map(|(a, b)| ratio(*a, *b));
        table.row(std::iter::once("ratio (÷ Node.js)".to_owned()).chain(ratios));
        server.stop().await?;
    }
    Ok(Section { title: "5. Memory of an idle connection".into(), table, notes })
}

fn cells(name: &str, figures: &[f64]) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(figures.iter().copied().map(figure)).collect()
}

/// Megabytes at rest, then kilobytes per connection for each of `sizes`.
async fn measure(server: &Server, sizes: &[usize], plan: &Plan) -> anyhow::Result<Vec<f64>> {
    let settle = Duration::from_secs(plan.settle_seconds);
    let small = users("early", 50);
    drop(Crowd::gather(server.door(), &small).await?);
    tokio::time::sleep(settle).await;
    let rest = server.rss()?;
    let mut figures = vec![rest / f64::from(1 << 20)];
    let most = sizes.iter().copied().max().unwrap_or(0);
    let names = users("user", most);
    let mut crowd = Crowd::gather(server.door(), &[]).await?;
    for size in sizes {
        let more = names.get(crowd.len()..*size).unwrap_or_default();
        crowd.grow(server.door(), more).await?;
        tokio::time::sleep(settle).await;
        figures.push((server.rss()? - rest) / 1024.0 / *size as f64);
    }
    Ok(figures)
}
