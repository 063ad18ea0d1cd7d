//! Finding the way past a batch that cannot be read.
//!
//! Pure. Nothing tells how far such a batch reaches, because what would tell cannot be trusted. So offsets
//! behind it are tried, further and further away, until one can be read; then the first such one is
//! between it and the last that could not.

/// The search for the first readable offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    /// The first offset that could not be read, and the last one known.
    from: i64,
    bad: i64,
    /// One that could.
    good: Option<i64>,
    /// The one that is being tried.
    trying: i64,
    answered: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for the answer.
    Wait,
    /// Read from here, and say how that went.
    Try(i64),
    /// Everything up to here, and without it, cannot be read.
    Resume {
        /// Where the unreadable begins.
        from: i64,
        /// Where it ends.
        to: i64,
    },
}

impl Skip {
    /// Reading stopped at this offset.
    pub(super) fn at(offset: i64) -> Self {
        Self { from: offset, bad: offset, good: None, trying: offset, answered: true }
    }

    /// The offset that is being tried.
    pub(super) fn trying(&self) -> i64 {
        self.trying
    }

    /// It cannot be read, either.
    pub(super) fn failed(&mut self) {
        self.bad = self.bad.max(self.trying);
        self.answered = true;
    }

    /// There is something to read there, or nothing at all.
    pub(super) fn succeeded(&mut self) {
        // What was already queued before a try tells nothing about it.
        if self.trying > self.bad {
            self.good = Some(self.trying);
            self.answered = true;
        }
    }

    /// The next step. Nothing is tried at or behind `end`, where the reader's part ends.
    pub(super) fn next(&mut self, end: i64) -> Next {
        if !std::mem::take(&mut self.answered) {
            return Next::Wait;
        }
        let further = self.bad.saturating_add(self.bad - self.from).saturating_add(1);
        let known = self.good.or((further >= end).then_some(end));
        self.trying = match known {
            Some(good) if good - self.bad <= 1 => return Next::Resume { from: self.from, to: good },
            Some(good) => self.bad + (good - self.bad) / 2,
            None => further,
        };
        Next::Try(self.trying)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches in a log where `bad` cannot be read; returns the end of what is passed over, and the tries.
    fn search(bad: std::ops::Range<i64>, end: i64) -> (i64, usize) {
        let mut skip = Skip::at(bad.start);
        for tries in 0.. {
            match skip.next(end) {
                Next::Try(offset) if bad.contains(&offset) => skip.failed(),
                Next::Try(offset) => {
                    assert!(offset < end && offset > bad.start);
                    skip.succeeded();
                }
                Next::Resume { from, to } => {
                    assert_eq!(from, bad.start);
                    return (to, tries);
                }
                Next::Wait => panic!("nothing to wait for"),
            }
        }
        unreachable!()
    }

    #[test]
    fn a_single_record_is_passed_over() {
        assert_eq!(search(5..6, 100), (6, 1));
    }

    #[test]
    fn an_end_that_cannot_be_read_is_the_end() {
        assert_eq!(search(5..100, 100).0, 100);
        assert_eq!(search(99..100, 100).0, 100);
    }

    #[test]
    fn every_answer_is_waited_for() {
        let mut skip = Skip::at(5);
        assert_eq!(skip.next(100), Next::Try(6));
        assert_eq!(skip.next(100), Next::Wait);
        skip.failed();
        assert_eq!(skip.next(100), Next::Try(8));
    }

    #[test]
    fn what_comes_before_the_first_try_is_no_answer() {
        let mut skip = Skip::at(5);
        skip.succeeded();
        assert_eq!(skip.next(100), Next::Try(6));
    }

    proptest! {
        #[test]
        fn the_first_readable_offset_is_found(from in 0_i64..1_000_000, size in 1_i64..100_000, behind in 0_i64..200_000) {
            let (to, tries) = search(from..from + size, from + size + behind);
            prop_assert_eq!(to, from + size);
            prop_assert!(tries <= 40, "{} tries", tries);
        }
    }
}
