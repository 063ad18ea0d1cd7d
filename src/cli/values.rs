//! Parsers for single values. What they refuse, they answer with what they
//! accept; the flag's name is added where the error is reported.

use std::{borrow::Cow, str::FromStr};

/// What a flag accepts, said when it was given something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("accepts {0}")]
pub(crate) struct Accepts(Cow<'static, str>);

impl Accepts {
    /// `what` completes the sentence "accepts …".
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

/// A value, or what would have been one.
pub(super) type Parsed<T> = Result<T, Accepts>;

/// A number whose negative values all mean "not set", as Go's flags have no other way to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrOff(pub Option<u64>);

/// Go's words for a boolean.
pub(super) fn go_bool(word: &str) -> Parsed<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Accepts::new("true or false (1 t T true TRUE True 0 f F false FALSE False)")),
    }
}

/// A host's name as requests carry it, without a port.
pub(super) fn host_name(word: &str) -> Parsed<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if word.is_empty() || word.len() > 253 || !word.chars().all(is_name) {
        return Err(Accepts::new("a host name, without a port"));
    }
    Ok(word.to_owned())
}

/// A whole number within `low..=high`.
pub(super) fn whole<T: TryFrom<i128>>(
    low: i128,
    high: i128,
) -> impl Fn(&str) -> Parsed<T> + Clone + Send + Sync + 'static {
    move |word| {
        go_integer(word)
            .filter(|number| (low..=high).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| Accepts::new(format!("a whole number, {}", describe_range(low, high))))
    }
}

/// A whole number within `low..=high`, or any negative one for `off`.
pub(super) fn whole_or_off(
    low: i128,
    off: &'static str,
) -> impl Fn(&str) -> Parsed<OrOff> + Clone + Send + Sync + 'static {
    move |word| match go_integer(word) {
        Some(number) if number < 0 => Ok(OrOff(None)),
        // Go's integers end at 2^63, and so do the offsets that these numbers count.
        Some(number) if (low..=i128::from(i64::MAX)).contains(&number) => {
            Ok(OrOff(u64::try_from(number).ok()))
        }
        _ => Err(Accepts::new(format!("a whole number, {low} or more, or a negative one for {off}"))),
    }
}

fn describe_range(low: i128, high: i128) -> String {
    if high >= i128::from(i64::MAX) { format!("{low} or more") } else { format!("{low} to {high}") }
}

/// Go reads its flags as Go literals: `0x10`, `0b11`, `0o17`, `017` and `1_000` are numbers too.
fn go_integer(word: &str) -> Option<i128> {
    let (sign, magnitude) = match word.as_bytes().first()? {
        b'-' => (-1, &word[1..]),
        b'+' => (1, &word[1..]),
        _ => (1, word),
    };
    let (radix, digits) = split_radix(magnitude);
    // An underscore separates digits; behind a prefix it may also lead.
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.split('_').any(|part| part.is_empty() || !part.chars().all(|c| c.is_digit(radix))) {
        return None;
    }
    i128::from_str_radix(&digits.replace('_', ""), radix).ok()?.checked_mul(sign)
}

fn split_radix(magnitude: &str) -> (u32, &str) {
    match magnitude.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &magnitude[2..]),
        [b'0', b'o' | b'O', ..] => (8, &magnitude[2..]),
        [b'0', b'b' | b'B', ..] => (2, &magnitude[2..]),
        [b'0', _, ..] => (8, &magnitude[1..]),
        _ => (10, magnitude),
    }
}

/// A whole number of digits alone, if it is one: Rust's own parser takes a plus sign, too.
pub(super) fn digits<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok().filter(|_| word.bytes().all(|digit| digit.is_ascii_digit()))
}

/// A number between 0 and 1.
pub(super) fn probability(word: &str) -> Parsed<f64> {
    match word.parse::<f64>() {
        // The sum turns -0.0 into 0.0.
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number + 0.0),
        _ => Err(Accepts::new("a probability, 0 to 1")),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy + Send + Sync + 'static>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&str) -> Parsed<T> + Clone + Send + Sync + 'static {
    move |word| {
        choices
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, choice)| *choice)
            .ok_or_else(|| Accepts::new(format!("one of: {}", names(choices))))
    }
}

