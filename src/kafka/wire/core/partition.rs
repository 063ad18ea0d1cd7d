//! The batches of one partition that are on their way: in which order they go, how many at once, and what becomes of them.
//!
//! The rules are those of Kafka's idempotence (KIP-98, KIP-360): the broker takes a producer's batches in the order of
//! their sequence numbers and knows the last five again. A leader that has never heard of a producer takes any first
//! number, so that one batch goes alone until it is acked; and what was in flight to one leader is settled, or its
//! connection closed, before anything goes to the next one. What is sent again is the same batch, byte for byte.

use std::collections::VecDeque;

use super::{
    cluster::Leader,
    code,
    idempotence::{ProducerId, is_before, sequence_after},
    verdict::{Standing, Verdict},
};
use crate::{
    kafka::wire::batch::{BatchProducer, BatchWriter, CrcShift, NewRecord, Packer},
    mutants::enforced,
};

/// Batches of a partition that may be in flight once a leader has acked one: as many as brokers know again.
const MOST_IN_FLIGHT: usize = 5;
/// The first pause before a batch is sent again to the same leader, µs; doubled each time.
const SHORTEST_PAUSE_US: u64 = 20_000;
const LONGEST_PAUSE_US: u64 = 1_000_000;
/// The same where the markers of the transaction before are being written, which takes a few ms; seconds where leaders move,
/// and with each attempt a broker asks the coordinator.
const MARKER_PAUSES_US: (u64, u64) = (1_000, 200_000);
/// How often a leader is asked again that lacks what another one has acked, before that is believed.
const MOST_DOUBTS: u8 = 5;
/// A batch begins with so much room, in bytes, and grows.
const FIRST_BYTES: usize = 512;

/// Why a record is not in the log, or may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The broker's error.
    Broker(i16),
    /// The caller gave up.
    GivenUp,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the log.
    Acked {
        /// The offset of its first record.
        base_offset: i64,
    },
    /// It is in the log, and nobody says where.
    AckedNoOffset,
    /// It is not in the log.
    Failed(Cause),
    /// Nobody knows whether it is in the log.
    Unknown(Cause),
}

/// Records that travel together.
#[derive(Debug)]
pub(crate) struct Batch {
    writer: BatchWriter,
    tokens: Vec<usize>,
    opened_us: u64,
    /// It takes no more records.
    is_full: bool,
    /// Its producer and first sequence number: its bytes do not change any more.
    numbered: Option<(ProducerId, i32)>,
    /// The request that it is in flight with.
    request: Option<usize>,
    /// An attempt may have written it.
    perhaps_written: bool,
    /// Something before it has failed, of this: it is not sent again.
    doomed: Option<Cause>,
}

impl Batch {
    /// An empty one.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            writer: BatchWriter::with_capacity(FIRST_BYTES),
            tokens: Vec::new(),
            opened_us: 0,
            is_full: false,
            numbered: None,
            request: None,
            perhaps_written: false,
            doomed: None,
        }
    }

    /// Empties it, so that its memory can be used again.
    pub(crate) fn clear(&mut self) {
        self.writer.clear();
        self.tokens.clear();
        (self.is_full, self.numbered, self.request) = (false, None, None);
        (self.perhaps_written, self.doomed) = (false, None);
    }

    /// What its records came with, in their order.
    #[must_use]
    pub(crate) fn tokens(&self) -> &[usize] {
        &self.tokens
    }

    /// Its bytes, where they lie.
    #[must_use]
    pub(crate) fn writer(&self) -> &BatchWriter {
        &self.writer
    }

    fn end_sequence(&self) -> Option<i32> {
        self.numbered.map(|(_, base)| sequence_after(base, self.writer.records()))
    }

    /// What became of it if it is not sent any more.
    fn fate(&self, cause: Cause) -> Fate {
        if self.perhaps_written { Fate::Unknown(cause) } else { Fate::Failed(cause) }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// A batch of which it is known what became of it.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The batch.
    pub batch: Batch,
    /// What became of it.
    pub fate: Fate,
}

/// Whether the coordinator has taken a partition into the open transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// It has, or need not be asked.
    Open,
    /// It has not been asked.
    Closed,
    /// It was asked.
    Asked,
}

