//! Counters that are added up: each is one line, with the name that it has in `/status`.

use std::collections::BTreeMap;

use super::{Counter, Gauge, Marks, counters::keep_largest};

/// Something that a shard counts, and what it is for several shards together.
pub(crate) trait Counted {
    /// Its value, or the values of several added up.
    type Sum: Default;

    /// Its value now.
    fn value(&self) -> Self::Sum;
    /// Adds a value to others.
    fn add(sum: &mut Self::Sum, value: Self::Sum);
    /// What has come since it was `base`.
    fn since(sum: &mut Self::Sum, base: &Self::Sum);
}

macro_rules! counted_as_number {
    ($($kind:ty)*) => {$(
        impl Counted for $kind {
            type Sum = u64;

            fn value(&self) -> u64 {
                self.get()
            }

            fn add(sum: &mut u64, value: u64) {
                *sum = sum.wrapping_add(value);
            }

            fn since(sum: &mut u64, base: &u64) {
                *sum = sum.saturating_sub(*base);
            }
        }
    )*};
}

counted_as_number!(Counter Gauge);

impl Counted for Marks {
    /// The largest of each partition.
    type Sum = BTreeMap<i32, i64>;

    fn value(&self) -> Self::Sum {
        let mut all = BTreeMap::new();
        self.collect_into(&mut all);
        all
    }

    fn add(sum: &mut Self::Sum, value: Self::Sum) {
        keep_largest(sum, value);
    }

    /// Marks have no beginning.
    fn since(_: &mut Self::Sum, _: &Self::Sum) {}
}

/// Defines what a shard counts, and the sums over shards that others look at. A field of `counted` is one of the shard and a
/// sum; one with `as` a name is shown under it in the status, in the order of the fields: as it is, or, with `by` a function
/// of sum and schema, as that has it, or not at all where it has nothing. What is `apart` is the shard's only.
macro_rules! counted {
    (
        $(#[$stats_attribute:meta])*
        shard $stats:ident;
        $(#[$totals_attribute:meta])*
        sums $totals:ident;
        counted { $($(#[$doc:meta])* $field:ident: $kind:ty $(as $name:literal $(by $show:path)?)?,)* }
        apart { $($(#[$apart_doc:meta])* $apart:ident: $apart_kind:ty,)* }
    ) => {
        $(#[$stats_attribute])*
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct $stats {
            $($(#[$doc])* pub $field: $kind,)*
            $($(#[$apart_doc])* pub $apart: $apart_kind,)*
        }

        $(#[$totals_attribute])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $totals {
            $($(#[$doc])* pub $field: <$kind as $crate::stats::counted::Counted>::Sum,)*
        }

        impl $stats {
            /// Everything since the start.
            #[must_use]
            pub(crate) fn totals(&self) -> $totals {
                use $crate::stats::counted::Counted;
                $totals { $($field: self.$field.value(),)* }
            }
        }

        impl $totals {
            /// What has come since they were `base`. Marks stay as they are.
            pub(super) fn since(mut self, base: &Self) -> Self {
                $(<$kind as $crate::stats::counted::Counted>::since(&mut self.$field, &base.$field);)*
                self
            }

            /// Puts what is shown into an object of the status.
            pub(super) fn show<M: serde::ser::SerializeMap>(
                &self,
                object: &mut M,
                schema: $crate::config::StatusSchema,
            ) -> Result<(), M::Error> {
                // Not every table has something that one schema shows, and another does not.
                let _ = schema;
                $($($crate::stats::counted::entry!(object, schema, $name, self.$field $(, $show)?);)?)*
                Ok(())
            }
        }

        impl std::ops::AddAssign for $totals {
            fn add_assign(&mut self, other: Self) {
                $(<$kind as $crate::stats::counted::Counted>::add(&mut self.$field, other.$field);)*
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

/// One entry of an object.
macro_rules! entry {
    ($object:ident, $schema:ident, $name:literal, $sum:expr) => {
        $object.serialize_entry($name, &$sum)?;
    };
    ($object:ident, $schema:ident, $name:literal, $sum:expr, $show:path) => {
        if let Some(shown) = $show(&$sum, $schema) {
            $object.serialize_entry($name, &shown)?;
        }
    };
}

pub(super) use counted;
pub(super) use entry;
