//! A comparison as text, and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    comparison::{Outcome, Row},
    metric::Unit,
};

/// Columns behind the name, right-aligned: old, new, change.
const NAME: usize = 16;
const FIGURE: usize = 14;

/// The table, a line for each figure.
pub(super) fn text(rows: &[Row]) -> String {
    let [name, old, new, change, range] = ["typical second", "old", "new", "change", "with 95 %"];
    let mut text = format!("  {name:NAME$}{old:>FIGURE$}{new:>FIGURE$}{change:>10}  {range:22}\n");
    for row in rows {
        let [old, new, change, range, outcome] = cells(row);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {:NAME$}{old:>FIGURE$}{new:>FIGURE$}{change:>10}  {range:22}{outcome}",
            row.metric.name
        );
    }
    text
}

/// What stands behind a figure's name: old, new, the change, where it lies, the outcome.
pub(super) fn cells(row: &Row) -> [String; 5] {
    let unit = row.metric.unit;
    let range = row.range.map_or_else(String::new, |(low, high)| format!("{} to {}", part(low), part(high)));
    let (old, new, change) = (figure(row.old, unit), figure(row.new, unit), part(row.change));
    [old, new, change, range, row.outcome.words().to_owned()]
}

/// `+12.3 %`
fn part(change: f64) -> String {
    format!("{:+.1} %", change * 100.0)
}

fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::RecordsPerS => format!("{value:.0}/s"),
        Unit::Micros if value >= 1e6 => format!("{:.2} s", value / 1e6),
        Unit::Micros if value >= 1e3 => format!("{:.2} ms", value / 1e3),
        Unit::Micros => format!("{value:.1} µs"),
    }
}

/// The figures, with their units in their names.
pub(super) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let unit = match row.metric.unit {
            Unit::RecordsPerS => "records_per_s",
            Unit::Micros => "us",
        };
        let outcome = match row.outcome {
            Outcome::NoDifference | Outcome::Small => "no-difference",
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::Unknown => "unknown",
        };
        json!({
            "figure": row.metric.name,
            "unit": unit,
            "old": row.old,
            "new": row.new,
            "old_run": row.whole.0,
            "new_run": row.whole.1,
            "change": row.change,
            "change_low": row.range.map(|(low, _)| low),
            "change_high": row.range.map(|(_, high)| high),
            "p": row.p,
            "outcome": outcome,
        })
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::metric::METRICS, *};

    #[test]
    fn a_table_says_what_changed_by_how_much_and_whether_that_matters() {
        let rows = [
            Row {
                metric: &METRICS[0],
                old: 141_303.2,
                new: 150_000.0,
                change: 0.0615,
                range: Some((0.02, 0.1)),
                p: Some(0.02),
                outcome: Outcome::Small,
                whole: (141_303.2, 149_000.0),
            },
            Row {
                metric: &METRICS[3],
                old: 950.0,
                new: 6_200.0,
                change: 5.5,
                range: None,
                p: None,
                outcome: Outcome::Unknown,
                whole: (990.0, 6_300.0),
            },
        ];
        let text = text(&rows);
        let words =
            |line: usize| text.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(0), "typical second old new change with 95 %");
        assert_eq!(words(1), "rate 141303/s 150000/s +6.2 % +2.0 % to +10.0 % too small to count");
        assert_eq!(words(2), "p99 950.0 µs 6.20 ms +550.0 % too short to tell");
        let json = json(&rows);
        assert_eq!((&json[0]["unit"], &json[1]["p"]), (&"records_per_s".into(), &Value::Null));
        assert_eq!((&json[0]["outcome"], &json[0]["new_run"]), (&"no-difference".into(), &149_000.0.into()));
    }
}
