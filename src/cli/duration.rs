//! Durations as Go writes them (`5ms`, `1.5s`, `2m0s`): the scripts that we
//! inherit are full of them.

use std::time::Duration;

use super::values::{Accepts, Parsed};

/// What an integer without a unit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BareUnit {
    /// Nothing: only `0` may go without a unit.
    Refused,
    /// The flag's name ends in `-ms`.
    Millis,
    /// The flag's name ends in `-s`.
    Seconds,
}

/// The largest duration that Go can express.
const MAX_NS: u128 = i64::MAX as u128;

/// A clap value parser for durations within `low..=high`.
pub(super) fn duration(
    bare: BareUnit,
    low: Duration,
    high: Duration,
) -> impl Fn(&str) -> Parsed<Duration> + Clone + Send + Sync + 'static {
    move |word| {
        parse(word, bare)
            .filter(|found| (low..=high).contains(found))
            .ok_or_else(|| Accepts::new(describe(bare, low, high)))
    }
}

fn describe(bare: BareUnit, low: Duration, high: Duration) -> String {
    let bare = match bare {
        BareUnit::Refused => "",
        BareUnit::Millis => " (or a whole number of milliseconds)",
        BareUnit::Seconds => " (or a whole number of seconds)",
    };
    format!("a duration such as 5ms, 1.5s or 2m0s{bare}, from {low:?} to {high:?}")
}

/// `None` for anything but a duration of zero or more.
fn parse(word: &str, bare: BareUnit) -> Option<Duration> {
    let (negative, magnitude) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let total_ns = if magnitude.bytes().all(|b| b.is_ascii_digit()) {
        bare_ns(magnitude, bare)?
    } else {
        units_ns(magnitude)?
    };
    if negative && total_ns > 0 {
        return None;
    }
    u64::try_from(total_ns).ok().map(Duration::from_nanos)
}

fn bare_ns(digits: &str, bare: BareUnit) -> Option<u128> {
    let number: u128 = digits.parse().ok()?;
    let unit_ns = match bare {
        _ if number == 0 => 0,
        BareUnit::Refused => return None,
        BareUnit::Millis => 1_000_000,
        BareUnit::Seconds => 1_000_000_000,
    };
    number.checked_mul(unit_ns).filter(|ns| *ns <= MAX_NS)
}

/// The sum of a chain of numbers with units, such as `1h2m3.5s`.
fn units_ns(chain: &str) -> Option<u128> {
    let mut rest = chain;
    let mut total_ns = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit_ns = unit_ns(&after[..end])?;
        total_ns += whole_ns(whole, unit_ns)? + fraction_ns(fraction, unit_ns);
        if total_ns > MAX_NS {
            return None;
        }
        rest = &after[end..];
    }
    Some(total_ns)
}

fn split_digits(word: &str) -> (&str, &str) {
    word.split_at(word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len()))
}

fn unit_ns(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter look alike, and both are typed.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn whole_ns(digits: &str, unit_ns: u128) -> Option<u128> {
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse::<u128>().ok()?.checked_mul(unit_ns).filter(|ns| *ns <= MAX_NS)
}

/// Digits beyond the 18th are far below a nanosecond, whatever the unit.
fn fraction_ns(digits: &str, unit_ns: u128) -> u128 {
    let (value, scale) = digits
        .bytes()
        .take(18)
        .fold((0, 1), |(value, scale), digit| (value * 10 + u128::from(digit - b'0'), scale * 10));
    value * unit_ns / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        for (word, ns) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("5ms", 5_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("2m0s", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("100us", 100_000),
            ("100\u{b5}s", 100_000),
            ("100\u{3bc}s", 100_000),
            ("7ns", 7),
            ("+1s", 1_000_000_000),
            ("0.1234567891234567891234s", 123_456_789),
        ] {
            assert_eq!(parse(word, BareUnit::Refused), Some(Duration::from_nanos(ns)), "{word}");
        }
    }

    #[test]
    fn what_is_not_a_duration() {
        for word in [
            "",
            "-",
            "+",
            ".",
            "s",
            ".s",
            "1",
            "5",
            "1x",
            "1 s",
            "-1s",
            "1s-",
            "1e3s",
            "--1s",
            "1sm",
            "é",
            "5ms\u{b5}",
        ] {
            assert_eq!(parse(word, BareUnit::Refused), None, "{word}");
        }
        for word in ["9999999999h", "99999999999999999999999999999999999999999999h", "9223372037s"] {
            assert_eq!(parse(word, BareUnit::Refused), None, "{word}");
        }
        assert_eq!(parse(&"9".repeat(60), BareUnit::Seconds), None);
    }

    #[test]
    fn bare_integers_take_the_unit_of_the_name() {
        assert_eq!(parse("1500", BareUnit::Millis), Some(Duration::from_millis(1500)));
        assert_eq!(parse("30", BareUnit::Seconds), Some(Duration::from_secs(30)));
        assert_eq!(parse("30s", BareUnit::Millis), Some(Duration::from_secs(30)));
        assert_eq!(parse("-1", BareUnit::Seconds), None);
        assert_eq!(parse("1.5", BareUnit::Seconds), None);
    }

    #[test]
    fn errors_say_what_is_accepted() {
        let parser = duration(BareUnit::Millis, Duration::ZERO, Duration::from_mins(15));
        assert_eq!(parser("5ms"), Ok(Duration::from_millis(5)));
        let refused = parser("-5ms").unwrap_err().to_string();
        assert_eq!(
            refused,
            "accepts a duration such as 5ms, 1.5s or 2m0s (or a whole number of milliseconds), from 0ns to 900s"
        );
        assert!(parser("901s").is_err());
    }
}
