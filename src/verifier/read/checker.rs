//! Validating what is read, and counting it: common to all readers.

use std::{ops::Range, sync::Arc};

use range_set_blaze::RangeSetBlaze;

use super::progress::PartitionProgress;
use crate::{
    app::Shared,
    config::{LatestChecks, ProofConfig},
    findings::anomaly::{Anomaly, Evidence, READABLE, Violation},
    kafka::{Expected, Isolation, KafkaError},
    ledger::{
        LatestValues, Ledger, PartitionLedger,
        undecided::{self, Undecided},
    },
    mutants::enforced,
    partitions::{PartitionSlot, PartitionTable},
    record::RecordView,
    stats::{CoverageTotals, ReaderStats},
    verifier::{
        check::{
            broken::wrong_offset,
            last_values::{Log, SeenKeys, Stale, altered_in_place, not_latest},
            loss::Missing,
            validator::{self, Broken, Checked, PartitionState, Rules, SentAgain, Visible},
        },
        shard::{Halt, ShardContext},
    },
};

/// What a pass is held against.
#[derive(Clone)]
pub(crate) struct Expectation {
    pub(crate) ledger: Arc<Ledger>,
    /// The last value of each key, where values are checked.
    pub(crate) latest: Option<Arc<LatestValues>>,
    /// The pass waits for more, and what it reads is not listed yet.
    pub(crate) ledger_grows: bool,
}

/// A log that was truncated below what was read of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truncation {
    /// Up to where it was read.
    pub(crate) position: i64,
    /// Where it was truncated.
    pub(crate) end: i64,
    /// It was written again, and is as long as before.
    pub(crate) refilled: bool,
}

/// Holds records against the ledger and counts what they prove.
pub(crate) struct Checker {
    context: ShardContext,
    table: Arc<PartitionTable>,
    expectation: Expectation,
    stats: Arc<ReaderStats>,
    proof: ProofConfig,
    rules: Rules,
}

/// Before it is known what a reader may expect.
const ANYTHING: Rules =
    Rules { visible: Visible::All, proof_header: false, whole_transactions: false, ledger_grows: false };

