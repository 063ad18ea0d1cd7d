//! A set of logical CPUs in the notation that Linux uses for it: `0-3,8`.
//!
//! The kernel writes this form (`cpulist`, `Cpus_allowed_list`) and `taskset` reads it, so users know it already.

use std::{collections::BTreeSet, fmt, str::FromStr};

use thiserror::Error;

/// The largest number of CPUs Linux can be built for; ids are below it. Bounds what a typing error can allocate.
pub(crate) const MAX_CPUS: usize = 8192;

/// An ordered set of logical CPU ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CpuSet(BTreeSet<usize>);

/// Why a text is not a CPU list.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CpuSetParseError {
    /// There is nothing between two commas, or nothing at all.
    #[error("a part of the CPU list `{list}` is empty; write it like `0-3,8`")]
    EmptyPart {
        /// The whole list.
        list: String,
    },
    /// A part is neither a number nor a range of numbers.
    #[error("`{part}` is not a CPU or a range of CPUs; write it like `8` or `0-3`")]
    NotANumber {
        /// The offending part.
        part: String,
    },
    /// A range ends before it starts.
    #[error("the range `{part}` runs backwards; write the smaller CPU first")]
    Backwards {
        /// The offending part.
        part: String,
    },
    /// No machine has such a CPU.
    #[error("`{part}` names a CPU above {max}, the highest that Linux knows")]
    TooHigh {
        /// The offending part.
        part: String,
        /// The highest possible id.
        max: usize,
    },
}

impl CpuSet {
    /// Whether `cpu` is in the set.
    #[must_use]
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// How many CPUs the set has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set has no CPU.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// The CPUs that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.0.intersection(&other.0).copied().collect()
    }

    /// The CPUs of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.0.difference(&other.0).copied().collect()
    }

    /// The CPUs that are in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.union(&other.0).copied().collect()
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if_eq(&(last + 1)) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl FromStr for CpuSet {
    type Err = CpuSetParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut cpus = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            if part.is_empty() {
                return Err(CpuSetParseError::EmptyPart { list: text.to_owned() });
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (parse_cpu(first, part)?, parse_cpu(last, part)?);
            if last < first {
                return Err(CpuSetParseError::Backwards { part: part.to_owned() });
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

fn parse_cpu(digits: &str, part: &str) -> Result<usize, CpuSetParseError> {
    // `usize::from_str` takes a leading `+`, which nobody means here.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CpuSetParseError::NotANumber { part: part.to_owned() });
    }
    digits
        .parse()
        .ok()
        .filter(|&cpu| cpu < MAX_CPUS)
        .ok_or_else(|| CpuSetParseError::TooHigh { part: part.to_owned(), max: MAX_CPUS - 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(list: &str) -> CpuSet {
        list.parse().unwrap()
    }

    #[test]
    fn reads_and_prints_the_kernels_notation() {
        assert_eq!(set("0-3,8").iter().collect::<Vec<_>>(), [0, 1, 2, 3, 8]);
        assert_eq!(set("8, 3,2,0-1").to_string(), "0-3,8");
        assert_eq!(set("5").to_string(), "5");
        assert_eq!(set("4-4,6").to_string(), "4,6");
        assert_eq!(CpuSet::default().to_string(), "");
    }

    #[test]
    fn set_operations() {
        let (low, high) = (set("0-3"), set("2-5"));
        assert_eq!(low.intersection(&high), set("2-3"));
        assert_eq!(low.difference(&high), set("0-1"));
        assert_eq!(low.union(&high), set("0-5"));
        assert_eq!(low.len(), 4);
        assert!(low.contains(3) && !low.contains(4));
        assert!(low.intersection(&set("9")).is_empty());
    }

    #[test]
    fn says_what_is_wrong() {
        use CpuSetParseError as E;
        let error = |list: &str| list.parse::<CpuSet>().unwrap_err();
        for list in ["", ",", "0,", "0,,1"] {
            assert_eq!(error(list), E::EmptyPart { list: list.into() });
        }
        for part in ["x", "-", "1-", "-1", "1-2-3", "+1", "1 - 2", "0x1", "١"] {
            assert_eq!(error(part), E::NotANumber { part: part.into() }, "{part}");
        }
        assert_eq!(error("1,3-2"), E::Backwards { part: "3-2".into() });
        for part in ["8192", "0-99999999999", "99999999999999999999999999"] {
            assert_eq!(error(part), E::TooHigh { part: part.into(), max: 8191 });
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_can_be_read(cpus in proptest::collection::btree_set(0..MAX_CPUS, 1..64)) {
            let cpus: CpuSet = cpus.into_iter().collect();
            prop_assert_eq!(cpus.to_string().parse::<CpuSet>(), Ok(cpus));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<CpuSet>();
        }
    }
}
