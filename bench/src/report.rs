//! The report: Markdown that also reads well on a terminal.

use std::fmt::Write as _;

/// A table whose first column names the rows.
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = std::iter::once(&self.columns).chain(&self.rows);
        cells.filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    pub fn markdown(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|n| self.width(n)).collect();
        let mut text = String::new();
        let mut line = |cells: &[String]| {
            for (n, width) in widths.iter().enumerate() {
                let cell = cells.get(n).map(String::as_str).unwrap_or_default();
                // Writing into a String cannot fail.
                let _ = match n {
                    0 => write!(text, "| {cell:<width$} "),
                    _ => write!(text, "| {cell:>width$} "),
                };
            }
            text.push_str("|\n");
        };
        line(&self.columns);
        let ruler = widths.iter().enumerate().map(|(n, width)| match n {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
        });
        line(&ruler.collect::<Vec<_>>());
        for row in &self.rows {
            line(row);
        }
        text
    }
}

/// One scenario: its heading, its table, and what has to be known to read it.
pub struct Section {
    pub title: String,
    pub table: Table,
    pub notes: Vec<String>,
}

impl Section {
    pub fn markdown(&self) -> String {
        let mut text = format!("\n## {}\n\n{}", self.title, self.table.markdown());
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

/// A figure with about three digits.
pub fn figure(value: f64) -> String {
    match value {
        v if !v.is_finite() => "–".into(),
        v if v.abs() >= 1_000.0 => thousands(v),
        v if v.abs() >= 100.0 => format!("{v:.0}"),
        v if v.abs() >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `a` as a multiple of `b`.
pub fn ratio(a: f64, b: f64) -> String {
    if a.is_finite() && b > 0.0 { format!("{}×", figure(a / b)) } else { "–".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["server", "p50"]);
        table.row(["Tidings".into(), figure(1234.5)]);
        let text = table.markdown();
        assert_eq!(text, "| server  |   p50 |\n| ------- | ----: |\n| Tidings | 1,234 |\n");
    }

    #[test]
    fn figures_have_three_digits() {
        let figures = [0.123, 12.34, 123.4, 1_234_567.0, f64::NAN].map(figure);
        assert_eq!(figures, ["0.12", "12.3", "123", "1,234,567", "–"]);
        assert_eq!(ratio(3.0, 2.0), "1.50×");
        assert_eq!([ratio(3.0, 0.0), ratio(f64::NAN, 1.0)], ["–", "–"]);
    }
}
