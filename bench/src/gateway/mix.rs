//! What a node sustains of everything together: each mix asks for a little more than 50,000 messages a second.

use tidings_load::Pace;

use super::{Contender, Grid, Measured, Sizes};
use crate::{
    crowd::{Crowd, To, faults},
    process::{Server, Stage},
};

/// Deliveries a second that each mix asks for.
const MESSAGES: f64 = 55_000.0;
const UNICASTS: f64 = 5_000.0;
const STORED: f64 = 200.0;
/// Clients that come and go in a second.
const CHURN: f64 = 200.0;
const LONGER: f64 = 3.0;

/// What happens at the same time, beside broadcasts.
struct Mix {
    name: &'static str,
    also: Option<(To, f64)>,
    churn: Option<f64>,
}

const MIXES: [Mix; 4] = [
    Mix { name: "broadcasts", also: None, churn: None },
    Mix { name: "… and events for one", also: Some((To::One, UNICASTS)), churn: None },
    Mix {
        name: "… while clients come and go",
        also: Some((To::One, UNICASTS)),
        churn: Some(CHURN),
    },
    Mix { name: "broadcasts and notifications", also: Some((To::Inbox, STORED)), churn: None },
];

pub async fn mix(stage: &Stage, sizes: &Sizes) -> anyhow::Result<Measured> {
    let members = sizes.crowd / 2;
    let mut columns = Vec::new();
    for mix in &MIXES {
        columns.push(format!("{}: messages/s", mix.name));
        columns.push(format!("CPU % ({})", mix.name));
    }
    let mut grid = Grid::new(format!("Mixes: {members} connections"), columns);
    grid.note(format!(
        "Deliveries a second, of {MESSAGES} that are asked for at fixed times, {:.0} s each: broadcasts to all, {UNICASTS} events for one user each, {STORED} notifications that are stored first (not by the peer), {CHURN} clients that come and go.",
        sizes.seconds * LONGER
    ));
    for contender in [Contender::Tidings, Contender::Peer] {
        let Some(server) = contender.start(stage).await? else { continue };
        let (figures, found) = measure(&server, members, sizes.seconds * LONGER)?;
        grid.row(server.name, figures.into_iter().map(|figure| vec![figure]).collect());
        for fault in found {
            grid.note(format!("{}: {fault}", server.name));
        }
        server.stop().await?;
    }
    Ok(grid.into())
}

fn measure(
    server: &Server,
    members: usize,
    seconds: f64,
) -> anyhow::Result<(Vec<f64>, Vec<String>)> {
    let mut crowd = Crowd::new(server, true)?;
    crowd.grow(members)?;
    crowd.send(&[(To::All, Pace::InFlight(1))], seconds / 8.0)?;
    let (mut figures, mut found) = (Vec::new(), Vec::new());
    for mix in &MIXES {
        let others = mix.also.map_or(0.0, |(_, rate)| rate);
        let mut flows = vec![(To::All, Pace::Rate((MESSAGES - others) / members as f64))];
        flows.extend(mix.also.map(|(to, rate)| (to, Pace::Rate(rate))));
        let before = server.cpu()?;
        let tally = crowd.send_while(&flows, mix.churn, seconds)?;
        let cpu = (server.cpu()? - before) / tally.elapsed * 100.0;
        let received = tally.broadcast.bill.received + tally.unicast.bill.received;
        figures.extend([received as f64 / tally.elapsed, cpu]);
        found.extend(faults(&tally).map(|fault| format!("{}: {fault}", mix.name)));
        let kept_out = tally.churn.failures.count();
        if kept_out > 0 {
            found.push(format!("{}: {kept_out} that came were not let in", mix.name));
        }
    }
    crowd.leave();
    Ok((figures, found))
}
