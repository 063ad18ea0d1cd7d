//! Why things failed in a run: each cause once in the log, and counted.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use indicatif::HumanCount;
use serde::Serialize;

use crate::clock;

/// Causes that are kept; further ones are only logged.
const KEPT: usize = 100;
/// Causes that a summary names.
const SHOWN: usize = 5;

/// One cause, however often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
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
    /// What was said the first time, where that is not the same each time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The causes of a run. Touched only where something failed.
#[derive(Debug, Default)]
pub(crate) struct Causes(Mutex<Vec<Cause>>);

impl Causes {
    /// Counts a cause. One that is new is a WARN line: `{worker}: {what}: {cause}`. Returns whether it is new.
    #[cold]
    pub(crate) fn note(&self, worker: &str, what: &str, cause: &str) -> bool {
        self.note_many(worker, what, cause, 1, String::new)
    }

    /// The same of a cause that came so many times, with words that are not the same each time: those of the first time
    /// are kept, behind the cause.
    #[cold]
    pub(crate) fn note_many(
        &self,
        worker: &str,
        what: &str,
        cause: &str,
        count: u64,
        detail: impl FnOnce() -> String,
    ) -> bool {
        let mut all = self.all();
        let now_ms = clock::unix_ms();
        let known = |known: &&mut Cause| known.worker == worker && known.what == what && known.cause == cause;
        if let Some(known) = all.iter_mut().find(known) {
            known.count += count;
            known.last_ms = now_ms;
            return false;
        }
        let (worker, what, cause) = (worker.to_owned(), what.to_owned(), cause.to_owned());
        let detail = detail();
        let colon = if detail.is_empty() { "" } else { ": " };
        tracing::warn!("{worker}: {what}: {cause}{colon}{detail}");
        if all.len() < KEPT {
            all.push(Cause { worker, what, cause, count, first_ms: now_ms, last_ms: now_ms, detail });
        }
        true
    }

    /// The first of them, as lines of a summary.
    ///
    /// # Errors
    /// Of the text that is written to.
    pub(crate) fn write(&self, text: &mut impl fmt::Write) -> fmt::Result {
        let all = self.all();
        for Cause { worker, what, cause, count, .. } in all.iter().take(SHOWN) {
            writeln!(text, "              {}× {worker}: {what}: {cause}", HumanCount(*count))?;
        }
        if all.len() > SHOWN {
            let more = all.len() - SHOWN;
            writeln!(text, "              {more} more causes: see the log, or --report")?;
        }
        Ok(())
    }

    /// All of them, in the order in which they came first.
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Cause>> {
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
    fn words_that_are_not_the_same_each_time_make_no_new_cause() {
        let causes = Causes::default();
        assert!(causes.note_many("the producer", "not acked", "too old", 3, || "record 1".into()));
        assert!(!causes.note_many("the producer", "not acked", "too old", 4, || "record 2".into()));
        let all = causes.all();
        assert_eq!((all.len(), all[0].count, all[0].detail.as_str()), (1, 7, "record 1"));
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let causes = Causes::default();
        (0..2 * KEPT).for_each(|number| _ = causes.note("w", "failed", &number.to_string()));
        assert_eq!(causes.all().len(), KEPT);
        let mut text = String::new();
        causes.write(&mut text).unwrap();
        assert!(text.starts_with("              1× w: failed: 0\n"), "{text}");
        assert!(text.ends_with("95 more causes: see the log, or --report\n"), "{text}");
    }
}
