//! Figures of several servers, several samples each: ratios first, then medians and spread.

use serde_json::{Value, json};

use crate::report::{Section, Table, figure, ratio};

pub struct Grid {
    pub title: String,
    pub columns: Vec<String>,
    rows: Vec<(String, Vec<Vec<f64>>)>,
    pub notes: Vec<String>,
}

impl Grid {
    pub fn new(title: impl Into<String>, columns: Vec<String>) -> Self {
        Self { title: title.into(), columns, rows: Vec::new(), notes: Vec::new() }
    }

    /// Samples of each column. The first row is compared with the others.
    pub fn row(&mut self, name: &str, samples: Vec<Vec<f64>>) {
        self.rows.push((name.to_owned(), samples));
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub fn section(&self) -> Section {
        let mut columns = vec!["server"];
        columns.extend(self.columns.iter().map(String::as_str));
        let mut table = Table::new(&columns);
        if let Some(((first, ours), others)) = self.rows.split_first() {
            for (name, theirs) in others {
                let ratios = ours.iter().zip(theirs).map(|(a, b)| ratio(median(a), median(b)));
                table.row(std::iter::once(format!("**{first} ÷ {name}**")).chain(ratios));
            }
        }
        for (name, samples) in &self.rows {
            table.row(std::iter::once(name.clone()).chain(samples.iter().map(|cell| spread(cell))));
        }
        Section { title: self.title.clone(), table, notes: self.notes.clone() }
    }

    pub fn data(&self) -> Value {
        let row = |(name, samples): &(String, Vec<Vec<f64>>)| {
            let cells = self.columns.iter().cloned().zip(samples.iter().map(|cell| {
                json!({ "median": finite(median(cell)), "samples": cell.iter().copied().map(finite).collect::<Vec<_>>() })
            }));
            json!({ "server": name, "figures": cells.collect::<serde_json::Map<_, _>>() })
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }

    /// A row's medians.
    pub fn medians(&self) -> Vec<(String, Vec<f64>)> {
        let medians = |cells: &Vec<Vec<f64>>| cells.iter().map(|cell| median(cell)).collect();
        self.rows.iter().map(|(name, cells)| (name.clone(), medians(cells))).collect()
    }
}

/// JSON has no infinity.
fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and between what the samples lay.
fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match values.len() {
        0 => "–".to_owned(),
        1 => figure(median(values)),
        _ => format!("{} ({}–{})", figure(median(values)), figure(low), figure(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_come_first_and_are_those_of_the_medians() {
        let mut grid = Grid::new("x", vec!["a".into(), "b".into()]);
        grid.row("ours", vec![vec![3.0, 9.0, 1.0], vec![]]);
        grid.row("theirs", vec![vec![2.0], vec![1.0]]);
        let text = grid.section().markdown();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(lines[2].contains("ours ÷ theirs") && lines[2].contains("1.50×"), "{text}");
        assert!(lines[3].contains("3.00 (1.00–9.00)"), "{text}");
        assert_eq!(grid.data()["rows"][0]["figures"]["a"]["median"], 3.0);
        assert!(grid.data()["rows"][0]["figures"]["b"]["median"].is_null());
    }
}