/// The batches of one partition.
#[derive(Debug)]
pub(crate) struct PartitionQueue {
    partition: i32,
    /// The oldest first; the last one may take more records.
    queue: VecDeque<Batch>,
    producer: Option<ProducerId>,
    next_sequence: i32,
    /// The sequence number behind the last one that was acked.
    acked_end: Option<i32>,
    /// The leader that has acked it.
    acked_by: Option<Leader>,
    in_flight: usize,
    /// The leader that was sent to last.
    leader: Option<Leader>,
    /// That leader has acked something.
    is_warm: bool,
    /// How often a leader that has acked nothing yet has missed something that another one has acked.
    doubts: u8,
    /// A number is missing: the next batch needs another producer id.
    is_broken: bool,
    is_transactional: bool,
    admission: Admission,
    not_before_us: u64,
    pause_us: u64,
}

impl PartitionQueue {
    /// Nothing is to be sent to it.
    #[must_use]
    pub(crate) fn new(partition: i32) -> Self {
        Self {
            partition,
            queue: VecDeque::new(),
            producer: None,
            next_sequence: 0,
            acked_end: None,
            acked_by: None,
            in_flight: 0,
            leader: None,
            is_warm: false,
            doubts: 0,
            is_broken: false,
            is_transactional: false,
            admission: Admission::Open,
            not_before_us: 0,
            pause_us: 0,
        }
    }

    /// Its number.
    #[must_use]
    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// Whether there is nothing on its way.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Batches in flight.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The leader to which what is in flight went.
    #[must_use]
    pub(crate) fn leader_in_flight(&self) -> Option<Leader> {
        self.leader.filter(|_| self.in_flight > 0)
    }

    /// Whether it waits for a producer id.
    #[must_use]
    pub(crate) fn wants_producer(&self) -> bool {
        self.producer.is_none()
    }

    /// What it sends from now on has this producer id, if it has none.
    pub(crate) fn set_producer(&mut self, producer: ProducerId) {
        self.producer.get_or_insert(producer);
    }

    /// A transaction begins, of this producer; nothing of the one before is on its way. Where the coordinator has to take the
    /// partition in first, nothing goes before [`Self::admit`].
    pub(crate) fn begin_transaction(&mut self, producer: ProducerId, is_admitted: bool) {
        if self.producer != Some(producer) {
            // A leader that knows the id takes nothing but the first number in a new epoch.
            self.is_warm &= self.producer.is_some_and(|before| before.id == producer.id);
            self.producer = Some(producer);
            (self.next_sequence, self.acked_end, self.is_broken) = (0, None, false);
        }
        (self.not_before_us, self.pause_us) = (0, 0);
        self.is_transactional = true;
        self.admission = if is_admitted { Admission::Open } else { Admission::Closed };
    }

    /// Whether the coordinator is to be asked now to take it in; once for each transaction.
    pub(crate) fn wants_admission(&mut self) -> bool {
        let is_wanted = self.admission == Admission::Closed && !self.queue.is_empty();
        if is_wanted {
            self.admission = Admission::Asked;
        }
        is_wanted
    }

    /// The coordinator has taken it in.
    pub(crate) fn admit(&mut self) {
        self.admission = Admission::Open;
    }

    /// Appends a record, to a batch of `most_bytes` at the most.
    ///
    /// # Errors
    /// The record alone is larger than that; the batch that was made for it comes back.
    #[inline]
    pub(crate) fn push(
        &mut self,
        record: &NewRecord<'_>,
        token: usize,
        most_bytes: usize,
        new_batch: impl FnOnce() -> Batch,
        now_us: u64,
    ) -> Result<(), Box<Batch>> {
        if let Some(open) = self.queue.back_mut().filter(|batch| !batch.is_full && batch.numbered.is_none()) {
            if open.writer.fits(record, most_bytes) {
                open.writer.push(record);
                open.tokens.push(token);
                return Ok(());
            }
            open.is_full = true;
        }
        let mut batch = new_batch();
        if !batch.writer.fits(record, most_bytes) {
            return Err(Box::new(batch));
        }
        batch.opened_us = now_us;
        batch.writer.push(record);
        batch.tokens.push(token);
        self.queue.push_back(batch);
        Ok(())
    }

    /// The next batch, if it may go to this leader now: its place in the queue.
    #[must_use]
    pub(crate) fn next(&self, leader: Leader, now_us: u64) -> Option<usize> {
        if self.admission != Admission::Open {
            return None;
        }
        let is_same = self.leader == Some(leader);
        if self.in_flight > 0 && !is_same || is_same && now_us < self.not_before_us {
            return None;
        }
        let is_warm = is_same && self.is_warm || !enforced("wire-one-until-acked");
        let most = if is_warm { MOST_IN_FLIGHT } else { 1 };
        let batch = self.queue.get(self.in_flight).filter(|_| self.in_flight < most)?;
        // One before it that is to be sent again goes first, when all that are in flight are answered.
        let is_next = self.queue.iter().take(self.in_flight).all(|before| before.request.is_some())
            || !enforced("wire-retries-first");
        let has_number = batch.numbered.is_some() || self.producer.is_some() && !self.is_broken;
        (is_next && has_number).then_some(self.in_flight)
    }

