//! Which leader epochs the records that were read have: by these a leader tells whether its log is the one that was read.

use crate::kafka::wire::core::questions::Found;

/// Epochs that are remembered of a partition. More changes of leader than that between two looks are looked at
/// from the oldest of these on.
const MOST: usize = 16;

/// The epochs of what was read of a partition, each with the first offset that was read in it. Both go up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Epochs {
    starts: Vec<(i32, i64)>,
}

impl Epochs {
    /// Of a reader that begins at `offset`, where the record before is of this epoch, if that is known.
    pub(super) fn before(offset: i64, epoch_before: Option<i32>) -> Self {
        let known = epoch_before.filter(|epoch| *epoch >= 0);
        Self { starts: known.map(|epoch| (epoch, offset - 1)).into_iter().collect() }
    }

    /// A batch of this epoch begins at `offset`.
    #[inline]
    pub(super) fn read(&mut self, epoch: i32, offset: i64) {
        if self.last() != Some(epoch) && epoch >= 0 {
            self.begin(epoch, offset);
        }
    }

    #[cold]
    fn begin(&mut self, epoch: i32, offset: i64) {
        if self.last().is_some_and(|last| epoch < last) {
            // A log whose epochs go back is no history; whoever reads it is told by its records.
            self.starts.clear();
        }
        if self.starts.len() == MOST {
            self.starts.remove(0);
        }
        self.starts.push((epoch, offset));
    }

    /// The epoch of the last record that was read.
    pub(super) fn last(&self) -> Option<i32> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// What was read from `offset` on does not count.
    pub(super) fn go_back(&mut self, offset: i64) {
        self.starts.retain(|(_, start)| *start < offset);
    }

    /// Where the log that was read up to `position` parts from the leader's, by the leader's answer to where the epoch of the
    /// last record ends; `None`: it does not, or nobody knows (KIP-320). The leader has no record of a later epoch than
    /// that which it names, up to the one that it was asked for.
    pub(super) fn parts_at(&self, found: Found, position: i64) -> Option<i64> {
        if found.epoch < 0 || found.offset < 0 {
            return None;
        }
        let later = self.starts.iter().find(|(epoch, _)| *epoch > found.epoch);
        let ours = later.map_or(position, |(_, start)| *start);
        Some(ours.min(found.offset)).filter(|parts| *parts < position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> Epochs {
        let mut epochs = Epochs::before(10, Some(2));
        for (epoch, offset) in [(2, 10), (2, 15), (4, 20), (4, 25), (7, 30)] {
            epochs.read(epoch, offset);
        }
        epochs
    }

    fn found(epoch: i32, offset: i64) -> Found {
        Found { offset, epoch, leader_epoch: 9 }
    }

    #[test]
    fn the_same_log_parts_nowhere() {
        assert_eq!(read().last(), Some(7));
        assert_eq!(read().parts_at(found(7, 40), 40), None);
        assert_eq!(read().parts_at(found(7, 50), 40), None);
    }

    #[test]
    fn a_shorter_epoch_is_where_it_parts() {
        assert_eq!(read().parts_at(found(7, 35), 40), Some(35));
    }

    #[test]
    fn an_epoch_that_the_leader_lacks_is_gone_from_its_beginning() {
        assert_eq!(read().parts_at(found(4, 30), 40), Some(30));
        // Its epoch 4 went on, in place of our epoch 7.
        assert_eq!(read().parts_at(found(5, 60), 40), Some(30));
        assert_eq!(read().parts_at(found(4, 22), 40), Some(22));
        assert_eq!(read().parts_at(found(1, 5), 40), Some(5));
        assert_eq!(
            read().parts_at(found(1, 15), 40),
            Some(9),
            "the record before the first is not its either"
        );
    }

    #[test]
    fn what_nobody_knows_is_no_loss() {
        assert_eq!(read().parts_at(found(-1, -1), 40), None);
        assert_eq!(read().parts_at(found(-1, 5), 40), None);
        assert_eq!(read().parts_at(found(7, -1), 40), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.last(), None);
        for epoch in 0..100 {
            epochs.read(epoch, i64::from(epoch) * 10);
        }
        assert_eq!(epochs.starts.len(), MOST);
        assert_eq!(epochs.parts_at(found(3, 40), 1_000), Some(40));
        assert_eq!(epochs.parts_at(found(98, 990), 1_000), Some(990));
    }

    #[test]
    fn going_back_forgets_what_is_read_again() {
        let mut epochs = read();
        epochs.go_back(21);
        assert_eq!(epochs, {
            let mut all = Epochs::before(10, Some(2));
            all.read(4, 20);
            all
        });
        epochs.read(3, 30);
        assert_eq!(epochs.starts, [(3, 30)], "epochs that go back");
        epochs.read(-1, 40);
        assert_eq!(epochs.last(), Some(3));
    }
}
