//! How far that reaches which cannot be read, where no batch says so: offsets further and further behind are tried, and
//! then those between what cannot be read and what can.
//!
//! Pure: it says which offset is to be tried, and is told what lay there.

/// What lay at an offset that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// Nothing that can be read.
    Bad,
    /// A batch that can be read, with this first offset: the one that holds the offset, or the next one behind.
    Good { base: i64 },
    /// The log ends at this offset, or below it.
    End { end: i64 },
}

/// A search that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// Where that begins which cannot be read.
    pub(super) from: i64,
    /// What is wrong there.
    pub(super) cause: &'static str,
    /// The highest offset at which nothing can be read, as far as is known.
    low: i64,
    /// The lowest above it at which something can, or where the log ends.
    high: Option<i64>,
    step: i64,
}

impl Search {
    /// Nothing can be read at this offset.
    pub(super) fn behind(from: i64, cause: &'static str) -> Self {
        Self { from, cause, low: from, high: None, step: 1 }
    }

    /// The offset to be tried next. `Err`: there is none; this is where reading goes on.
    pub(super) fn next(&self) -> Result<i64, i64> {
        match self.high {
            None => Ok(self.low.saturating_add(self.step)),
            Some(high) if high - self.low <= 1 => Err(high),
            Some(high) => Ok(self.low + (high - self.low) / 2),
        }
    }

    /// This lay at the offset that was tried.
    pub(super) fn found(&mut self, offset: i64, tried: Tried) {
        let readable = match tried {
            Tried::Bad => {
                self.low = self.low.max(offset);
                self.step = self.step.saturating_mul(2);
                return;
            }
            Tried::Good { base } => base,
            Tried::End { end } => end,
        };
        if readable > offset {
            // Nothing lies between an offset that was tried and a batch behind it.
            self.low = self.low.max(offset);
        }
        // Where even the beginning can be read by now, the log has been truncated and written again.
        let high = if readable <= self.from { self.from } else { readable.max(self.low + 1) };
        self.high = Some(self.high.map_or(high, |known| known.min(high)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A log whose batches begin at these offsets, up to `end`; those below `good` from `from` on cannot be read.
    fn search(bases: &[i64], (from, good, end): (i64, i64, i64)) -> (i64, usize) {
        let mut search = Search::behind(from, "");
        for tries in 0..200 {
            let offset = match search.next() {
                Ok(offset) => offset,
                Err(found) => return (found, tries),
            };
            assert!(offset > from);
            let holds = bases.iter().rev().find(|base| **base <= offset).copied();
            let next = bases.iter().find(|base| **base > offset).copied();
            let tried = match holds {
                _ if offset >= end => Tried::End { end },
                Some(base) if base >= good => Tried::Good { base },
                _ if holds.is_none() && next.is_some() => Tried::Good { base: next.unwrap() },
                _ => Tried::Bad,
            };
            search.found(offset, tried);
        }
        panic!("no end of it");
    }

    proptest! {
        #[test]
        fn the_first_batch_that_can_be_read_is_found(
            lengths in proptest::collection::vec(1_i64..5_000, 2..40),
            from in any::<proptest::sample::Index>(),
            good in any::<proptest::sample::Index>(),
        ) {
            let bases: Vec<i64> = lengths.iter().scan(0, |base, length| {
                let this = *base;
                *base += length;
                Some(this)
            }).collect();
            let end: i64 = lengths.iter().sum();
            let from = from.index(bases.len() - 1);
            let good = from + 1 + good.index(bases.len() - from);
            let expected = bases.get(good).copied().unwrap_or(end);
            let (found, tries) = search(&bases, (bases[from], expected, end));
            prop_assert_eq!(found, expected);
            prop_assert!(tries <= 2 * 19, "{} tries", tries);
        }
    }

    #[test]
    fn a_log_that_ends_right_behind_is_no_search() {
        let mut search = Search::behind(7, "");
        assert_eq!(search.next(), Ok(8));
        search.found(8, Tried::End { end: 8 });
        assert_eq!(search.next(), Err(8));
        // It was truncated, and has other records by now.
        let mut search = Search::behind(7, "");
        search.found(8, Tried::Good { base: 5 });
        assert_eq!(search.next(), Err(7));
    }
}