fn names<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Anything that parses; `what` says what does.
pub(super) fn parsed<T: FromStr>(
    what: &'static str,
) -> impl Fn(&str) -> Parsed<T> + Clone + Send + Sync + 'static {
    move |word| word.parse().map_err(|_| Accepts::new(what))
}

/// `key=value`, with a key.
pub(super) fn key_value(word: &str) -> Parsed<(String, String)> {
    match word.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(Accepts::new("key=value")),
    }
}

/// A name that Kafka accepts for a topic, and that is safe inside a file name.
pub(super) fn topic_name(word: &str) -> Parsed<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let sized = (1..=249).contains(&word.len());
    if sized && word.chars().all(legal) && word != "." && word != ".." {
        Ok(word.to_owned())
    } else {
        Err(Accepts::new("a topic name: 1 to 249 letters, digits, '.', '_' and '-'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_in_all_of_gos_words() {
        for word in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(go_bool(word), Ok(true), "{word}");
        }
        for word in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(go_bool(word), Ok(false), "{word}");
        }
        for word in ["", "yes", "tRUE", "2", "-1", "on"] {
            assert!(go_bool(word).is_err(), "{word}");
        }
    }

    #[test]
    fn integers_in_all_of_gos_literals() {
        for (word, number) in [
            ("0", 0),
            ("-1", -1),
            ("+5", 5),
            ("10000000000", 10_000_000_000),
            ("1_000", 1000),
            ("0x10", 16),
            ("0X_ff", 255),
            ("0b11", 3),
            ("0o17", 15),
            ("017", 15),
            ("0_7", 7),
            ("-0x1", -1),
        ] {
            assert_eq!(go_integer(word), Some(number), "{word}");
        }
        for word in [
            "", "-", "+", "--1", "abc", "1.5", "1e3", "_1", "1_", "1__0", "0x", "0b2", "08", " 1", "1 ", "é",
            "0é",
        ] {
            assert_eq!(go_integer(word), None, "{word}");
        }
        assert_eq!(go_integer(&"9".repeat(100)), None);
    }

    #[test]
    fn ranges_are_named() {
        assert_eq!(
            whole::<u16>(0, 65_535)("65536").unwrap_err().to_string(),
            "accepts a whole number, 0 to 65535"
        );
        assert_eq!(
            whole::<u64>(1, i128::from(u64::MAX))("0").unwrap_err().to_string(),
            "accepts a whole number, 1 or more"
        );
        assert_eq!(whole::<u64>(0, i128::from(u64::MAX))("18446744073709551615"), Ok(u64::MAX));
        assert!(whole::<u64>(0, i128::from(u64::MAX))("18446744073709551616").is_err());
        assert!(whole::<u8>(0, 65_535)("256").is_err(), "a range wider than the type does not wrap");
    }

    #[test]
    fn every_negative_number_is_off() {
        let parser = whole_or_off(1, "none");
        assert_eq!(parser("-1"), Ok(OrOff(None)));
        assert_eq!(parser("-7"), Ok(OrOff(None)));
        assert_eq!(parser("3"), Ok(OrOff(Some(3))));
        assert_eq!(
            parser("0").unwrap_err().to_string(),
            "accepts a whole number, 1 or more, or a negative one for none"
        );
        assert!(parser("9223372036854775808").is_err());
    }

    #[test]
    fn probabilities() {
        for (word, number) in
            [("0", 0.0), ("0.0", 0.0), ("-0.0", 0.0), ("1", 1.0), (".5", 0.5), ("1e-3", 0.001)]
        {
            assert_eq!(probability(word).map(f64::to_bits), Ok(f64::to_bits(number)), "{word}");
        }
        for word in ["", "-0.1", "1.1", "NaN", "inf", "half"] {
            assert!(probability(word).is_err(), "{word}");
        }
    }

    #[test]
    fn pairs_and_names() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("a").is_err());
        assert!(key_value("=b").is_err());
        assert!(topic_name("a.b_c-9").is_ok());
        assert!(topic_name(&"a".repeat(249)).is_ok());
        for bad in ["", ".", "..", "a b", "a/b", "ü", "a,b", &"a".repeat(250)] {
            assert!(topic_name(bad).is_err(), "{bad}");
        }
    }
}
