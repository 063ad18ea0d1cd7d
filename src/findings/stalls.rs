//! Stalls: a worker that makes no progress although the cluster answers.
//!
//! No promise about data is broken by that, so it is no violation; but nothing is proven either while it lasts.
//! It has a name of its own, in the log, in the summary and in the report.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use crate::clock;

/// One time that a worker stood still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Stall {
    /// Who.
    pub worker: &'static str,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What it waited for, and what the cluster said meanwhile.
    pub waited_for: String,
    /// What the client complains of, where that explains it: then it need not be the broker.
    pub explanation: Option<String>,
    /// When it was found to stand still, ms since 1970.
    pub since_ms: i64,
    /// When it went on, ms since 1970; `None` where it never did.
    pub until_ms: Option<i64>,
}

impl fmt::Display for Stall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, topic, partition, waited_for, explanation, .. } = self;
        let explanation = Explanation(explanation.as_deref());
        write!(
            formatter,
            "topic {topic} partition {partition}: {worker} waited for {waited_for}{explanation}"
        )
    }
}

/// What may be behind a stall, if not the broker.
pub(crate) struct Explanation<'a>(pub(crate) Option<&'a str>);

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |reason| write!(formatter, "; it need not be the broker: {reason}"))
    }
}

/// What a summary says of quotas, behind the seconds.
pub(crate) const THROTTLED: &str =
    "s throttled by the brokers' quotas, in all clients: see the log, or --report";

/// Evidence that is kept; what comes behind that is only logged.
const KEPT: usize = 1_000;

/// The stalls of a run. Touched by nobody while there is progress.
#[derive(Debug, Default)]
pub(crate) struct Stalls(Mutex<Vec<Stall>>);

impl Stalls {
    /// All of them, in the order in which they were found.
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Stall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there were, and how many of them have not ended; as many as are kept.
    #[must_use]
    pub(crate) fn count(&self) -> (u64, u64) {
        let all = self.all();
        let open = all.iter().filter(|stall| stall.until_ms.is_none()).count();
        (all.len() as u64, open as u64)
    }

    /// The first that has not ended.
    #[must_use]
    pub(crate) fn open(&self) -> Option<Stall> {
        self.all().iter().find(|stall| stall.until_ms.is_none()).cloned()
    }

    /// Adds one; its place in the list, for [`Self::explain`] and [`Self::end`], where there is room for it.
    pub(crate) fn begin(&self, stall: Stall) -> Option<usize> {
        let mut all = self.all();
        (all.len() < KEPT).then(|| {
            all.push(stall);
            all.len() - 1
        })
    }

    /// Adds what the client complains of.
    pub(crate) fn explain(&self, place: usize, reason: &str) {
        if let Some(stall) = self.all().get_mut(place) {
            stall.explanation = Some(reason.to_owned());
        }
    }

    /// It is over.
    pub(crate) fn end(&self, place: usize) {
        if let Some(stall) = self.all().get_mut(place) {
            stall.until_ms = Some(clock::unix_ms());
        }
    }
}
