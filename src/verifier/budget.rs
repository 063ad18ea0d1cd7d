//! Sharing out what a run is to do among the shards that do it.

/// How much of `total` each shard does when shard *i* owns `owned[i]` things.
///
/// Every message picks its partition uniformly, so a shard's part is fixed by how
/// many partitions it owns; a common pool would let a fast shard write more to
/// its partitions than to others'. The parts add up to `total`.
#[must_use]
pub fn shares(total: u64, owned: &[u64]) -> Vec<u64> {
    let all = owned.iter().map(|count| u128::from(*count)).sum::<u128>().max(1);
    let (mut before, mut given) = (0_u128, 0_u64);
    owned
        .iter()
        .map(|count| {
            before += u128::from(*count);
            // At most `total`, so that it fits again.
            let up_to_here = u64::try_from(u128::from(total) * before / all).unwrap_or(total);
            let share = up_to_here - given;
            given = up_to_here;
            share
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_add_up_and_are_fair(total: u64, owned in prop::collection::vec(0_u64..50, 1..20)) {
            prop_assume!(owned.iter().sum::<u64>() > 0);
            let parts = shares(total, &owned);
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(total));
            let all = u128::from(owned.iter().sum::<u64>());
            for (part, count) in parts.iter().zip(&owned) {
                let fair = u128::from(total) * u128::from(*count) / all;
                prop_assert!(u128::from(*part).abs_diff(fair) <= 1, "{} of {}", part, fair);
            }
        }
    }
}
