//! What a run waited for: nothing waits for longer than 10 s without saying so.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::complaints::{Complaint, complaints};
use crate::clock;

/// How long something is waited for without a word.
const QUIET: Duration = Duration::from_secs(10);
/// How often it is looked whether something else is waited for by now.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Waits that are kept; further ones are only logged.
const KEPT: usize = 1_000;

/// What is waited for, and what ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Awaited {
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
pub(crate) struct Wait {
    /// Who waited.
    pub worker: &'static str,
    /// For what.
    #[serde(flatten)]
    pub awaited: Awaited,
    /// What the client complained of meanwhile.
    pub complaint: Option<String>,
    /// Since when, ms since 1970.
    pub since_ms: i64,
    /// Until when, ms since 1970; `None` where it never ended.
    pub until_ms: Option<i64>,
}

impl fmt::Display for Wait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.awaited, complained(self.complaint.as_ref()))
    }
}

/// What the client complains of, behind what is waited for.
#[must_use]
pub(crate) fn complained(complaint: Option<&impl fmt::Display>) -> String {
    complaint.map_or_else(String::new, |words| format!("; the client complains: {words}"))
}

/// The long waits of a run.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<Vec<Wait>>);

impl Waits {
    /// All of them, in the order in which they were told.
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Wait>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there were, and how many of them have not ended; as many as are kept.
    #[must_use]
    pub(crate) fn count(&self) -> (u64, u64) {
        let all = self.all();
        let open = all.iter().filter(|wait| wait.until_ms.is_none()).count();
        (all.len() as u64, open as u64)
    }

    /// The first that has not ended.
    #[must_use]
    pub(crate) fn open(&self) -> Option<Wait> {
        self.all().iter().find(|wait| wait.until_ms.is_none()).cloned()
    }

    fn begin(&self, wait: Wait) -> Option<usize> {
        let mut all = self.all();
        (all.len() < KEPT).then(|| {
            all.push(wait);
            all.len() - 1
        })
    }

    fn explain(&self, place: usize, complaint: &Complaint) {
        if let Some(wait) = self.all().get_mut(place) {
            wait.complaint = Some(complaint.to_string());
        }
    }

    fn end(&self, place: usize) {
        if let Some(wait) = self.all().get_mut(place) {
            wait.until_ms = Some(clock::unix_ms());
        }
    }
}

/// One worker that waits, or does not. It calls [`Self::still`] again and again while it does.
#[derive(Debug)]
pub(crate) struct Waiting {
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
    /// What the client complained of, as far as it was told.
    complaints: Vec<Complaint>,
}

impl Waiting {
    /// Of this worker, for instance `the producer`.
    #[must_use]
    pub(crate) fn new(worker: &'static str) -> Self {
        Self { worker, since: None, looked: None, told: None }
    }

    /// It has waited since then, where it has not been said to wait before. Returns whether that is so.
    pub(crate) fn began(&mut self, since: Instant) -> bool {
        let is_new = self.since.is_none();
        if is_new {
            let waited_ms = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
            self.since = Some((since, clock::unix_ms().saturating_sub(waited_ms)));
        }
        is_new
    }

    /// It waits. After 10 s, and whenever that changes, a WARN line says for what. `awaited` is asked once a second.
    pub(crate) fn still(&mut self, waits: &Waits, awaited: impl FnOnce() -> Awaited) {
        self.still_at(waits, Instant::now(), || complaints().latest(), awaited);
    }