    /// When a batch has waited for others long enough, µs.
    #[must_use]
    pub(crate) fn due_us(&self, place: usize, linger_us: u64) -> u64 {
        match self.queue.get(place) {
            Some(batch) if batch.is_full || batch.numbered.is_some() || place + 1 < self.queue.len() => 0,
            Some(batch) => batch.opened_us.saturating_add(linger_us),
            None => u64::MAX,
        }
    }

    /// When something may be sent again that is not in flight, µs.
    #[must_use]
    pub(crate) fn not_before_us(&self) -> u64 {
        if self.in_flight < self.queue.len() { self.not_before_us } else { u64::MAX }
    }

    /// A batch's size in bytes.
    #[must_use]
    pub(crate) fn bytes(&self, place: usize) -> usize {
        self.queue.get(place).map_or(0, |batch| batch.writer.bytes())
    }

    /// Packs the batch at this place, unless it has its number already: what is sent again does not change.
    pub(crate) fn pack(&mut self, place: usize, packer: &mut Packer) {
        if let Some(batch) = self.queue.get_mut(place).filter(|batch| batch.numbered.is_none()) {
            batch.writer.pack(packer);
        }
    }

    /// The batch at this place goes out with this request. Returns how many records it has.
    pub(crate) fn start(&mut self, place: usize, request: usize, leader: Leader, shift: &CrcShift) -> usize {
        let Some(batch) = self.queue.get_mut(place) else { return 0 };
        if self.leader != Some(leader) {
            self.leader = Some(leader);
            self.is_warm = false;
        }
        if (batch.numbered.is_none() || !enforced("wire-same-again"))
            && let Some(producer) = self.producer
        {
            let base_sequence = self.next_sequence;
            self.next_sequence = sequence_after(base_sequence, batch.writer.records());
            let ProducerId { id, epoch } = producer;
            let transactional = self.is_transactional;
            batch.writer.seal(BatchProducer { id, epoch, base_sequence, transactional }, shift);
            batch.numbered = Some((producer, base_sequence));
        }
        batch.request = Some(request);
        self.in_flight += 1;
        batch.tokens.len()
    }

    /// The batch that is in flight with this request.
    #[must_use]
    pub(crate) fn of_request(&self, request: usize) -> Option<&Batch> {
        self.queue.iter().find(|batch| batch.request == Some(request))
    }

    /// Takes in what a broker answered for the batch of a request.
    pub(crate) fn answered(
        &mut self,
        request: usize,
        (error, base_offset): (i16, i64),
        now_us: u64,
        settled: &mut impl FnMut(Settled),
    ) {
        let Some(place) = self.land(request) else { return };
        let batch = &mut self.queue[place];
        // Another leader may have lost what it knew of the producer, and the batch with that.
        let has_it_acked = self.acked_by == self.leader || !enforced("wire-acked-by-whom");
        let is_below_acked = match (batch.end_sequence(), self.acked_end) {
            (Some(end), Some(acked)) => has_it_acked && is_before(end, acked),
            _ => false,
        };
        // Where what was before it has failed, that is what is missing.
        let is_first = place == 0 && batch.doomed.is_none();
        let is_doubtful = !self.is_warm && self.acked_end.is_some() && self.doubts < MOST_DOUBTS;
        let verdict = Verdict::of(error, Standing { is_first, is_below_acked, is_doubtful });
        self.doubts += u8::from(is_doubtful && is_first && error == code::OUT_OF_ORDER_SEQUENCE_NUMBER);
        batch.perhaps_written |= matches!(verdict, Verdict::AgainPerhapsWritten | Verdict::Unknown)
            && enforced("wire-timed-out-is-unknown");
        match (verdict, batch.doomed) {
            (Verdict::Acked, _) if base_offset >= 0 => {
                self.acked(place, Fate::Acked { base_offset }, settled);
            }
            (Verdict::Acked | Verdict::AckedNoOffset, _) => {
                self.acked(place, Fate::AckedNoOffset, settled);
            }
            (_, Some(cause)) => self.drop_one(place, cause, settled),
            (Verdict::Again, None) if error == code::CONCURRENT_TRANSACTIONS => {
                self.pause(place, MARKER_PAUSES_US, now_us);
            }
            (Verdict::Again | Verdict::AgainPerhapsWritten, None) => {
                self.pause(place, (SHORTEST_PAUSE_US, LONGEST_PAUSE_US), now_us);
            }
            (Verdict::Refused | Verdict::Unknown, None) => self.fail(place, Cause::Broker(error), settled),
        }
        self.renew_if_broken();
    }

