//! One pass of a sequential reader: what each thing that the client shows means for it.

use std::{ops::Range, time::Instant};

use crate::{
    kafka::{Ends, LogEvent, LogVisitor},
    ledger::PartitionLedger,
    mutants::enforced,
    partitions::PartitionSlot,
    record::RecordView,
    stats::{Beyond, CoverageTotals},
    verifier::{
        check::last_values::SeenKeys,
        read::{
            budget::Allowance,
            checker::{self, Checker, Truncation},
            closing::Closing,
            end_to_end::EndToEnd,
            partition_reader::{Judgement, PartitionReader},
        },
        shard::Halt,
    },
};

/// What a pass changes while the client shows records.
pub(crate) struct PassState {
    pub(crate) checker: Checker,
    /// By slot.
    pub(crate) readers: Vec<PartitionReader>,
    /// Records that may still be read.
    pub(crate) allowance: Allowance,
    /// The keys that were read, by slot, where values are checked.
    pub(crate) keys: Vec<SeenKeys>,
    /// How long records took, where that is measured.
    pub(crate) end_to_end: Option<EndToEnd>,
    pub(crate) halt: Option<Halt>,
}

impl PassState {
    pub(crate) fn is_done(&self) -> bool {
        self.allowance.is_spent() || self.readers.iter().all(PartitionReader::is_done)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.readers.iter().any(|reader| reader.progress.is_open())
    }

    /// The pass that waited for more is the last one: it ends where the logs end now, and nothing may be missing there that
    /// was acked since it began.
    #[cold]
    pub(crate) fn close_open_ends(&mut self, closing: &Closing) {
        self.checker.renew_ledger(closing.ledger.clone());
        for PartitionReader { progress, .. } in
            self.readers.iter_mut().filter(|reader| reader.progress.is_open())
        {
            let place = usize::try_from(self.checker.place(progress.partition)).ok();
            if let Some(end) = place.and_then(|place| closing.ends.get(place)) {
                progress.close_at(*end, self.checker.consumable_end(progress.partition));
            }
        }
    }

    /// Whether everything that was there has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.allowance.is_unlimited() && self.readers.iter().all(PartitionReader::is_done)
    }

    /// A record whose headers cannot be read. Nor can it be known then where the next one begins.
    #[cold]
    fn malformed(&mut self, index: usize, record: &RecordView<'_>) {
        let reader = &mut self.readers[index];
        let partition = reader.partition();
        let offset = self.checker.place_of_malformed(partition, reader.position(), record.offset);
        reader.unreadable(offset);
        let record = RecordView { offset, ..*record };
        self.halt = self.checker.check(&mut reader.state, partition, &record).err();
    }

    /// Decides what the broker's word on a partition means for its reader.
    ///
    /// # Errors
    /// The log was truncated, unless that is tolerated or the run goes on.
    pub(crate) fn judge(&mut self, index: usize, ends: Ends) -> Result<(), Halt> {
        let reader = &mut self.readers[index];
        let (judgement, partition) = (reader.judge(ends), reader.partition());
        match judgement {
            Judgement::Wait => Ok(()),
            Judgement::Retention => {
                let number = self.checker.number(partition);
                tracing::info!("partition {number}: retention moved the start to {}", reader.position());
                Ok(())
            }
            Judgement::Truncated { refilled, position, end } => {
                self.checker.truncated(partition, Truncation { position, end, refilled })
            }
        }
    }

    /// Has done with a partition of which nothing more is shown, where compaction may have taken all that is left.
    pub(crate) fn leave_out_tail(&mut self, index: usize, now: Instant) {
        let reader = &mut self.readers[index];
        if let Some(tail) = reader.leave_out_tail(now) {
            checker::tail_left_out(self.checker.number(reader.partition()), &tail);
        }
    }

    /// Says how much of what was read the ledger vouches for.
    pub(crate) fn note_coverage(&self) {
        let (mut coverage, mut beyond) = (CoverageTotals::default(), Vec::new());
        for PartitionReader { progress, .. } in &self.readers {
            let (part, offsets) = self.checker.coverage(progress, progress.start);
            coverage += part;
            let place = self.checker.place(progress.partition);
            beyond.push(Beyond { place, offsets, runs: Vec::new() });
        }
        // Who is listed elsewhere is nobody else.
        if coverage.beyond_ledger > 0 {
            for (beyond, PartitionReader { state, .. }) in beyond.iter_mut().zip(&self.readers) {
                beyond.runs = state.runs();
            }
        }
        self.checker.stats().coverage.set(coverage, beyond);
    }

    /// Partitions whose ledger lists records at or behind the end to which they were read, with the last of these.
    pub(crate) fn end_too_early(&self) -> Vec<(usize, i64)> {
        if !self.is_complete() || self.checker.records_may_go() || self.checker.tolerates_data_loss() {
            return Vec::new();
        }
        let behind = |reader: &PartitionReader| {
            let progress = &reader.progress;
            progress.missing(self.checker.ledger(progress.partition), progress.end())
        };
        let readers = self.readers.iter().enumerate();
        readers.filter_map(|(index, reader)| Some((index, behind(reader)?.last))).collect()
    }

    /// Whether something was acked at this offset or above.
    pub(crate) fn is_acked_from(&self, index: usize, offset: i64) -> bool {
        let ledger = self.checker.ledger(self.readers[index].partition());
        let highest = ledger.and_then(PartitionLedger::highest);
        highest.is_some_and(|highest| highest >= offset) && enforced("lost-end")
    }

    /// What was acked at or above `start` and is missing is told, once.
    pub(crate) fn report_missing(&mut self, index: usize, start: i64) -> Result<(), Halt> {
        self.checker.report_missing(&mut self.readers[index].progress, start)
    }

    /// Whether a key was not seen with its last value, if the log still starts where it did.
    pub(crate) fn has_stale_keys(&self, index: usize) -> bool {
        let (reader, seen) = (&self.readers[index], &self.keys[index]);
        let progress = &reader.progress;
        !progress.was_truncated() && !self.checker.stale_keys(progress, progress.start, seen).is_empty()
    }

    /// Every key must have been seen with its last value, but for those that retention has taken.
    pub(crate) fn check_keys(&self, index: usize, start: i64) -> Result<(), Halt> {
        let progress = &self.readers[index].progress;
        self.checker.check_keys(progress, start.max(progress.start), &self.keys[index])
    }

    /// What lies at an offset cannot be read, and from `to` on, where that is known, it can be again.
    #[cold]
    fn unreadable(&mut self, index: usize, (from, to): (i64, Option<i64>), cause: &str) {
        let reader = &mut self.readers[index];
        // The place may be one of control records before a batch, or lie in it.
        let (partition, from) = (reader.partition(), reader.position().max(from));
        if reader.unreadable(from) {
            self.checker.stats().errors.add(1);
            self.halt = self.checker.corrupt(partition, from, cause).err();
        }
        if let Some(Range { start, end }) = to.and_then(|to| reader.pass_over(to)) {
            let number = self.checker.number(partition);
            tracing::warn!("partition {number}: offsets {start} to {} are passed over", end - 1);
        }
    }

    #[cold]
    fn not_truncated(&mut self, index: usize, next_offset: i64, is_certain: bool) {
        let reader = &mut self.readers[index];
        if is_certain {
            self.checker.not_truncated(reader.partition(), reader.position());
        } else {
            self.checker.uncertain(reader.partition(), reader.position());
        }
        reader.not_truncated(next_offset);
    }
}

