//! Figures as short as they can be told.

/// To three significant digits, without zeros that say nothing.
fn digits(value: f64) -> String {
    let text = match value.abs() {
        0.0..9.995 => format!("{value:.2}"),
        9.995..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number: `950`, `1.23k`, `45.6M`.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        999.5..999_500.0 => digits(value / 1e3) + "k",
        999_500.0..999_500_000.0 => digits(value / 1e6) + "M",
        999_500_000.0.. => digits(value / 1e9) + "G",
        _ => digits(value),
    }
}

/// A number of records in a second: `1.23k/s`.
pub(crate) fn rate(records_per_s: f64) -> String {
    short(records_per_s) + "/s"
}

/// A latency: `850 µs`, `1.23 ms`, `4.5 s`, `> 1 h` where that is all that is known.
pub(crate) fn latency(latency_us: f64) -> String {
    match latency_us {
        ..999.5 => digits(latency_us) + " µs",
        999.5..999_500.0 => digits(latency_us / 1e3) + " ms",
        999_500.0..3.6e9 => digits(latency_us / 1e6) + " s",
        _ => "> 1 h".to_owned(),
    }
}

/// A part of one: `12.3 %`.
pub(crate) fn share(part: f64) -> String {
    digits(part * 100.0) + " %"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        let told = [0.0, 0.5, 7.0, 950.0, 999.6, 1_234.0, 45_678.0, 999_700.0, 1.5e6, 2e9].map(short);
        assert_eq!(told.join(" "), "0 0.5 7 950 1k 1.23k 45.7k 1M 1.5M 2G");
        let told = [0.0, 1.0, 850.4, 999.7, 12_345.0, 1e6, 75e6, 3.6e9, f64::INFINITY].map(latency);
        assert_eq!(told.join(", "), "0 µs, 1 µs, 850 µs, 1 ms, 12.3 ms, 1 s, 75 s, > 1 h, > 1 h");
        assert_eq!(
            (rate(50_000.0), share(0.1234), share(1.0)),
            ("50k/s".into(), "12.3 %".into(), "100 %".into())
        );
    }
}