    /// There will be no answer for the batch of a request. `began`: the request may have reached the broker.
    pub(crate) fn lost(
        &mut self,
        request: usize,
        began: bool,
        now_us: u64,
        settled: &mut impl FnMut(Settled),
    ) {
        let Some(place) = self.land(request) else { return };
        // On another connection it begins as if with another leader: one goes alone.
        self.is_warm = false;
        self.queue[place].perhaps_written |= began && enforced("wire-lost-is-unknown");
        match self.queue[place].doomed {
            Some(cause) => self.drop_one(place, cause, settled),
            // How long a connection is waited for is the connection's business.
            None => self.not_before_us = now_us,
        }
        self.renew_if_broken();
    }

    /// Gives up on everything that is on its way, for this cause.
    pub(crate) fn give_up(&mut self, cause: Cause, settled: &mut impl FnMut(Settled)) {
        for mut batch in self.queue.drain(..) {
            batch.perhaps_written |= batch.request.is_some();
            self.is_broken |= batch.numbered.is_some();
            let fate = batch.fate(cause);
            settled(Settled { batch, fate });
        }
        self.in_flight = 0;
        self.renew_if_broken();
    }

    /// Gives up on everything that is not in flight, for this cause. What is gets no other attempt.
    pub(crate) fn let_go(&mut self, cause: Cause, settled: &mut impl FnMut(Settled)) {
        let mut place = 0;
        while let Some(batch) = self.queue.get_mut(place) {
            if batch.request.is_some() {
                batch.doomed.get_or_insert(cause);
                place += 1;
            } else {
                self.drop_one(place, cause, settled);
            }
        }
        self.renew_if_broken();
    }

    /// The batch of a request is not in flight any more. Returns its place.
    fn land(&mut self, request: usize) -> Option<usize> {
        let place = self.queue.iter().position(|batch| batch.request == Some(request))?;
        self.queue[place].request = None;
        self.in_flight -= 1;
        Some(place)
    }

    fn acked(&mut self, place: usize, fate: Fate, settled: &mut impl FnMut(Settled)) {
        let Some(batch) = self.queue.remove(place) else { return };
        let end = batch.end_sequence();
        if self.acked_end.is_none_or(|acked| end.is_some_and(|end| is_before(acked, end))) {
            (self.acked_end, self.acked_by) = (end, self.leader);
        }
        (self.is_warm, self.pause_us, self.not_before_us) = (true, 0, 0);
        self.doubts = 0;
        settled(Settled { batch, fate });
    }

    fn pause(&mut self, place: usize, (shortest_us, longest_us): (u64, u64), now_us: u64) {
        // One behind another only follows it.
        if place == 0 {
            self.pause_us = self.pause_us.clamp(shortest_us, longest_us);
            self.not_before_us = now_us + self.pause_us;
            self.pause_us = (self.pause_us * 2).min(longest_us);
        }
    }

    /// A batch will not be sent again. What is behind it fails with it: nothing overtakes a record that its sender may
    /// want to send once more, and whoever counts on places in the log need not learn one by one that they are others.
    fn fail(&mut self, place: usize, cause: Cause, settled: &mut impl FnMut(Settled)) {
        self.drop_one(place, cause, settled);
        let mut index = place;
        while let Some(behind) = self.queue.get_mut(index) {
            if behind.request.is_some() {
                behind.doomed = Some(cause);
                index += 1;
            } else {
                self.drop_one(index, cause, settled);
            }
        }
    }

    fn drop_one(&mut self, place: usize, cause: Cause, settled: &mut impl FnMut(Settled)) {
        if let Some(batch) = self.queue.remove(place) {
            self.is_broken |= batch.numbered.is_some();
            let fate = batch.fate(cause);
            settled(Settled { batch, fate });
        }
    }

    /// Once nothing is left that has a number of the old producer's, another one is wanted.
    fn renew_if_broken(&mut self) {
        if self.is_broken
            && enforced("wire-new-producer")
            && self.queue.iter().all(|batch| batch.numbered.is_none())
        {
            self.producer = None;
            (self.next_sequence, self.acked_end) = (0, None);
            (self.is_broken, self.is_warm, self.doubts) = (false, false, 0);
        }
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
