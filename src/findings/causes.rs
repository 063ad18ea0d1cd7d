//! Why things failed in a run: each cause once in the log, and counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::clock;

/// Causes that are kept; further ones are only logged.
const KEPT: usize = 100;

/// One cause, however often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Who met it, for instance `the producer`.
    pub worker: String,
    /// What failed, in the words of the log.
    pub what: String,
    /// Why, in the broker's or the client's words.
    pub cause: String,
    /// How often.
    pub count: u64,
    /// When it came first, ms since 1970.
    pub first_ms: i64,
    /// When it came last, ms since 1970.
    pub last_ms: i64,
}

/// The causes of a run. Touched only where something failed.
#[derive(Debug, Default)]
pub struct Causes(Mutex<Vec<Cause>>);

impl Causes {
    /// Counts a cause. One that is new is a WARN line: `{worker}: {what}: {cause}`. Returns whether it is new.
    #[cold]
    pub fn note(&self, worker: &str, what: &str, cause: &str) -> bool {
        let mut all = self.all();
        let now_ms = clock::unix_ms();
        let known = |known: &&mut Cause| known.worker == worker && known.what == what && known.cause == cause;
        if let Some(known) = all.iter_mut().find(known) {
            known.count += 1;
            known.last_ms = now_ms;
            return false;
        }
        let (worker, what, cause) = (worker.to_owned(), what.to_owned(), cause.to_owned());
        tracing::warn!("{worker}: {what}: {cause}");
        if all.len() < KEPT {
            all.push(Cause { worker, what, cause, count: 1, first_ms: now_ms, last_ms: now_ms });
        }
        true
    }

    /// All of them, in the order in which they came first.
    pub fn all(&self) -> MutexGuard<'_, Vec<Cause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_new_once_and_counted_after_that() {
        let causes = Causes::default();
        assert!(causes.note("the producer", "a transaction failed", "expired"));
        assert!(!causes.note("the producer", "a transaction failed", "expired"));
        assert!(causes.note("the producer", "a transaction failed", "fenced"));
        let all = causes.all();
        assert_eq!(all.iter().map(|cause| cause.count).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let causes = Causes::default();
        (0..2 * KEPT).for_each(|number| _ = causes.note("w", "failed", &number.to_string()));
        assert_eq!(causes.all().len(), KEPT);
    }
}
