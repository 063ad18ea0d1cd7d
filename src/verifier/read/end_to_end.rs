//! How long records took from the time at which they were to be sent to a reader's verdict.

use std::sync::Arc;

use crossbeam::channel::{Sender, TrySendError};

use crate::{
    clock::Clock,
    control::Message,
    record::{
        RecordView,
        proof::{self, Second},
    },
    stats::{CountsWatch, Gauge, LatencyHistogram, ReaderStats},
};

/// Verdicts between two looks at the clock: it takes longer than most of them.
const LOOK_EVERY: u32 = 64;
/// How often what was measured travels to the main thread, µs.
const REPORT_EVERY_US: u64 = 100_000;
/// Runs of a producer that follow each other have neighbouring numbers.
const RUNS: u64 = 1 << 16;

/// Which records are measured: those that were to be sent within this time, µs on the run's clock; and what is read within it is
/// counted. Half-open. Written by the main thread.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) from_us: Gauge,
    pub(crate) to_us: Gauge,
    /// Not 0: readers are to leave what comes for later.
    pub(crate) is_paused: Gauge,
}

/// What makes a reader measure.
#[derive(Clone)]
pub(crate) struct EndToEndJob {
    /// The run's: all of its producers and readers have the same.
    pub(crate) clock: Clock,
    /// When that clock stood at 0, µs since 1970.
    pub(crate) epoch_us: i64,
    /// The run's records.
    pub(crate) run: u64,
    pub(crate) measured: Arc<Measured>,
}

/// A shard's part of it.
pub(crate) struct EndToEnd {
    job: EndToEndJob,
    sender: Sender<Message>,
    now_us: u64,
    /// Verdicts until the clock is looked at again.
    left: u32,
    reported_us: u64,
    histogram: Box<LatencyHistogram>,
    counted: CountsWatch,
}

impl EndToEnd {
    /// For a reader with these counters.
    pub(crate) fn new(job: EndToEndJob, sender: Sender<Message>, stats: &ReaderStats) -> Self {
        let now_us = job.clock.now_us();
        Self {
            job,
            sender,
            now_us,
            left: 0,
            reported_us: now_us,
            histogram: Box::new(LatencyHistogram::fine()),
            counted: CountsWatch::new(stats.counts()),
        }
    }

    /// Whether what comes is to be left for later.
    pub(crate) fn is_paused(&self) -> bool {
        self.job.measured.is_paused.get() != 0
    }

    /// Time has passed without verdicts.
    pub(crate) fn begin_batch(&mut self) {
        self.left = 0;
    }

    /// There was a verdict on a record, and it is sound.
    #[inline]
    pub(crate) fn note(&mut self, record: &RecordView<'_>) {
        if self.left == 0 {
            self.now_us = self.job.clock.now_us();
            self.left = LOOK_EVERY;
        }
        self.left -= 1;
        let Some((name, value)) = record.second_header else { return };
        let Second::Proof(header) = proof::second(name, value) else { return };
        let proof = header.decode();
        let is_ours = proof.run.wrapping_sub(self.job.run) < RUNS;
        let Some(intended_us) = proof.intended_us().filter(|_| is_ours) else { return };
        let Ok(intended_us) = u64::try_from(intended_us - self.job.epoch_us) else { return };
        if self.is_measured(intended_us) {
            self.histogram.record(self.now_us.saturating_sub(intended_us));
        }
    }

    fn is_measured(&self, at_us: u64) -> bool {
        let Measured { from_us, to_us, .. } = &*self.job.measured;
        (from_us.get()..to_us.get()).contains(&at_us)
    }

