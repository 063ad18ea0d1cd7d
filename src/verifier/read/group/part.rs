//! A partition, seen from the main thread: what all members of a group together have read of it.

use std::time::Instant;

use crate::{
    mutants,
    verifier::{
        check::{last_values::SeenKeys, loss::LOOKS},
        read::{progress::PartitionProgress, stall::Watch},
    },
};

/// A partition, as far as the group has come in it.
pub(crate) struct Part {
    pub(crate) progress: PartitionProgress,
    pub(crate) keys: SeenKeys,
    /// When it moved.
    pub(crate) moved: Instant,
    /// Whether it moves on.
    pub(crate) watch: Watch,
    /// It was cut, with permission.
    pub(crate) is_cut: bool,
}

impl Part {
    pub(crate) fn new(progress: PartitionProgress) -> Self {
        Self {
            progress,
            keys: SeenKeys::default(),
            moved: Instant::now(),
            watch: Watch::default(),
            is_cut: false,
        }
    }

    /// The leader says that the log ends here, and no member has noticed anything. Returns whether it was cut: only when that
    /// was said again and again. One that comes back tells what it knew when it went, and one that was just elected may not
    /// know how far its followers are.
    pub(crate) fn is_cut_at(&mut self, end: i64) -> bool {
        let doubts = self.progress.doubts_at(end);
        doubts == LOOKS || (doubts > 0 && mutants::is_off("doubt-group"))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.progress.is_done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::{
        check::loss::Losses,
        read::progress::{OPEN_END, Span},
    };

    #[test]
    fn an_end_below_what_was_read_is_a_cut_when_it_is_said_again_and_again() {
        let span = Span { partition: 0, start: 0, end: OPEN_END, leader_epoch: -1 };
        let mut part = Part::new(PartitionProgress::new(span, Losses::default()));
        part.progress.reached(8);
        let words: Vec<_> = [5, 5, 8, 5, 6, 5].map(|end| part.is_cut_at(end)).into();
        assert_eq!(
            words,
            [false, false, false, false, false, true],
            "with 8 it was a leader that did not know"
        );
    }
}
