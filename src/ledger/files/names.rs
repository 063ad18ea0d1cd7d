//! The names of the ledger's files: those of a whole topic are the contract's, and a slice's say which slice it is.

use crate::partitions::Slice;

const LEDGER: &str = "valid_offsets_";
const SLICE: &str = ".slice-";
const OF: &str = "-of-";
const JSON: &str = ".json";
const CLAIM: &str = ".lock";

/// A topic, and the slice of it: `t`, or `t.slice-0-of-3`.
#[must_use]
pub(crate) fn stem(topic: &str, slice: Option<Slice>) -> String {
    slice.map_or_else(
        || topic.to_owned(),
        |slice| format!("{topic}{SLICE}{}{OF}{}", slice.index(), slice.of()),
    )
}

/// Of the ledger.
#[must_use]
pub(crate) fn ledger(topic: &str, slice: Option<Slice>) -> String {
    format!("{LEDGER}{}{JSON}", stem(topic, slice))
}

/// Of its journal: not longer than the ledger's, so that wherever the temporary file of that fits, as has been tried, this
/// one's does.
#[must_use]
pub(crate) fn journal(topic: &str, slice: Option<Slice>) -> String {
    format!("{LEDGER}{}.jnl", stem(topic, slice))
}

/// Of the last value of each key.
#[must_use]
pub(crate) fn latest(topic: &str, slice: Option<Slice>) -> String {
    format!("latest_value_{}{JSON}", stem(topic, slice))
}

/// Of what the producer of a slice holds while it is at work.
#[must_use]
pub(crate) fn claim(topic: &str, slice: Slice) -> String {
    format!("{LEDGER}{}{CLAIM}", stem(topic, Some(slice)))
}

/// The topic and the slice whose ledger has this name, if it is a slice's.
#[must_use]
pub(crate) fn of_slice(name: &str) -> Option<(&str, Slice)> {
    sliced(name, JSON)
}

/// The topic and the slice whose claim has this name.
#[must_use]
pub(crate) fn of_claim(name: &str) -> Option<(&str, Slice)> {
    sliced(name, CLAIM)
}

fn sliced<'a>(name: &'a str, end: &str) -> Option<(&'a str, Slice)> {
    let (topic, numbers) = name.strip_prefix(LEDGER)?.strip_suffix(end)?.rsplit_once(SLICE)?;
    let (index, of) = numbers.split_once(OF)?;
    let slice = Slice::new(index.parse().ok()?, of.parse().ok()?)?;
    // In the one way in which it is written: `+1` and `01` are numbers, too.
    let is_ours = !topic.is_empty() && name == format!("{LEDGER}{}{end}", stem(topic, Some(slice)));
    is_ours.then_some((topic, slice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_topic_and_slice() {
        let slice = Slice::new(2, 13).unwrap();
        assert_eq!(ledger("t", None), "valid_offsets_t.json");
        assert_eq!(ledger("a.b-c_d", Some(slice)), "valid_offsets_a.b-c_d.slice-2-of-13.json");
        assert_eq!(latest("t", Some(slice)), "latest_value_t.slice-2-of-13.json");
        assert_eq!(of_slice(&ledger("a.b-c_d", Some(slice))), Some(("a.b-c_d", slice)));
        assert_eq!(of_claim(&claim("t", slice)), Some(("t", slice)));
        let nested = ledger("t.slice-0-of-1", Some(slice));
        assert_eq!(of_slice(&nested), Some(("t.slice-0-of-1", slice)));
        assert!(journal("t", Some(slice)).len() < ledger("t", Some(slice)).len());
    }

    #[test]
    fn other_names_are_no_slices() {
        for name in [
            "valid_offsets_t.json",
            "valid_offsets_t.slice-3-of-3.json",
            "valid_offsets_t.slice-0-of-0.json",
            "valid_offsets_t.slice-+0-of-3.json",
            "valid_offsets_t.slice-00-of-3.json",
            "valid_offsets_t.slice-0-of-3.json.tmp",
            "valid_offsets_t.slice-0-of-3.jnl",
            "valid_offsets_t.slice-0-of-3.lock",
            "valid_offsets_t.slice-0.json",
            "valid_offsets_.slice-0-of-3.json",
            "latest_value_t.slice-0-of-3.json",
            "t.slice-0-of-3.json",
            "",
        ] {
            assert_eq!(of_slice(name), None, "{name}");
        }
    }
}
