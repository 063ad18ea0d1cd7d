//! Checks that can be switched off, one at a time, to see that a test misses each of them.
//!
//! Only with the feature `mutants`, which no release has; without it this is nothing at all.
//! `scripts/prove --mutants` reads the names from the calls.

/// Whether this check is the one that the environment switches off.
#[cfg(feature = "mutants")]
pub(crate) fn is_off(check: &str) -> bool {
    use std::sync::OnceLock;
    static OFF: OnceLock<Option<String>> = OnceLock::new();
    OFF.get_or_init(|| std::env::var("PROOFLOAD_MUTANT").ok()).as_deref() == Some(check)
}

/// No check can be switched off.
#[cfg(not(feature = "mutants"))]
#[inline]
pub(crate) const fn is_off(_check: &str) -> bool {
    false
}