/// Which records a reader is shown.
pub(crate) fn isolation(proof: ProofConfig) -> Isolation {
    let committed = proof.transactions && enforced("read-committed");
    if committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

/// Nothing was shown at the end of a log of which compaction may have taken it.
#[cold]
pub(crate) fn tail_left_out(partition: i32, tail: &Range<i64>) {
    tracing::warn!(
        "partition {partition}: offsets {} to {} are left out: they are behind LastConsumableOffsets, the broker has shown \
         nothing of them for 5 s, and compaction may have taken them",
        tail.start,
        tail.end - 1
    );
}

/// Behind what compaction leaves of a partition for certain: what was acked there may have gone, and there may be nothing to
/// be shown any more. `None` where nothing may go.
pub(crate) fn consumable_end(ledger: &Ledger, place: i32) -> Option<i64> {
    let part = ledger.partition(place).filter(|_| ledger.adjust_consumable_offsets)?;
    Some(part.last_consumable + 1)
}

impl Checker {
    pub(crate) fn new(
        context: &ShardContext,
        table: Arc<PartitionTable>,
        expectation: Expectation,
        stats: Arc<ReaderStats>,
        proof: ProofConfig,
    ) -> Self {
        let mut checker =
            Self { context: context.clone(), table, expectation, stats, proof, rules: ANYTHING };
        checker.rules = checker.rules();
        checker
    }

    fn rules(&self) -> Rules {
        let Self { proof, expectation, .. } = self;
        Rules {
            visible: if proof.transactions { Visible::Committed } else { Visible::All },
            proof_header: proof.proof_header,
            whole_transactions: proof.transactions && !self.records_may_go() && !self.tolerates_data_loss(),
            ledger_grows: expectation.ledger_grows,
        }
    }

    /// The ledger has grown since the pass began, and all of the pass is held against it from now on.
    pub(crate) fn renew_ledger(&mut self, ledger: Arc<Ledger>) {
        self.expectation.ledger = ledger;
        self.rules = self.rules();
    }

    pub(crate) fn stats(&self) -> &ReaderStats {
        &self.stats
    }

    /// A partition's number in its topic.
    pub(crate) fn number(&self, partition: PartitionSlot) -> i32 {
        self.table.partition(partition)
    }

    /// Whose partition it is, and its number there.
    pub(crate) fn topic_and_number(&self, partition: PartitionSlot) -> (&str, i32) {
        (self.table.topic(partition), self.number(partition))
    }

    /// A partition's place in the ledger.
    pub(crate) fn place(&self, partition: PartitionSlot) -> i32 {
        self.table.ledger_place(partition)
    }

    /// One partition's part of the ledger.
    pub(crate) fn ledger(&self, partition: PartitionSlot) -> Option<&PartitionLedger> {
        self.expectation.ledger.partition(self.place(partition))
    }

    /// Whether values are checked.
    pub(crate) fn latest(&self) -> Option<&LatestValues> {
        self.expectation.latest.as_deref()
    }

    /// Whether records may be missing that were acked: the log is compacted.
    pub(crate) fn records_may_go(&self) -> bool {
        self.proof.compacted || self.expectation.ledger.adjust_consumable_offsets
    }

    /// Behind what compaction leaves of a partition for certain, by the ledger that the pass is held against.
    pub(crate) fn consumable_end(&self, partition: PartitionSlot) -> Option<i64> {
        consumable_end(&self.expectation.ledger, self.place(partition))
    }

    /// What was read of a partition from `start` on, held against the ledger, and where that does not list it.
    pub(crate) fn coverage(
        &self,
        progress: &PartitionProgress,
        start: i64,
    ) -> (CoverageTotals, RangeSetBlaze<i64>) {
        let acked = self.ledger(progress.partition).map(PartitionLedger::acked);
        let read = progress.read_ranges();
        let mut coverage = CoverageTotals::of(&read, acked);
        // Also where last values are checked: nothing that has gone was a key's last one, but whether compaction has taken
        // it, or somebody has lost it before, nobody can tell.
        if let Some(acked) = acked.filter(|_| self.records_may_go()) {
            coverage = coverage.without(acked, start..progress.position, &progress.accounted());
        }
        coverage.left_out += progress.left_out.unsigned_abs();
        let beyond = acked.map_or_else(|| read.clone(), |acked| &read - acked);
        (coverage, beyond)
    }

    /// What was acked at or above `start`, and was not read, is told, once.
    ///
    /// # Errors
    /// That, unless lost data is tolerated or the run goes on.
    pub(crate) fn report_missing(&self, progress: &mut PartitionProgress, start: i64) -> Result<(), Halt> {
        self.report_missing_of(self.ledger(progress.partition), progress, start)
    }

    /// The same of what another ledger lists than the one that the pass is held against.
    ///
    /// # Errors
    /// That, unless lost data is tolerated or the run goes on.
    pub(crate) fn report_missing_of(
        &self,
        ledger: Option<&PartitionLedger>,
        progress: &mut PartitionProgress,
        start: i64,
    ) -> Result<(), Halt> {
        let missing = progress.tell_missing(ledger, start);
        missing.map_or(Ok(()), |missing| self.lost(progress.partition, &missing))
    }

    /// Whether a log that was truncated is counted, instead of being a violation.
    pub(crate) fn tolerates_data_loss(&self) -> bool {
        self.proof.tolerate_data_loss
    }

    /// Where a record lies whose headers cannot be read. Its offset may have been misread as well, and is believed where
    /// it is one that was acked, behind nothing but what need not show (markers, what was aborted); if not, it is the
    /// record at the reader's place.
    #[cold]
    pub(crate) fn place_of_malformed(&self, partition: PartitionSlot, position: i64, claimed: i64) -> i64 {
        let is_next = match self.ledger(partition) {
            Some(ledger) => ledger.contains(claimed) && !ledger.contains_any(position, claimed),
            None => self.rules.visible == Visible::Committed,
        };
        if claimed > position && is_next { claimed } else { position }
    }

    /// Checks one record.
    ///
    /// # Errors
    /// The promise that it breaks, unless the run goes on.
    pub(crate) fn check(
        &self,
        state: &mut PartitionState,
        partition: PartitionSlot,
        record: &RecordView<'_>,
    ) -> Result<(), Halt> {
        self.examine(state, partition, record).map(|_| ())
    }

    /// Checks one record, and takes note of its key, where values are checked.
    ///
    /// # Errors
    /// The promise that it breaks, unless the run goes on.
    pub(crate) fn check_and_note(
        &self,
        state: &mut PartitionState,
        partition: PartitionSlot,
        record: &RecordView<'_>,
        keys: &mut SeenKeys,
    ) -> Result<(), Halt> {
        let is_corrupt = self.examine(state, partition, record)?;
        // Of a record that cannot be taken apart, not even the offset is known.
        let Some(latest) = self.latest().filter(|_| record.has_sound_headers) else { return Ok(()) };
        keys.note(latest, self.number(partition), record, is_corrupt);
        Ok(())
    }

    /// Returns whether it was found, and named, to be corrupt.
    #[inline]
    fn examine(
        &self,
        state: &mut PartitionState,
        partition: PartitionSlot,
        record: &RecordView<'_>,
    ) -> Result<bool, Halt> {
        let counters = &*self.stats;
        counters.bytes.add(record.value.map_or(0, <[u8]>::len) as u64);
        if record.value.is_none() {
            counters.tombstones_consumed.add(1);
        }
        if record.offset > counters.max_offsets.get(partition.index()) {
            counters.max_offsets.set(partition.index(), record.offset);
        }
        if state.take_broken() {
            self.context.shared.violations.add_next(self.number(partition), &validator::neighbour(record));
        }
        let expected_offset = state.next_offset();
        match state.check(record, self.ledger(partition), self.rules) {
            Ok((checked, gap)) => {
                match checked {
                    Checked::Valid => counters.valid_reads.add(1),
                    Checked::OutOfScope => {
                        counters.out_of_scope_invalid_reads.add(1);
                        if self.expectation.ledger_grows {
                            self.lies_elsewhere(partition, record);
                        }
                    }
                    Checked::SentAgain(again) => self.sent_again(partition, *again),
                }
                if gap && !self.proof.compacted {
                    counters.offset_gaps.add(1);
                    self.gap(partition, expected_offset..record.offset);
                }
                // The first record of a partition says what the others are like.
                if expected_offset == 0 && !self.proof.transactions && validator::is_in_transaction(record) {
                    self.context.shared.gaps.explain(self.table.topic(partition), true);
                }
            }
            Err(broken) => {
                counters.invalid_reads.add(1);
                state.note_broken();
                let is_corrupt = broken.anomaly == Anomaly::Corrupt;
                return self.report(partition, *broken).map(|()| is_corrupt);
            }
        }
        let latest = self.latest().filter(|_| !state.is_truncated(record.offset));
        let altered = latest.and_then(|latest| match self.proof.latest_values {
            LatestChecks::Every => not_latest(latest, self.ledger(partition), self.number(partition), record),
            LatestChecks::Last | LatestChecks::Never => {
                altered_in_place(latest, self.number(partition), record)
            }
        });
        if let Some((expected, found)) = altered {
            self.broken(Anomaly::StaleValue, partition, record.offset, expected, found)?;
        }
        Ok(false)
    }

    /// Nothing lies there.
    #[cold]
    fn gap(&self, partition: PartitionSlot, missing: Range<i64>) {
        let (topic, shared) = (self.table.topic(partition), &self.context.shared);
        shared.gaps.add(topic, self.number(partition), missing);
        if !self.proof.transactions {
            shared.gaps.explain(topic, false);
        }
    }

    /// A record is there twice that was acked nowhere, as far as is known: the end of the pass decides.
    #[cold]
    fn sent_again(&self, partition: PartitionSlot, again: SentAgain) {
        let SentAgain { before, valid, accusation } = again;
        let counters = &*self.stats;
        let counter = if valid { &counters.valid_reads } else { &counters.out_of_scope_invalid_reads };
        counter.add(1);
        let (accusation, place) = (self.violation(partition, accusation), self.place(partition));
        let record = Undecided { accusation, place, before: Some(before) };
        let Shared { undecided, causes, .. } = &*self.context.shared;
        // Where a log may be truncated, what the ledger lists in the end may be something else.
        let left = if self.tolerates_data_loss() { Some(record) } else { undecided.hold(record) };
        if let Some(record) = left {
            undecided::note_resend(causes, &record);
        }
    }

    /// A record names another place than its own, and the ledger does not list that yet.
    #[cold]
    fn lies_elsewhere(&self, partition: PartitionSlot, record: &RecordView<'_>) {
        let undecided = &self.context.shared.undecided;
        let is_open =
            self.ledger(partition).and_then(PartitionLedger::highest).is_none_or(|end| end < record.offset);
        if is_open && !self.tolerates_data_loss() && undecided.has_room() {
            let (accusation, place) =
                (self.violation(partition, wrong_offset(record)), self.place(partition));
            // Where there is no room any more, it is a record that nobody was promised.
            let _ = undecided.hold(Undecided { accusation, place, before: None });
        }
    }

    /// Everything has been read of a partition: what is missing in a transaction will not come any more.
    ///
    /// # Errors
    /// The promise that this breaks, unless the run goes on.
    pub(crate) fn finish(&self, state: &mut PartitionState, partition: PartitionSlot) -> Result<(), Halt> {
        while let Some(broken) = state.finish() {
            self.report(partition, *broken)?;
        }
        Ok(())
    }

    /// The keys that were not seen with their last value, when all of a partition was read whose log starts at `start`.
    pub(crate) fn stale_keys(&self, progress: &PartitionProgress, start: i64, seen: &SeenKeys) -> Vec<Stale> {
        let partition = progress.partition;
        let keys = self.latest().and_then(|latest| latest.keys(self.number(partition)));
        let log = Log {
            ledger: self.ledger(partition),
            start,
            end: progress.position,
            unreadable: &progress.unreadable,
            may_be_truncated: self.tolerates_data_loss(),
            may_hold_tombstones: self.expectation.ledger.adjust_consumable_offsets,
            is_transactional: self.proof.transactions,
        };
        keys.map_or(Vec::new(), |keys| seen.stale(keys, &log))
    }

    /// There must be none.
    ///
    /// # Errors
    /// The promise that this breaks, unless the run goes on.
    pub(crate) fn check_keys(
        &self,
        progress: &PartitionProgress,
        start: i64,
        seen: &SeenKeys,
    ) -> Result<(), Halt> {
        for Stale { offset, expected, found } in self.stale_keys(progress, start, seen) {
            let offset = offset.unwrap_or(progress.position);
            self.broken(Anomaly::StaleValue, progress.partition, offset, expected, found)?;
        }
        Ok(())
    }

    /// The cluster does not let us read.
    pub(crate) fn refused(&self, partition: Option<PartitionSlot>, error: KafkaError) -> Halt {
        let topic = partition.map_or(&*self.context.topic, |slot| self.table.topic(slot));
        let partition = partition.map(|slot| format!(" partition {}", self.number(slot))).unwrap_or_default();
        Halt::Failed(format!("topic {topic}{partition}: it may not be read: {error}"))
    }

    /// A batch does not fit its checksum, or cannot be unpacked, or taken apart.
    ///
    /// # Errors
    /// That, unless the run goes on.
    #[cold]
    pub(crate) fn corrupt(&self, partition: PartitionSlot, offset: i64, found: &str) -> Result<(), Halt> {
        self.broken(Anomaly::Corrupt, partition, offset, READABLE.to_owned(), found.to_owned())
    }

    /// The client told of a log that was truncated, and the leader, asked about that very place, has the record that was read
    /// last: it is counted, and no fault of anybody's.
    #[cold]
    pub(crate) fn not_truncated(&self, partition: PartitionSlot, position: i64) {
        tracing::debug!("partition {}: the log was not truncated below {position}", self.number(partition));
        let cause = "asked about that very place, the leader has the record that was read last, with the same epoch: the \
                     client held an answer against another place than it had asked about";
        self.note("its client took a log to be truncated that was not", cause);
    }

    /// Whether the log was truncated cannot be known.
    #[cold]
    pub(crate) fn uncertain(&self, partition: PartitionSlot, position: i64) {
        tracing::debug!(
            "partition {}: whether the log was truncated below {position} is uncertain",
            self.number(partition)
        );
        let cause = "the record that was read last is not there any more, and its leader's answers prove no truncation: \
                     retention or compaction may have taken it";
        self.note("its client took a log to be truncated, and that is uncertain", cause);
    }

    /// The client went astray by itself, and that has been made good: it is counted.
    #[cold]
    pub(crate) fn mended(&self, what: &str, cause: &str) {
        self.note(what, cause);
    }

    /// A client has left records out, from one offset up to another.
    #[cold]
    pub(crate) fn left_out(&self, partition: PartitionSlot, left_out: Range<i64>) {
        let Range { start, end } = left_out;
        tracing::debug!(
            "partition {}: the client left out what lies from {start} to {end}",
            self.number(partition)
        );
        let cause = "a client may go on by itself behind where it was told to read; it is looked at before anything is said \
                     to be missing";
        self.note("its client left offsets out, and is told to read them", cause);
    }

    /// What a reader should have been shown of offsets at which it was shown nothing. Where records may go, or others'
    /// transactions leave markers, only the ledger knows.
    pub(crate) fn expects(&self, partition: PartitionSlot, range: Range<i64>) -> Expected {
        let lists_any = |ledger: &PartitionLedger| ledger.contains_any(range.start, range.end);
        if self.records_may_go() {
            Expected::Nothing
        } else if self.ledger(partition).is_some_and(lists_any) {
            Expected::Acked
        } else if self.rules.visible == Visible::All {
            Expected::Records
        } else {
            Expected::Nothing
        }
    }

    fn note(&self, what: &str, cause: &str) {
        self.context.shared.causes.note("a reader", what, cause);
    }

    /// The log was truncated below what was read.
    ///
    /// # Errors
    /// That, unless lost data is tolerated or the run goes on.
    #[cold]
    pub(crate) fn truncated(&self, partition: PartitionSlot, truncation: Truncation) -> Result<(), Halt> {
        let Truncation { position, end, refilled } = truncation;
        self.context.shared.undecided.forget(self.place(partition), end);
        let again = if refilled { ", and written again" } else { "" };
        if self.tolerates_data_loss() {
            self.count_lost(partition, position - end);
            tracing::warn!(
                "partition {}: the log was truncated from {position} to {end}{again}",
                self.number(partition)
            );
            return Ok(());
        }
        let expected = format!("a log that reaches {position}, as far as it was read");
        let anomaly = if refilled { Anomaly::RefilledTruncation } else { Anomaly::Truncation };
        let found = if refilled {
            format!("one that was truncated at {end}{again}")
        } else {
            format!("a log that ends at {end}")
        };
        self.broken(anomaly, partition, end, expected, found)
    }

    fn count_lost(&self, partition: PartitionSlot, count: i64) {
        let lost = &self.stats.lost_offsets;
        lost.set(partition.index(), lost.get(partition.index()).saturating_add(count));
    }

    /// A promise was broken.
    ///
    /// # Errors
    /// That, unless the run goes on; then it is written down.
    #[cold]
    pub(crate) fn broken(
        &self,
        anomaly: Anomaly,
        partition: PartitionSlot,
        offset: i64,
        expected: String,
        found: String,
    ) -> Result<(), Halt> {
        let acked_here = self.ledger(partition).map(|ledger| ledger.contains(offset));
        let evidence = Evidence { acked_here, ..Evidence::default() };
        self.report(partition, Broken { anomaly, offset, expected, found, evidence })
    }

    /// Acked records are gone.
    ///
    /// # Errors
    /// That, unless lost data is tolerated or the run goes on.
    #[cold]
    pub(crate) fn lost(&self, partition: PartitionSlot, missing: &Missing) -> Result<(), Halt> {
        if self.tolerates_data_loss() {
            self.count_lost(partition, i64::try_from(missing.count).unwrap_or(i64::MAX));
            tracing::warn!("partition {}: {missing}", self.number(partition));
            return Ok(());
        }
        let ranges = missing.ranges.iter().map(|range| (*range.start(), *range.end()));
        let evidence = Evidence { acked_here: Some(true), missing: ranges.collect(), ..Evidence::default() };
        let (expected, found) = ("every acked record".to_owned(), missing.to_string());
        let (anomaly, offset) = (Anomaly::LostWrite, missing.first);
        self.report(partition, Broken { anomaly, offset, expected, found, evidence })
    }

    fn violation(&self, partition: PartitionSlot, broken: Broken) -> Violation {
        let Broken { anomaly, offset, expected, found, evidence } = broken;
        let (evidence, topic) = (Box::new(evidence), self.table.topic(partition).to_owned());
        let partition = self.number(partition);
        Violation { anomaly, topic, partition, offset, expected, found, evidence }
    }

    /// A promise was broken, and more is known of it.
    #[cold]
    fn report(&self, partition: PartitionSlot, broken: Broken) -> Result<(), Halt> {
        let violation = self.violation(partition, broken);
        if self.proof.keep_going {
            self.context.shared.violations.add(violation);
            return Ok(());
        }
        Err(Halt::Violation(Box::new(violation)))
    }
}
