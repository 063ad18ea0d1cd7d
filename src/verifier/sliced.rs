//! What of a topic, and of what was asked for, falls to a slice.

use super::read::budget;
use crate::{app::error::RunError, config::VerifierConfig, human::count, partitions::Slice};

/// The partitions of a topic that has so many which this slice works on; all of them where there is no slice.
pub(crate) fn partitions(slice: Option<Slice>, of_topic: usize) -> Vec<i32> {
    match slice {
        Some(slice) => slice.partitions(of_topic),
        None => (0..).take(of_topic).collect(),
    }
}

/// What each of so many shards owns of these partitions; the last ones may have none.
pub(crate) fn deal(partitions: &[i32], shards: usize) -> Vec<Vec<i32>> {
    (0..shards).map(|shard| partitions.iter().copied().skip(shard).step_by(shards).collect()).collect()
}

/// The part of `total` for all slices that falls to this one; all of it where there is no slice. Each message picks its
/// partition uniformly, as if one process produced all of them: how many partitions a slice has is its part.
pub(crate) fn share(total: u64, slice: Option<Slice>, of_topic: usize) -> u64 {
    let own = partitions(slice, of_topic).len() as u64;
    shares(total, slice, of_topic, &[own]).iter().sum()
}

/// The parts of `total` for all slices that fall to this one's shards, which own so many partitions each. Those of all
/// shards of all slices add up to it, and are the same as those of as many shards in one process.
pub(crate) fn shares(total: u64, slice: Option<Slice>, of_topic: usize, owned: &[u64]) -> Vec<u64> {
    let before = slice.map_or(0, |slice| slice.partitions_before(of_topic)) as u64;
    let behind = (of_topic as u64).saturating_sub(before + owned.iter().sum::<u64>());
    let counts: Vec<u64> = [before].into_iter().chain(owned.iter().copied()).chain([behind]).collect();
    budget::shares(total, &counts).into_iter().skip(1).take(owned.len()).collect()
}

/// Whether there is something to do for each slice of a topic that has so many partitions.
///
/// # Errors
/// Some would have nothing.
pub(crate) fn check(config: &VerifierConfig, of_topic: usize) -> Result<(), RunError> {
    let Some(slice) = config.slice else { return Ok(()) };
    if of_topic < slice.of() {
        return Err(RunError::Failed(format!(
            "--slice {slice}: topic {} has {}, so that not every slice would have one: let N be {of_topic} at most",
            config.topic,
            count(of_topic, "partition")
        )));
    }
    let asked = [
        ("produce_msgs", config.produce.as_ref().map(|produce| produce.messages.get())),
        ("rand_read_msgs", config.rand_read.as_ref().map(|random| random.reads_per_reader)),
        ("seq_read_msgs", config.seq_read.as_ref().and_then(|read| read.max_messages)),
    ];
    for (flag, total) in asked.into_iter().filter_map(|(flag, total)| Some((flag, total?))) {
        if share(total, Some(slice), of_topic) == 0 {
            return Err(RunError::Failed(format!(
                "--{flag} {total}: nothing of that falls to slice {slice} of {}: give {of_topic} or more",
                count(of_topic, "partition")
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verifier::shard::ShardContext;

    fn slices(of: usize) -> impl Iterator<Item = Option<Slice>> {
        (0..of).map(move |index| Slice::new(index, of))
    }

    #[test]
    fn every_partition_has_one_owner() {
        for (shards, partitions) in [(1, 8), (3, 8), (8, 3), (5, 5)] {
            let own = super::partitions(None, partitions);
            let mut all = deal(&own, shards).concat();
            assert_eq!(deal(&own, shards).len(), shards);
            all.sort_unstable();
            assert_eq!(all, own);
        }
        assert!(deal(&[0, 1, 2], 8)[5].is_empty());
        assert_eq!(deal(&[1, 4, 7], 2), [vec![1, 7], vec![4]]);
    }

    proptest! {
        #[test]
        fn the_parts_of_all_slices_add_up(total: u64, of in 1_usize..8, partitions in 1_usize..40, shards in 1_usize..4) {
            let mut sum = 0_u128;
            for slice in slices(of) {
                let own = super::partitions(slice, partitions);
                let owned: Vec<u64> = deal(&own, shards).iter().map(|ids| ids.len() as u64).collect();
                let parts = shares(total, slice, partitions, &owned);
                let own = share(total, slice, partitions);
                prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(own));
                sum += u128::from(own);
            }
            prop_assert_eq!(sum, u128::from(total));
        }
    }

    #[test]
    fn a_slice_has_the_part_of_its_partitions() {
        let parts =
            |total, partitions| slices(3).map(|slice| share(total, slice, partitions)).collect::<Vec<_>>();
        assert_eq!(parts(900, 9), [300, 300, 300]);
        assert_eq!(parts(1_000, 4), [500, 250, 250]);
        assert_eq!(share(7, None, 4), 7);
        assert_eq!(partitions(None, 3), [0, 1, 2]);
    }

    fn checked(flags: &str, partitions: usize) -> Option<String> {
        let (_, config, _) = ShardContext::played(&format!("--topic t {flags}"));
        check(&config, partitions).err().map(|error| error.to_string())
    }

    #[test]
    fn who_would_have_nothing_to_do_is_told_before() {
        assert_eq!(checked("--produce_msgs 1", 1), None);
        let work = "--slice 2/3 --produce_msgs 5 --seq_read";
        assert_eq!(checked(work, 3), None);
        let error = checked(work, 2).unwrap();
        assert!(
            error.contains("--slice 2/3: topic t has 2 partitions") && error.contains("let N be 2 at most"),
            "{error}"
        );
        // Slices of two partitions and of one: some of the small ones would be left out.
        assert_eq!(checked("--slice 2/6 --produce_msgs 6", 9), None);
        let error = checked("--slice 3/6 --produce_msgs 6", 9).unwrap();
        assert!(
            error.contains("--produce_msgs 6: nothing of that falls to slice 3/6 of 9 partitions"),
            "{error}"
        );
    }
}