    /// Counts what has been read since the last time, and tells the main thread what was measured, when it is time to, or at the
    /// `end`. What finds no room goes later.
    pub(crate) fn report(&mut self, at_end: bool, stats: &ReaderStats) {
        let now_us = self.job.clock.now_us();
        self.counted.look(stats.counts(), self.is_measured(now_us), &stats.in_time);
        if self.histogram.count() == 0 {
            return;
        }
        if !at_end && now_us.saturating_sub(self.reported_us) < REPORT_EVERY_US {
            return;
        }
        self.reported_us = now_us;
        let histogram = std::mem::replace(&mut self.histogram, Box::new(LatencyHistogram::fine()));
        if let Err(TrySendError::Full(Message::EndToEnd(histogram))) =
            self.sender.try_send(Message::EndToEnd(histogram))
        {
            self.histogram = histogram;
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;

    use super::*;
    use crate::record::proof::{Content, PROOF_HEADER, Proof, digest_of, encode};

    fn noted(proof: Proof, end_to_end: &mut EndToEnd) {
        let content = Content::new(None, digest_of(None), (b"", b""));
        let header = encode(&proof, &content);
        end_to_end.note(&RecordView {
            offset: 0,
            leader_epoch: 0,
            sent_ms: proof.timestamp_ms,
            has_sound_headers: true,
            first_header: None,
            second_header: Some((PROOF_HEADER.as_bytes(), header.as_bytes())),
            key: None,
            value: None,
            batch: None,
        });
    }

    #[test]
    fn records_of_the_run_and_of_the_time_are_measured() {
        let (sender, receiver) = bounded(1);
        let stats = ReaderStats::default();
        let measured = Arc::new(Measured::default());
        measured.from_us.set(0);
        measured.to_us.set(5_000);
        let job = EndToEndJob { clock: Clock::start(), epoch_us: 7_000_000, run: 40, measured };
        let mut end_to_end = EndToEnd::new(job, sender, &stats);
        let proof =
            Proof { run: 40, sequence: 0, timestamp_ms: Some(7_004), micros: Some(999), transaction: None };
        end_to_end.report(true, &stats);
        assert!(receiver.try_recv().is_err(), "nothing to tell");
        noted(proof, &mut end_to_end);
        noted(Proof { run: 41, ..proof }, &mut end_to_end);
        for other in [
            Proof { run: 39, ..proof },
            Proof { timestamp_ms: Some(7_005), micros: Some(0), ..proof },
            Proof { timestamp_ms: Some(6_999), ..proof },
            Proof { micros: None, ..proof },
        ] {
            noted(other, &mut end_to_end);
        }
        end_to_end.report(true, &stats);
        let Ok(Message::EndToEnd(histogram)) = receiver.try_recv() else { panic!("nothing was told") };
        assert_eq!(histogram.count(), 2);
    }

    #[test]
    fn what_finds_no_room_goes_later() {
        let (sender, receiver) = bounded(1);
        let stats = ReaderStats::default();
        sender.send(Message::Finish).unwrap();
        let measured = Arc::new(Measured::default());
        measured.to_us.set(u64::MAX);
        let job = EndToEndJob { clock: Clock::start(), epoch_us: 0, run: 0, measured };
        let mut end_to_end = EndToEnd::new(job, sender, &stats);
        noted(
            Proof { run: 0, sequence: 0, timestamp_ms: Some(0), micros: Some(1), transaction: None },
            &mut end_to_end,
        );
        end_to_end.report(true, &stats);
        assert!(matches!(receiver.try_recv(), Ok(Message::Finish)));
        end_to_end.report(true, &stats);
        assert!(matches!(receiver.try_recv(), Ok(Message::EndToEnd(_))));
    }

    #[test]
    fn what_is_read_outside_of_the_measured_time_is_not_counted_in_it() {
        let (sender, _receiver) = bounded(1);
        let (stats, measured) = (ReaderStats::default(), Arc::new(Measured::default()));
        stats.valid_reads.add(1_000);
        let job = EndToEndJob { clock: Clock::start(), epoch_us: 0, run: 0, measured: measured.clone() };
        let mut end_to_end = EndToEnd::new(job, sender, &stats);
        let mut read = |records, until_us| {
            measured.to_us.set(until_us);
            stats.valid_reads.add(records);
            stats.bytes.add(records * 10);
            end_to_end.report(false, &stats);
            (stats.in_time.get().read, stats.in_time.get().read_bytes)
        };
        assert_eq!(read(5, 0), (0, 0), "nothing is measured yet");
        assert_eq!(read(7, u64::MAX), (7, 70));
        assert_eq!(read(20, 0), (7, 70), "that is over");
    }
}
