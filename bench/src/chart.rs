//! Small pictures of figures, drawn by hand (SVG).

use std::fmt::Write as _;

use crate::report::figure;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 44.0;
/// Distinct also for those who see few colours.
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"];

struct Picture(String);

impl Picture {
    fn new(title: &str, names: impl Iterator<Item = String>) -> Self {
        let mut picture = Self(format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>"##
        ));
        picture.text(LEFT, 22.0, "start", title);
        let mut x = LEFT;
        for (name, colour) in names.zip(COLOURS.iter().cycle()) {
            let _ = write!(
                picture.0,
                r#"<rect x="{x}" y="34" width="10" height="10" fill="{colour}"/>"#
            );
            picture.text(x + 14.0, 43.0, "start", &name);
            x += 34.0 + name.chars().count() as f64 * 6.6;
        }
        picture
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ =
            write!(self.0, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
        let _ = write!(
            self.0,
            r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="{colour}" fill="none"/>"#
        );
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn finite(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| value.is_finite()).fold(0.0, f64::max).max(1e-9)
}

/// A group of bars for each column, a bar for each row.
pub fn bars(title: &str, columns: &[String], rows: &[(String, Vec<f64>)]) -> String {
    let mut picture = Picture::new(title, rows.iter().map(|(name, _)| name.clone()));
    let most = finite(rows.iter().flat_map(|(_, values)| values.iter().copied()));
    let floor = HEIGHT - BOTTOM;
    let height = |value: f64| value / most * (floor - TOP);
    for part in 0..=4 {
        let value = most * f64::from(part) / 4.0;
        let y = floor - height(value);
        picture.line((LEFT, y), (WIDTH - RIGHT, y), "#ddd");
        picture.text(LEFT - 6.0, y + 4.0, "end", &figure(value));
    }
    let group = (WIDTH - LEFT - RIGHT) / columns.len().max(1) as f64;
    let bar = group * 0.8 / rows.len().max(1) as f64;
    for (n, column) in columns.iter().enumerate() {
        let x = LEFT + group * n as f64;
        picture.text(x + group / 2.0, floor + 18.0, "middle", column);
        for (m, ((_, values), colour)) in rows.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let Some(value) = values.get(n).copied().filter(|value| value.is_finite()) else {
                continue;
            };
            let (x, height) = (x + group * 0.1 + bar * m as f64, height(value));
            let _ = write!(
                picture.0,
                r#"<rect x="{x:.1}" y="{:.1}" width="{:.1}" height="{height:.1}" fill="{colour}"/>"#,
                floor - height,
                bar * 0.9
            );
        }
    }
    picture.end()
}

/// A line for each row, both axes logarithmic: what matters spans orders of magnitude.
pub fn lines(title: &str, across: &str, up: &str, rows: &[(String, Vec<(f64, f64)>)]) -> String {
    let mut picture = Picture::new(title, rows.iter().map(|(name, _)| name.clone()));
    let points = || rows.iter().flat_map(|(_, points)| points.iter().copied());
    let points = || points().filter(|(x, y)| *x > 0.0 && *y > 0.0 && y.is_finite());
    let decades = |values: Vec<f64>| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.iter().copied().fold(1e-3, f64::max).log10().ceil();
        if low.is_finite() { (low, high.max(low + 1.0)) } else { (0.0, 1.0) }
    };
    let (low_x, high_x) = decades(points().map(|(x, _)| x).collect());
    let (low_y, high_y) = decades(points().map(|(_, y)| y).collect());
    let floor = HEIGHT - BOTTOM;
    let place = |x: f64, y: f64| {
        let across = (x.log10() - low_x) / (high_x - low_x);
        let up = (y.log10() - low_y) / (high_y - low_y);
        (LEFT + across * (WIDTH - LEFT - RIGHT), floor - up * (floor - TOP))
    };
    for decade in (low_y as i32)..=(high_y as i32) {
        let value = 10f64.powi(decade);
        let (_, y) = place(10f64.powf(low_x), value);
        picture.line((LEFT, y), (WIDTH - RIGHT, y), "#ddd");
        picture.text(LEFT - 6.0, y + 4.0, "end", &figure(value));
    }
    for decade in (low_x as i32)..=(high_x as i32) {
        let value = 10f64.powi(decade);
        let (x, _) = place(value, 10f64.powf(low_y));
        picture.line((x, TOP), (x, floor), "#eee");
        picture.text(x, floor + 18.0, "middle", &figure(value));
    }
    picture.text(WIDTH - RIGHT, floor + 36.0, "end", across);
    picture.text(LEFT - 6.0, TOP - 6.0, "end", up);
    for ((_, points), colour) in rows.iter().zip(COLOURS.iter().cycle()) {
        let fine = points.iter().copied().filter(|(x, y)| *x > 0.0 && *y > 0.0 && y.is_finite());
        let places: Vec<(f64, f64)> = fine.map(|(x, y)| place(x, y)).collect();
        for pair in places.windows(2) {
            if let [from, to] = pair {
                picture.line(*from, *to, colour);
            }
        }
        for (x, y) in places {
            let _ = write!(picture.0, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#);
        }
    }
    picture.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_hold_what_they_are_given() {
        let rows = [("A & B".to_owned(), vec![1.0, f64::NAN]), ("C".to_owned(), vec![2.0, 4.0])];
        let text = bars("title", &["x".into(), "y".into()], &rows);
        assert!(text.contains("A &amp; B") && text.matches("<rect").count() == 1 + 2 + 3, "{text}");
        let rows = [("A".to_owned(), vec![(10.0, 1.0), (100.0, 50.0), (1_000.0, f64::NAN)])];
        let text = lines("title", "x", "y", &rows);
        assert_eq!(text.matches("<circle").count(), 2);
        assert!(lines("nothing", "x", "y", &[]).ends_with("</svg>\n"));
    }
}
