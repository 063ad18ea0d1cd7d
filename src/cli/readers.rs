//! Who reads in a benchmark, as the user writes it.

use std::num::NonZeroUsize;

use super::values::{Accepts, Parsed, digits};
use crate::config::BenchReaders;

/// More is a slip of the finger: each member is a client with threads of its own.
const MOST: usize = 10_000;

/// `direct`, `none`, or groups and the members of each, as `2x4` or `2×4`.
pub(super) fn readers(word: &str) -> Parsed<BenchReaders> {
    let refused = || {
        Accepts::new(
            "direct, none, or GxM: so many consumer groups of so many members each, such as 2x4 (up to 10000 members in all)",
        )
    };
    match word {
        "direct" => return Ok(BenchReaders::Direct),
        "none" => return Ok(BenchReaders::None),
        _ => {}
    }
    let (groups, members) = word.split_once(['x', 'X', '×']).ok_or_else(refused)?;
    let number = |word: &str| digits::<NonZeroUsize>(word).ok_or_else(refused);
    let (groups, members) = (number(groups)?, number(members)?);
    match groups.checked_mul(members) {
        Some(all) if all.get() <= MOST => Ok(BenchReaders::Groups { groups, members }),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_shards_groups_or_nobody() {
        assert_eq!(readers("direct"), Ok(BenchReaders::Direct));
        assert_eq!(readers("none"), Ok(BenchReaders::None));
        for word in ["2x3", "2×3", "2X3", "02x3"] {
            let found = readers(word).unwrap();
            assert_eq!((found.to_string().as_str(), found.readings()), ("2x3", 2), "{word}");
        }
        for bad in [
            "",
            "x",
            "2x",
            "x3",
            "0x3",
            "2x0",
            "2*3",
            "2x3x4",
            "-1x2",
            "+1x2",
            "101x100",
            "2x99999999999999999999",
        ] {
            let refused = readers(bad).unwrap_err().to_string();
            assert!(refused.starts_with("accepts direct, none, or GxM"), "{bad}");
        }
    }
}
