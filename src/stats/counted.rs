//! Counters that are added up: each is one line.

/// Defines what a shard counts, and the sums over shards that others look at. A field of `added` is a
/// [`Counter`](super::Counter) or a [`Gauge`](super::Gauge) of the shard and a number of the sums; one of `marks` holds
/// [`Marks`](super::Marks), of which the sums keep the largest by partition; what is `apart` is the shard's only.
macro_rules! counted {
    (
        $(#[$stats_attribute:meta])*
        shard $stats:ident;
        $(#[$totals_attribute:meta])*
        sums $totals:ident;
        added { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }
        marks { $($(#[$mark_doc:meta])* $mark:ident,)* }
        apart { $($(#[$apart_doc:meta])* $apart:ident: $apart_kind:ty,)* }
    ) => {
        $(#[$stats_attribute])*
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct $stats {
            $($(#[$doc])* pub $field: $kind,)*
            $($(#[$mark_doc])* pub $mark: $crate::stats::Marks,)*
            $($(#[$apart_doc])* pub $apart: $apart_kind,)*
        }

        $(#[$totals_attribute])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $totals {
            $($(#[$doc])* pub $field: u64,)*
            $($(#[$mark_doc])* pub $mark: std::collections::BTreeMap<i32, i64>,)*
        }

        impl $stats {
            /// Everything since the start.
            #[must_use]
            #[expect(clippy::allow_attributes, reason = "not everything that is counted has marks")]
            pub fn totals(&self) -> $totals {
                #[allow(unused_mut, reason = "not everything that is counted has marks")]
                let mut totals = $totals {
                    $($field: self.$field.get(),)*
                    $($mark: std::collections::BTreeMap::new(),)*
                };
                $(self.$mark.collect_into(&mut totals.$mark);)*
                totals
            }
        }

        impl $totals {
            /// What has come since they were `base`. Marks stay as they are.
            pub(super) fn since(mut self, base: &Self) -> Self {
                $(self.$field = self.$field.saturating_sub(base.$field);)*
                self
            }
        }

        impl std::ops::AddAssign for $totals {
            fn add_assign(&mut self, other: Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)*
                $($crate::stats::counters::keep_largest(&mut self.$mark, other.$mark);)*
            }
        }

        impl std::iter::Sum for $totals {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                let mut sum = Self::default();
                all.for_each(|one| sum += one);
                sum
            }
        }
    };
}

pub(super) use counted;
