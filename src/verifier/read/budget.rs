//! Sharing out what a run is to do among the shards that do it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Records that many readers may read together.
///
/// For limits on readers whose parts cannot be known beforehand: it costs them a common cache line
/// for each record, which readers without a limit never touch.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    /// So many records.
    #[must_use]
    pub(crate) fn new(records: u64) -> Self {
        Self(AtomicU64::new(records))
    }

    /// Takes one, if there is one left.
    pub(crate) fn take(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Whether there is none left.
    #[must_use]
    pub(crate) fn is_spent(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

/// What a reader may still read.
#[derive(Clone, Debug)]
pub(crate) enum Allowance {
    /// Everything.
    All,
    /// So many records.
    Own(u64),
    /// What it and others have in common.
    Shared(Arc<Budget>),
}

impl Allowance {
    /// Takes one record's worth; returns whether there was one.
    pub(crate) fn take(&mut self) -> bool {
        match self {
            Self::All => true,
            Self::Own(left) => match left.checked_sub(1) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
            Self::Shared(budget) => budget.take(),
        }
    }

    /// Whether nothing may be read any more.
    #[must_use]
    pub(crate) fn is_spent(&self) -> bool {
        match self {
            Self::All => false,
            Self::Own(left) => *left == 0,
            Self::Shared(budget) => budget.is_spent(),
        }
    }

    /// Whether everything may be read.
    #[must_use]
    pub(crate) fn is_unlimited(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// How much of `total` each shard does when shard *i* owns `owned[i]` things.
///
/// Every message picks its partition uniformly, so a shard's part is fixed by how
/// many partitions it owns; a common pool would let a fast shard write more to
/// its partitions than to others'. The parts add up to `total`.
#[must_use]
pub(crate) fn shares(total: u64, owned: &[u64]) -> Vec<u64> {
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

    #[test]
    fn what_is_common_is_spent_once() {
        let budget = Arc::new(Budget::new(3));
        let mut readers = [Allowance::Shared(budget.clone()), Allowance::Shared(budget), Allowance::Own(1)];
        let taken = |reader: &mut Allowance| (0..5).filter(|_| reader.take()).count();
        assert!(readers[0].take() && !readers[1].is_spent());
        assert_eq!((taken(&mut readers[1]), taken(&mut readers[0]), taken(&mut readers[2])), (2, 0, 1));
        assert!(readers.iter().all(Allowance::is_spent));
        assert!(Allowance::All.take() && Allowance::All.is_unlimited() && !Allowance::All.is_spent());
    }

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