    fn still_at(
        &mut self,
        waits: &Waits,
        now: Instant,
        complaint: impl FnOnce() -> Option<Complaint>,
        awaited: impl FnOnce() -> Awaited,
    ) {
        let (since, since_ms) = *self.since.get_or_insert_with(|| (now, clock::unix_ms()));
        let waited = now.duration_since(since);
        let is_early = self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY);
        if waited < QUIET || is_early {
            return;
        }
        self.looked = Some(now);
        let (awaited, complaint, worker) = (awaited(), complaint(), self.worker);
        if let Some(told) = self.told.as_mut().filter(|told| told.awaited == awaited) {
            if let Some(complaint) = complaint.filter(|complaint| !told.has_told(complaint)) {
                tracing::warn!(
                    "{worker} has waited {} s for {}, and the client complains: {complaint}",
                    waited.as_secs(),
                    awaited.what
                );
                told.explain(waits, complaint);
            }
            return;
        }
        self.close(waits);
        let reason = complained(complaint.as_ref());
        tracing::warn!("{worker} has waited {} s for {awaited}{reason}", waited.as_secs());
        let (wait, complaints) = (awaited.clone(), Vec::new());
        let place = waits.begin(Wait { worker, awaited: wait, complaint: None, since_ms, until_ms: None });
        let told = self.told.insert(Told { awaited, place, complaints });
        if let Some(complaint) = complaint {
            told.explain(waits, complaint);
        }
    }

    /// What was waited for has come.
    pub(crate) fn over(&mut self, waits: &Waits) {
        let waited = self.since.take().map(|(since, _)| since.elapsed());
        self.looked = None;
        if let (Some(told), Some(waited)) = (self.close(waits), waited) {
            let worker = self.worker;
            tracing::info!("{worker} goes on after {} s: {} came", waited.as_secs(), told.awaited.what);
        }
    }

    /// What was waited for is not needed any more.
    pub(crate) fn not_needed(&mut self, waits: &Waits) {
        (self.since, self.looked) = (None, None);
        self.close(waits);
    }

    fn close(&mut self, waits: &Waits) -> Option<Told> {
        let told = self.told.take()?;
        if let Some(place) = told.place {
            waits.end(place);
        }
        Some(told)
    }
}

impl Told {
    fn has_told(&self, complaint: &Complaint) -> bool {
        let is_same = |told: &Complaint| told.kind == complaint.kind && told.broker == complaint.broker;
        self.complaints.iter().any(is_same)
    }

    fn explain(&mut self, waits: &Waits, complaint: Complaint) {
        if let Some(place) = self.place {
            waits.explain(place, &complaint);
        }
        self.complaints.push(complaint);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::complaints::ComplaintKind, *};

    fn awaited(what: &str) -> Awaited {
        Awaited { what: what.into(), from: "topic t".into(), remedy: "start the broker".into() }
    }

    #[test]
    fn a_wait_is_told_after_ten_seconds_and_again_when_it_changes() {
        let (waits, mut waiting, start) = (Waits::default(), Waiting::new("the producer"), Instant::now());
        let mut at = |second: u64, what| {
            waiting.still_at(&waits, start + Duration::from_secs(second), || None, || awaited(what));
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
    fn what_the_client_complains_of_is_told_once_too() {
        let (waits, mut waiting, start) = (Waits::default(), Waiting::new("the producer"), Instant::now());
        let mut at = |second: u64, complaint: Option<&Complaint>| {
            let complaint = || complaint.cloned();
            waiting.still_at(&waits, start + Duration::from_secs(second), complaint, || awaited("a leader"));
            let words: Vec<_> = waits.all().iter().map(|wait| wait.complaint.clone()).collect();
            (words, waiting.told.as_ref().map_or(0, |told| told.complaints.len()))
        };
        let complaint = |kind, count| Complaint {
            kind,
            broker: "b:1".into(),
            words: format!("{kind:?}"),
            remedy: "mend it".into(),
            count,
            first_ms: 1,
            last_ms: 1,
        };
        let (first, second) = (ComplaintKind::Unreachable, ComplaintKind::Resolution);
        assert_eq!(at(0, None), (vec![], 0));
        assert_eq!(at(10, None), (vec![None], 0));
        assert_eq!(waits.open().unwrap().to_string(), "a leader (topic t): start the broker");
        let words = |kind| vec![Some(format!("{kind:?}: mend it"))];
        assert_eq!(at(12, Some(&complaint(first, 1))), (words(first), 1));
        assert_eq!(at(14, Some(&complaint(first, 9))), (words(first), 1), "once");
        assert_eq!(at(16, Some(&complaint(second, 1))), (words(second), 2));
        assert_eq!(at(18, Some(&complaint(first, 10))), (words(second), 2), "it was told before");
        let words = "a leader (topic t): start the broker; the client complains: Resolution: mend it";
        assert_eq!(waits.open().unwrap().to_string(), words);
    }

    #[test]
    fn the_time_starts_anew_when_it_came() {
        let (waits, mut waiting, start) = (Waits::default(), Waiting::new("a reader"), Instant::now());
        waiting.still_at(&waits, start, || None, || awaited("x"));
        waiting.over(&waits);
        waiting.still_at(&waits, start + Duration::from_mins(1), || None, || awaited("x"));
        assert!(waits.all().is_empty());
    }
}
