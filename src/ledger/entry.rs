//! What happens to the ledger while a run goes on.

use serde::{Deserialize, Serialize};

use super::{KeyAck, LatestValues, Ledger, OffsetRun};

/// The largest value that a record can have: Kafka counts its bytes in 32 bits.
const VALUE_BYTES_AT_MOST: usize = i32::MAX as usize;

/// A change to the ledger. Changes in their order can be entered a second time: nothing comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "PascalCase")]
pub enum Entry {
    /// Records of a partition were acked.
    Acked {
        /// The partition.
        partition: i32,
        /// Their offsets.
        runs: Vec<OffsetRun>,
        /// The new [`crate::ledger::PartitionLedger::last_consumable`], if tombstones are written.
        last_consumable: Option<i64>,
    },
    /// Records were acked whose keys are watched, each with its partition.
    Latest(Vec<(i32, KeyAck)>),
    /// The log of a partition was truncated, and that is tolerated.
    Truncated {
        /// The partition.
        partition: i32,
        /// The ledger's first offset that is gone.
        offset: i64,
    },
}

impl Entry {
    /// Enters it in the ledger; nothing for partitions that this does not have.
    pub fn enter(&self, ledger: &mut Ledger) {
        match self {
            Self::Acked { partition, runs, last_consumable } => {
                acked(ledger, *partition, runs, *last_consumable);
            }
            Self::Latest(_) => {}
            Self::Truncated { partition, offset } => {
                if let Some(part) = ledger.partition_mut(*partition) {
                    part.truncate(*offset);
                }
            }
        }
    }

    /// Enters it in the last values; nothing for partitions that these do not have.
    pub fn enter_latest(&self, latest: &mut LatestValues) {
        if let Self::Latest(acks) = self {
            for (partition, ack) in acks {
                latest.acked(*partition, ack);
            }
        }
    }

    /// Whether it changes last values.
    pub(super) fn has_values(&self) -> bool {
        matches!(self, Self::Latest(_))
    }

    /// Whether it speaks of offsets and sizes that there can be: what is read from a file may say anything.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Acked { runs, last_consumable, .. } => {
                runs.iter().all(|run| 0 <= run.lower && run.lower < run.upper)
                    && last_consumable.is_none_or(|last| last >= 0)
            }
            Self::Latest(acks) => {
                acks.iter().all(|(_, ack)| ack.offset >= 0 && ack.value_bytes <= VALUE_BYTES_AT_MOST)
            }
            Self::Truncated { offset, .. } => *offset >= 0,
        }
    }
}

fn acked(ledger: &mut Ledger, partition: i32, runs: &[OffsetRun], last_consumable: Option<i64>) {
    if last_consumable.is_some() {
        ledger.expect_tombstones();
    }
    let is_adjusted = ledger.adjust_consumable_offsets;
    if let Some(part) = ledger.partition_mut(partition) {
        for run in runs {
            part.insert(*run);
        }
        // Without tombstones, what was acked last is the latest of its key.
        let last = runs.iter().map(|run| run.upper - 1).max().filter(|_| is_adjusted).unwrap_or(0);
        part.last_consumable = last_consumable.unwrap_or(last.max(part.last_consumable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(ledger: &mut Ledger, partition: i32, lower: i64, upper: i64, last_consumable: Option<i64>) {
        Entry::Acked { partition, runs: vec![OffsetRun { lower, upper }], last_consumable }.enter(ledger);
    }

    #[test]
    fn the_first_tombstones_say_how_far_each_partition_can_be_read() {
        let mut ledger = Ledger::new(3);
        let last = |ledger: &Ledger| [0, 1, 2].map(|index| ledger.partitions()[index].last_consumable);
        entered(&mut ledger, 0, 0, 50, None);
        entered(&mut ledger, 1, 0, 80, None);
        assert_eq!((last(&ledger), ledger.adjust_consumable_offsets), ([0; 3], false));
        // Another run, with tombstones: 50 is one, and 49 is of another key.
        entered(&mut ledger, 0, 50, 51, Some(49));
        assert_eq!((last(&ledger), ledger.adjust_consumable_offsets), ([49, 79, 0], true));
        entered(&mut ledger, 1, 80, 81, Some(0));
        entered(&mut ledger, 2, 0, 9, None);
        assert_eq!(last(&ledger), [49, 0, 8], "what the shard says, or the last one");
    }

    #[test]
    fn partitions_that_there_are_not_get_nothing() {
        let (mut ledger, mut latest) = (Ledger::new(1), LatestValues::new(1));
        for partition in [-1, 1, i32::MAX] {
            entered(&mut ledger, partition, 0, 5, None);
            Entry::Truncated { partition, offset: 0 }.enter(&mut ledger);
            let ack = KeyAck { key_index: None, offset: 1, value_bytes: 24, tombstone: false };
            Entry::Latest(vec![(partition, ack)]).enter_latest(&mut latest);
        }
        assert_eq!((ledger, latest), (Ledger::new(1), LatestValues::new(1)));
    }
}
