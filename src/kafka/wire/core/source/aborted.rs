//! Which transactions were aborted, by the broker's list.

use std::ops::Range;

use crate::{kafka::wire::protocol::AbortedTransaction, mutants::enforced};

/// Stands for one whose marker has been passed. No offset is as large.
const OVER: i64 = i64::MAX;

/// Puts a list of a partition's aborted transactions behind others. Returns where it is.
pub(super) fn note(
    all: &mut Vec<AbortedTransaction>,
    aborted: impl Iterator<Item = AbortedTransaction>,
) -> Range<usize> {
    let from = all.len();
    all.extend(aborted);
    // Redpanda's are in no order.
    all[from..].sort_unstable_by_key(|aborted| (aborted.producer_id, aborted.first_offset));
    from..all.len()
}

/// Whether a batch of a transaction, of this producer and with this first offset, was aborted.
pub(super) fn contains(aborted: &[AbortedTransaction], producer_id: i64, base_offset: i64) -> bool {
    enforced("wire-aborted")
        && of(aborted, producer_id).any(|index| aborted[index].first_offset <= base_offset)
}

/// The marker of a transaction that was aborted has been passed: what its producer writes behind it is another one's.
pub(super) fn end(aborted: &mut [AbortedTransaction], producer_id: i64, marker_offset: i64) {
    let first = of(aborted, producer_id).find(|&index| aborted[index].first_offset <= marker_offset);
    if let Some(index) = first {
        aborted[index].first_offset = OVER;
    }
}

fn of(aborted: &[AbortedTransaction], producer_id: i64) -> impl Iterator<Item = usize> + use<> {
    let from = aborted.partition_point(|one| one.producer_id < producer_id);
    let to = aborted.partition_point(|one| one.producer_id <= producer_id);
    from..to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_marker_ends_one_transaction_of_its_producer() {
        let one = |producer_id, first_offset| AbortedTransaction { producer_id, first_offset };
        let mut all = vec![one(9, 0)];
        let range = note(&mut all, [one(2, 50), one(1, 30), one(2, 10)].into_iter());
        let aborted = &mut all[range];
        let of = |aborted: &[AbortedTransaction], offset| {
            [1, 2, 3].map(|producer_id| contains(aborted, producer_id, offset))
        };
        assert_eq!(of(aborted, 9), [false, false, false]);
        assert_eq!(of(aborted, 10), [false, true, false]);
        assert_eq!(of(aborted, 30), [true, true, false]);
        end(aborted, 2, 40);
        assert_eq!(of(aborted, 49), [true, false, false], "another transaction of the same producer");
        assert_eq!(of(aborted, 50), [true, true, false]);
        end(aborted, 2, 60);
        end(aborted, 2, 70);
        end(aborted, 3, 70);
        assert_eq!(of(aborted, 80), [true, false, false]);
    }
}