impl LogVisitor for PassState {
    #[inline]
    fn record(&mut self, slot: PartitionSlot, record: &RecordView<'_>) {
        if self.halt.is_some() {
            return;
        }
        let index = slot.index();
        let reader = &mut self.readers[index];
        if reader.is_done() || !self.allowance.take() {
            return;
        }
        if !record.has_sound_headers {
            self.malformed(index, record);
            return;
        }
        reader.read(record.offset, record.leader_epoch);
        let (state, keys) = (&mut reader.state, &mut self.keys[index]);
        self.halt = self.checker.check_and_note(state, slot, record, keys).err();
        if let Some(end_to_end) = self.end_to_end.as_mut().filter(|_| self.halt.is_none()) {
            end_to_end.note(record);
        }
    }

    fn event(&mut self, slot: PartitionSlot, event: LogEvent<'_>) {
        if self.halt.is_some() {
            return;
        }
        let index = slot.index();
        let reader = &mut self.readers[index];
        match event {
            LogEvent::Progress { next_offset } => reader.progressed(next_offset),
            LogEvent::AtEnd { end } => reader.reached(end),
            LogEvent::Unreadable { from, to, cause } => self.unreadable(index, (from, to), cause),
            LogEvent::NotTruncated { next_offset, is_certain } => {
                self.not_truncated(index, next_offset, is_certain);
            }
            LogEvent::FalseAbort { kind, first, marker } => {
                self.halt = self.checker.false_abort(slot, kind, (first, marker)).err();
            }
            LogEvent::StartBack { from, to } => {
                self.halt = self.checker.start_back(slot, from, to).err();
            }
            LogEvent::OutOfRange => {
                self.checker.stats().errors.add(1);
                reader.refused();
            }
            LogEvent::Truncated { from, to, .. } => {
                self.checker.stats().errors.add(1);
                reader.note_truncation(from, to);
            }
            LogEvent::Refused(error) => {
                self.checker.stats().errors.add(1);
                self.halt = Some(self.checker.refused(Some(reader.partition()), error));
            }
            // The client tries again by itself.
            LogEvent::Gone(_) | LogEvent::Transient(_) => {
                self.checker.stats().errors.add(1);
            }
        }
    }
}
