//! Checks that can be switched off, one at a time, to see that a test misses each of them.
//!
//! Only in tests and with the feature `mutants`, which no release has; without them this is nothing at all.
//! `scripts/prove --mutants` reads the names from the calls, and switches one off for a whole process, by the environment.
//! The simulator switches one off for a while (`without`): its canaries.

/// Names a check where it is made: true, unless it is the one that is switched off.
#[cfg(any(test, feature = "mutants"))]
pub(crate) fn enforced(check: &str) -> bool {
    !(switched_off_here(check) || switched_off_everywhere(check))
}

/// Names a check where it is made: always true, so that nothing of it is left in a release.
#[cfg(not(any(test, feature = "mutants")))]
#[inline]
pub(crate) const fn enforced(_check: &str) -> bool {
    true
}

#[cfg(feature = "mutants")]
fn switched_off_everywhere(check: &str) -> bool {
    use std::sync::OnceLock;
    static OFF: OnceLock<Option<String>> = OnceLock::new();
    OFF.get_or_init(|| std::env::var("PROOFLOAD_MUTANT").ok()).as_deref() == Some(check)
}

#[cfg(all(test, not(feature = "mutants")))]
const fn switched_off_everywhere(_check: &str) -> bool {
    false
}

#[cfg(test)]
std::thread_local! {
    static HERE: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
fn switched_off_here(check: &str) -> bool {
    HERE.get() == Some(check)
}

#[cfg(all(feature = "mutants", not(test)))]
const fn switched_off_here(_check: &str) -> bool {
    false
}

/// Does something while a check is switched off, in this thread.
#[cfg(test)]
pub(crate) fn without<R>(check: Option<&'static str>, what: impl FnOnce() -> R) -> R {
    let before = HERE.replace(check);
    let result = what();
    HERE.set(before);
    result
}
