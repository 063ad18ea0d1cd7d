//! Numbers as people read them.

use std::time::Duration;

use indicatif::HumanCount;

/// A number of things: `1 shard`, `1,234 shards`.
#[must_use]
pub(crate) fn count(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {thing}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// A number and what is counted, where `(s)` goes when it is one: `1 restart` and `2 restarts` of `restart(s)`.
#[must_use]
pub(crate) fn counted(number: u64, things: &str) -> String {
    format!("{} {}", HumanCount(number), things.replace("(s)", if number == 1 { "" } else { "s" }))
}

/// So many in this time, for one second: `141,303`, and in parts of one where it is below that: `0.4`.
#[must_use]
pub(crate) fn per_second(number: u64, took: Duration) -> String {
    let took_us = took.as_micros().max(1_000);
    let whole = u128::from(number) * 1_000_000 / took_us;
    let exact = number as f64 * 1e6 / took_us as f64;
    match u64::try_from(whole).unwrap_or(u64::MAX) {
        0 if number == 0 => "0".to_owned(),
        0 if exact >= 0.1 => format!("{:.1}", (exact * 10.0).floor() / 10.0),
        0 if exact >= 0.001 => format!("{exact:.3}"),
        0 => "less than 0.001".to_owned(),
        rate => HumanCount(rate).to_string(),
    }
}

/// How much of a limit was reached, both in bytes for one second: `3.8 of the limit's 4.8 MiB/s were reached`.
#[must_use]
pub(crate) fn of_limit(reached_bytes_per_s: f64, limit_bytes_per_s: u64) -> String {
    let (unit, bytes, digits) = match limit_bytes_per_s {
        0..1_024 => ("B/s", 1.0, 0),
        1_024..1_048_576 => ("KiB/s", 1_024.0, 1),
        _ => ("MiB/s", 1_048_576.0, 1),
    };
    let (reached, limit) = (reached_bytes_per_s / bytes, limit_bytes_per_s as f64 / bytes);
    format!("{reached:.digits$} of the limit's {limit:.digits$} {unit} were reached")
}

/// How long something took: `0.71 s`, `5 min 3 s`, `3 h 12 min`, `2 days 3 h`.
#[must_use]
pub(crate) fn duration(time: Duration) -> String {
    if time < Duration::from_mins(1) { format!("{:.2} s", time.as_secs_f64()) } else { span(time) }
}

/// A time that need not be exact, in at most two units: `3 s`, `5 min 3 s`, `3 h 12 min`, `2 days 3 h`.
#[must_use]
pub(crate) fn span(time: Duration) -> String {
    let s = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => pair(s / 60, "min", s % 60, "s"),
        3_600..86_400 => pair(s / 3_600, "h", s / 60 % 60, "min"),
        _ => pair(s / 86_400, if s / 86_400 == 1 { "day" } else { "days" }, s / 3_600 % 24, "h"),
    }
}

/// A moment, ms since 1970: `2026-11-27 07:09:54 UTC`.
///
/// The day by Howard Hinnant's `civil_from_days` ("chrono-Compatible Low-Level Date Algorithms"): years that begin in March,
/// in eras of 400 of them.
#[must_use]
pub(crate) fn moment(unix_ms: i64) -> String {
    let s = unix_ms.div_euclid(1_000);
    let (days, s) = (s.div_euclid(86_400) + 719_468, s.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, s) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{s:02} UTC")
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    let large = format!("{} {large_unit}", HumanCount(large));
    if small == 0 { large } else { format!("{large} {small} {small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_limits_have_small_units() {
        assert_eq!(of_limit(4e6, 5_000_000), "3.8 of the limit's 4.8 MiB/s were reached");
        assert_eq!(of_limit(12_600.0, 20_000), "12.3 of the limit's 19.5 KiB/s were reached");
        assert_eq!(of_limit(0.4, 500), "0 of the limit's 500 B/s were reached");
    }

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!(
            [0, 1, 2, 1_234].map(|number| count(number, "shard")).join("; "),
            "0 shards; 1 shard; 2 shards; 1,234 shards"
        );
        assert_eq!(count(1_usize, "topic"), "1 topic");
        assert_eq!([1, 2].map(|number| counted(number, "stall(s): see")), ["1 stall: see", "2 stalls: see"]);
    }

    #[test]
    fn rates_below_one_are_no_zero() {
        let rates = [
            ((4, 10), "0.4"),
            ((0, 10), "0"),
            ((99, 100), "0.9"),
            ((1, 1), "1"),
            ((3, 2), "1"),
            ((1, 30), "0.033"),
            ((1, 100_000), "less than 0.001"),
            ((1_234_567, 1), "1,234,567"),
            ((u64::MAX, 0), "18,446,744,073,709,551,615"),
        ];
        for ((number, seconds), text) in rates {
            assert_eq!(per_second(number, Duration::from_secs(seconds)), text, "{number} in {seconds} s");
        }
    }

    #[test]
    fn moments_are_days_and_times_of_day() {
        let known = [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_795_763_394_999, "2026-11-27 07:09:54 UTC"),
            (4_107_542_399_000, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ];
        for (unix_ms, words) in known {
            assert_eq!(moment(unix_ms), words, "{unix_ms}");
        }
    }

    #[test]
    fn long_times_are_days_and_hours() {
        let span = |s| span(Duration::from_secs(s));
        assert_eq!(
            [0, 59, 60, 303, 3_600, 11_520].map(span).join("; "),
            "0 s; 59 s; 1 min; 5 min 3 s; 1 h; 3 h 12 min"
        );
        assert_eq!([86_399, 86_400, 183_600].map(span).join("; "), "23 h 59 min; 1 day; 2 days 3 h");
        assert_eq!(super::span(Duration::from_millis(59_700)), "1 min");
        assert_eq!(duration(Duration::from_millis(714)), "0.71 s");
        assert_eq!(duration(Duration::from_hours(51)), "2 days 3 h");
    }
}
