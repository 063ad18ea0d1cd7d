//! Partitions that had no leader when the producer began: it writes to the others, and to these as soon as it is known
//! where their logs end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::predict::predicted_log::NOT_KNOWN;
use crate::{
    control::StartWait,
    kafka::{Isolation, OffsetSpec},
    verifier::run_context::RunContext,
};

/// How long all partitions are waited for before the producer begins with those whose logs' ends are known.
const GRACE: Duration = Duration::from_secs(3);
/// How often the others are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);
/// How long the markers of an earlier run's transactions may take; somebody else's may stay open for longer.
const MARKER_PATIENCE: Duration = Duration::from_secs(10);

/// Where logs end, told to shards that wait for it, by partition.
#[derive(Debug, Default)]
pub(crate) struct LateEnds(Box<[AtomicI64]>);

impl LateEnds {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicI64::new(NOT_KNOWN)).collect())
    }

    pub(super) fn tell(&self, partition: i32, end: i64) {
        if let Some(known) = self.of(partition) {
            known.store(end, Relaxed);
        }
    }

    /// Where the log of this partition ends, as soon as that is known.
    pub(crate) fn end(&self, partition: i32) -> Option<i64> {
        self.of(partition).map(|known| known.load(Relaxed)).filter(|end| *end != NOT_KNOWN)
    }

    fn of(&self, partition: i32) -> Option<&AtomicI64> {
        self.0.get(usize::try_from(partition).ok()?)
    }
}

/// Where the logs end in which the producer can begin, [`NOT_KNOWN`] in the others; `None` when the run was stopped.
pub(crate) fn first_ends(run_context: &RunContext<'_>) -> Option<Vec<i64>> {
    let (started, own) = (Instant::now(), run_context.own().len());
    let mut wait = run_context.wait("the producer");
    let mut ends = vec![NOT_KNOWN; run_context.partitions];
    if let Some(slice) = run_context.config.slice {
        // Others' are nobody's business here.
        (0..).zip(&mut ends).filter(|(id, _)| !slice.owns(*id)).for_each(|(_, end)| *end = 0);
    }
    loop {
        let open = open(&ends);
        if open.is_empty() || (open.len() < own && started.elapsed() >= GRACE) {
            wait.over();
            return Some(ends);
        }
        if !wait.still(|| run_context.offsets_awaited(&open)) {
            return None;
        }
        // What an aborted transaction left takes offsets too.
        let (topic, isolation) = (&run_context.config.topic, Isolation::ReadUncommitted);
        let stop = || run_context.lifecycle().stop_requested();
        for (partition, end) in
            run_context.observer.offsets_of(topic, &open, OffsetSpec::End, isolation, stop)?
        {
            if let Some(known) = usize::try_from(partition).ok().and_then(|index| ends.get_mut(index)) {
                *known = end.offset;
            }
        }
        if ends.contains(&NOT_KNOWN) {
            std::thread::sleep(PAUSE);
        }
    }
}

fn open(ends: &[i64]) -> Vec<i32> {
    (0..).zip(ends).filter(|(_, end)| **end == NOT_KNOWN).map(|(partition, _)| partition).collect()
}

/// Asks for what is not known yet, while the producer works.
pub(crate) struct Latecomers<'a> {
    run_context: &'a RunContext<'a>,
    open: Vec<i32>,
    ends: Arc<LateEnds>,
    wait: StartWait<'a>,
    asked: Instant,
    /// Since when there have been answers, of a producer of transactions.
    answered: Option<Instant>,
    transactional: bool,
}

impl<'a> Latecomers<'a> {
    pub(crate) fn new(
        run_context: &'a RunContext<'a>,
        ends: &[i64],
        late: Arc<LateEnds>,
        transactional: bool,
    ) -> Self {
        let open = open(ends);
        if !open.is_empty() {
            tracing::warn!(
                "the producer begins without {}",
                crate::kafka::named("partition", open.iter().copied())
            );
        }
        let wait = run_context.wait("the producer");
        Self { run_context, open, ends: late, wait, asked: Instant::now(), answered: None, transactional }
    }

    /// The producer is done, with or without them.
    pub(crate) fn ended(&mut self) {
        if !self.run_context.lifecycle().stop_requested() {
            self.wait.not_needed();
        }
    }

    /// Asks when it is time.
    pub(crate) fn look(&mut self, is_over: impl Fn() -> bool) {
        if self.open.is_empty() || self.asked.elapsed() < ASK_EVERY {
            return;
        }
        self.asked = Instant::now();
        let (run_context, open) = (self.run_context, &self.open);
        if !self.wait.still(|| run_context.offsets_awaited(open)) {
            return;
        }
        let ask = |isolation| {
            let stop = || run_context.lifecycle().stop_requested() || is_over();
            run_context.observer.offsets_of(&run_context.config.topic, open, OffsetSpec::End, isolation, stop)
        };
        let Some(ends) = ask(Isolation::ReadUncommitted).filter(|ends| !ends.is_empty()) else { return };
        let answered = *self.answered.get_or_insert_with(Instant::now);
        let mut known: Vec<_> = ends.into_iter().map(|(partition, end)| (partition, end.offset)).collect();
        if self.transactional && answered.elapsed() < MARKER_PATIENCE {
            // What an earlier run left open is aborted: the markers take offsets.
            let Some(stable) = ask(Isolation::ReadCommitted) else { return };
            known.retain(|(partition, end)| {
                stable.iter().any(|(other, stable)| other == partition && stable.offset == *end)
            });
        }
        for (partition, end) in known {
            tracing::info!("partition {partition} has a leader: the producer writes to it from now on");
            self.ends.tell(partition, end);
            self.open.retain(|open| *open != partition);
        }
        if self.open.is_empty() {
            self.wait.over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_known() {
        let ends = LateEnds::new(2);
        assert_eq!((ends.end(0), ends.end(1), ends.end(2), ends.end(-1)), (None, None, None, None));
        ends.tell(1, 0);
        ends.tell(9, 5);
        assert_eq!((ends.end(0), ends.end(1), ends.end(9)), (None, Some(0), None));
        assert_eq!(open(&[NOT_KNOWN, 0, 7, NOT_KNOWN]), [0, 3]);
    }
}
