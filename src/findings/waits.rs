//! What a run waited for: nothing waits for longer than 10 s without saying so.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::clock;

/// How long something is waited for without a word.
const QUIET: Duration = Duration::from_secs(10);
/// How often it is looked whether something else is waited for by now.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Waits that are kept; further ones are only logged.
const KEPT: usize = 1_000;

/// What is waited for, and what ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Awaited {
    /// What, for instance `the leaders of partitions 2 and 5`.
    pub what: String,
    /// From whom, for instance `topic t`, `coordinator of group g`.
    pub from: String,
    /// Who can mend it, and how.
    pub remedy: String,
}

impl fmt::Display for Awaited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, from, remedy } = self;
        write!(formatter, "{what} ({from}): {remedy}")
    }
}

/// One wait that was long enough to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// Who waited.
    pub worker: &'static str,
    /// For what.
    #[serde(flatten)]
    pub awaited: Awaited,
    /// Since when, ms since 1970.
    pub since_ms: i64,
    /// Until when, ms since 1970; `None` where it never ended.
    pub until_ms: Option<i64>,
}

/// The long waits of a run.
#[derive(Debug, Default)]
pub struct Waits(Mutex<Vec<Wait>>);

impl Waits {
    /// All of them, in the order in which they were told.
    pub fn all(&self) -> MutexGuard<'_, Vec<Wait>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first that has not ended.
    #[must_use]
    pub fn open(&self) -> Option<Wait> {
        self.all().iter().find(|wait| wait.until_ms.is_none()).cloned()
    }

    fn begin(&self, wait: Wait) -> Option<usize> {
        let mut all = self.all();
        (all.len() < KEPT).then(|| {
            all.push(wait);
            all.len() - 1
        })
    }

    fn end(&self, place: usize) {
        if let Some(wait) = self.all().get_mut(place) {
            wait.until_ms = Some(clock::unix_ms());
        }
    }
}

/// One worker that waits, or does not. It calls [`Self::still`] again and again while it does.
#[derive(Debug)]
pub struct Waiting {
    worker: &'static str,
    since: Option<(Instant, i64)>,
    looked: Option<Instant>,
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    awaited: Awaited,
    /// Place in the list of all, where it has one.
    place: Option<usize>,
}

impl Waiting {
    /// Of this worker, for instance `the producer`.
    #[must_use]
    pub fn new(worker: &'static str) -> Self {
        Self { worker, since: None, looked: None, told: None }
    }

    /// It waits. After 10 s, and whenever that changes, a WARN line says for what. `awaited` is asked once a second.
    pub fn still(&mut self, waits: &Waits, awaited: impl FnOnce() -> Awaited) {
        self.still_at(waits, Instant::now(), awaited);
    }

    fn still_at(&mut self, waits: &Waits, now: Instant, awaited: impl FnOnce() -> Awaited) {
        let (since, since_ms) = *self.since.get_or_insert_with(|| (now, clock::unix_ms()));
        let waited = now.duration_since(since);
        let is_early = self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY);
        if waited < QUIET || is_early {
            return;
        }
        self.looked = Some(now);
        let awaited = awaited();
        if self.told.as_ref().is_some_and(|told| told.awaited == awaited) {
            return;
        }
        self.close(waits);
        let worker = self.worker;
        tracing::warn!("{worker} has waited {} s for {awaited}", waited.as_secs());
        let place = waits.begin(Wait { worker, awaited: awaited.clone(), since_ms, until_ms: None });
        self.told = Some(Told { awaited, place });
    }

    /// What was waited for has come.
    pub fn over(&mut self, waits: &Waits) {
        let waited = self.since.take().map(|(since, _)| since.elapsed());
        self.looked = None;
        if let (Some(told), Some(waited)) = (self.close(waits), waited) {
            let worker = self.worker;
            tracing::info!("{worker} goes on after {} s: {} came", waited.as_secs(), told.awaited.what);
        }
    }

    fn close(&mut self, waits: &Waits) -> Option<Told> {
        let told = self.told.take()?;
        if let Some(place) = told.place {
            waits.end(place);
        }
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited(what: &str) -> Awaited {
        Awaited { what: what.into(), from: "topic t".into(), remedy: "start the broker".into() }
    }

    #[test]
    fn a_wait_is_told_after_ten_seconds_and_again_when_it_changes() {
        let (waits, mut waiting, start) = (Waits::default(), Waiting::new("the producer"), Instant::now());
        let mut at = |second: u64, what| {
            waiting.still_at(&waits, start + Duration::from_secs(second), || awaited(what));
            waits.all().iter().map(|wait| wait.awaited.what.clone()).collect::<Vec<_>>()
        };
        assert!(at(0, "a leader").is_empty() && at(9, "a leader").is_empty());
        assert_eq!(at(10, "a leader"), ["a leader"]);
        assert_eq!(at(100, "a leader"), ["a leader"], "once");
        assert_eq!(at(101, "an offset"), ["a leader", "an offset"]);
        assert_eq!(waits.open().unwrap().awaited.what, "an offset", "the other one is over");
        waiting.over(&waits);
        assert_eq!(waits.open(), None);
    }

    #[test]
    fn the_time_starts_anew_when_it_came() {
        let (waits, mut waiting, start) = (Waits::default(), Waiting::new("a reader"), Instant::now());
        waiting.still_at(&waits, start, || awaited("x"));
        waiting.over(&waits);
        waiting.still_at(&waits, start + Duration::from_mins(1), || awaited("x"));
        assert!(waits.all().is_empty());
    }
}
