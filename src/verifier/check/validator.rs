//! What a record that was read proves.
//!
//! Pure. The order of the checks is the contract's: leader epoch, offset, first
//! header, ledger. It is the same for every kind of reader.

use range_set_blaze::RangeSetBlaze;

pub(crate) use super::broken::Broken;
use super::{
    broken::{aborted_read, corrupt, epoch_back, nonmonotonic, wrong_offset},
    order::{Order, OutOfOrder},
};
use crate::{
    findings::anomaly::{Anomaly, Evidence, Neighbour, Producer, Writer},
    ledger::PartitionLedger,
    mutants::enforced,
    record::{
        self, ABORTED_PREFIX, RECORD_ID_HEADER, RecordView,
        proof::{self, Content, Proof, Second, Written},
    },
};

/// Which records a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All of them.
    All,
    /// Those without a transaction, and those whose transaction was committed.
    Committed,
}

/// What a reader holds its records to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What it is shown.
    pub visible: Visible,
    /// Proof headers are checked.
    pub proof_header: bool,
    /// Transactions must be whole: nothing in them may have been compacted, or lost with permission.
    pub whole_transactions: bool,
    /// The reader waits for more: a ledger that lists nothing yet may still come to list what is read.
    pub ledger_grows: bool,
}

/// What a sound record turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It names the offset at which it lies.
    Valid,
    /// It does not, but nobody was promised that it would: it is not in the ledger.
    OutOfScope,
    /// Its number was read before, and the ledger lists neither place, as it was when the pass began.
    SentAgain(Box<SentAgain>),
}

/// A record that is there twice: a client may have sent it again by itself, of which it knew no ack. Whose doing it is only
/// the ledger can tell, when it is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAgain {
    /// Where it was read before.
    pub before: i64,
    /// It names the offset at which it lies.
    pub valid: bool,
    /// What it is, if one of its places was acked.
    pub accusation: Broken,
}

/// What is remembered of a partition between two of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionState {
    last: Option<Last>,
    order: Order,
    /// The last record broke a promise.
    broke: bool,
    /// Where the log was truncated: from there on the ledger tells of records that are gone.
    truncated_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    offset: i64,
    /// The reader has jumped since: whatever comes next is in order.
    jumped: bool,
    leader_epoch: i32,
}

impl PartitionState {
    /// Of a reader that begins at this offset. From 0 on nothing has been before: neither retention has taken
    /// anything yet, nor has anybody else read it.
    #[must_use]
    pub fn from(offset: i64) -> Self {
        let order = if offset == 0 { Order::of_all() } else { Order::default() };
        Self { order, ..Self::default() }
    }

    /// Checks the next record of the partition, and reports whether its offset
    /// jumped forward over others.
    ///
    /// # Errors
    /// The promise that it breaks. The state then stands on this record, so that
    /// a reader that goes on reports the next fault and not this one again.
    pub fn check(
        &mut self,
        record: &RecordView<'_>,
        ledger: Option<&PartitionLedger>,
        rules: Rules,
    ) -> Result<(Checked, bool), Box<Broken>> {
        if self.takes_fast_path(record, rules) {
            return Ok((Checked::Valid, false));
        }
        self.check_closely(record, ledger, rules)
    }

    /// What nearly every record is: the one behind the last in each respect, and as it was sent. Then this stands
    /// on it, at a part of what the checks cost; if not, nothing has changed, and they say what it is.
    #[inline]
    fn takes_fast_path(&mut self, record: &RecordView<'_>, rules: Rules) -> bool {
        let Some(last) = &mut self.last else { return false };
        if last.jumped || record.offset != last.offset + 1 || record.leader_epoch != last.leader_epoch {
            return false;
        }
        // Looked at first: records of transactions go the long way, and need not be half checked before.
        let header = match record.second_header.filter(|_| rules.proof_header) {
            Some((name, value)) => match proof::second(name, value) {
                Second::Proof(header @ (Written::Short(_) | Written::Timed(_))) => Some(header),
                _ => return false,
            },
            None => None,
        };
        let Some(id) = own_id(record) else { return false };
        if let Some(header) = header {
            let proof = header.decode();
            let content = Content::named(record.key, proof::digest_of(record.value), id, record.offset);
            if !is_same_time(&proof, record)
                || !header.is_true(&content)
                || !self.order.takes_fast_path(record.offset, proof.run, proof.sequence)
            {
                return false;
            }
        }
        last.offset = record.offset;
        true
    }

    fn check_closely(
        &mut self,
        record: &RecordView<'_>,
        ledger: Option<&PartitionLedger>,
        rules: Rules,
    ) -> Result<(Checked, bool), Box<Broken>> {
        let ledger = ledger.filter(|_| !self.is_truncated(record.offset));
        let before = (self.last, self.order.last());
        // Whoever wrote the record: no client writes such headers. What else was read of it is not to be believed either.
        if !record.has_sound_headers && enforced("corrupt-structure") {
            self.order.pass_over();
            let evidence = evidence(record, &Proven::Absent, before, ledger);
            return Err(Box::new(Broken { evidence, ..corrupt(record, None) }));
        }
        let proof = Proven::of(record, rules);
        let mut held = self.hold(record, &proof, ledger, rules);
        let accusation = match &mut held {
            Ok((Checked::SentAgain(again), _)) => Some(&mut again.accusation),
            Ok(_) => None,
            Err(broken) => Some(&mut **broken),
        };
        if let Some(broken) = accusation.filter(|broken| broken.offset == record.offset) {
            broken.evidence = evidence(record, &proof, before, ledger);
        }
        held
    }

    /// The offset behind the last record; 0 before there was one.
    pub(crate) fn next_offset(&self) -> i64 {
        self.last.map_or(0, |last| last.offset + 1)
    }

    /// Runs that wrote what was read, by their proof headers, and where it lies, as far as that is remembered.
    pub(crate) fn runs(&self) -> Vec<(u64, RangeSetBlaze<i64>)> {
        self.order.runs()
    }

    /// Notes that the record which was checked last broke a promise.
    pub(crate) fn note_broken(&mut self) {
        self.broke = true;
    }

    /// Whether the last record broke a promise: true once, before the next one is checked.
    pub(crate) fn take_broken(&mut self) -> bool {
        std::mem::take(&mut self.broke)
    }

    fn hold(
        &mut self,
        record: &RecordView<'_>,
        proof: &Proven<'_>,
        ledger: Option<&PartitionLedger>,
        rules: Rules,
    ) -> Result<(Checked, bool), Box<Broken>> {
        let (place, order) = (self.place(record), self.order(record, proof, rules));
        let last_offset = place?;
        // A record whose bytes have changed cannot be held to what it says.
        if let Proven::Changed(header) = *proof {
            return Err(Box::new(corrupt(record, header)));
        }
        let mut checked = check_id(record, ledger, rules.visible)?;
        if let Err(error) = order {
            let Some(before) = place_of_resend(&error, ledger, rules) else {
                return Err(Box::new((*error).into()));
            };
            let valid = checked == Checked::Valid;
            checked = Checked::SentAgain(Box::new(SentAgain { before, valid, accusation: (*error).into() }));
        }
        let gap = last_offset.is_some_and(|last_offset| {
            record.offset != last_offset + 1
                && (rules.visible == Visible::All || promised_between(ledger, last_offset, record.offset))
                && enforced("gap")
        });
        Ok((checked, gap))
    }

    /// Epoch and offset only go up. Returns the offset of the record before, where there is one.
    fn place(&mut self, record: &RecordView<'_>) -> Result<Option<i64>, Box<Broken>> {
        let here = Last { offset: record.offset, jumped: false, leader_epoch: record.leader_epoch };
        let Some(last) = self.last.replace(here) else { return Ok(None) };
        let is_above = record.offset > last.offset;
        if !last.jumped && !is_above {
            // Numbers start over with the offsets.
            self.order.restart();
        }
        // Behind a jump to an older part of the log, an older epoch is as it should be.
        let is_ordered = is_above || !last.jumped;
        let is_older = record.leader_epoch < last.leader_epoch && record.leader_epoch >= 0;
        if is_ordered && is_older && enforced("epoch-back") {
            return Err(Box::new(epoch_back(record, last.leader_epoch)));
        }
        if last.jumped {
            return Ok(None);
        }
        if !is_above && enforced("nonmonotonic") {
            return Err(Box::new(nonmonotonic(record, last.offset)));
        }
        Ok(Some(last.offset))
    }

    /// What the numbers in the proof header say, also of a record that breaks another promise:
    /// the next one is held against it.
    fn order(
        &mut self,
        record: &RecordView<'_>,
        proof: &Proven<'_>,
        rules: Rules,
    ) -> Result<(), Box<OutOfOrder>> {
        match proof {
            Proven::Absent => Ok(()),
            Proven::Changed(_) => {
                self.order.pass_over();
                Ok(())
            }
            Proven::True(proof) => self.order.take(record.offset, proof, rules.whole_transactions),
        }
    }

    /// Everything has been read: what is still missing in a transaction will not come.
    pub fn finish(&mut self) -> Option<Box<Broken>> {
        self.order.finish().map(|error| Box::new((*error).into()))
    }

    /// Forgets the place but not the epoch: the reader is about to jump.
    pub fn reposition(&mut self) {
        self.order.restart();
        if let Some(last) = &mut self.last {
            last.jumped = true;
        }
    }

    /// Whether the log was truncated at or below this offset while it was read.
    #[must_use]
    pub fn is_truncated(&self, offset: i64) -> bool {
        self.truncated_at.is_some_and(|truncation| truncation <= offset)
    }

    /// The log was truncated here, and what follows is new.
    pub fn truncate(&mut self, offset: i64) {
        self.reposition();
        self.truncated_at = Some(self.truncated_at.map_or(offset, |truncation| truncation.min(offset)));
    }
}

/// What a record's proof header is worth.
enum Proven<'a> {
    /// There is none, or none that is to be checked.
    Absent,
    /// The record is as it was sent.
    True(Proof),
    /// It is not; the header, if that is left.
    Changed(Option<Written<'a>>),
}

impl<'a> Proven<'a> {
    fn of(record: &RecordView<'a>, rules: Rules) -> Self {
        let Some((name, value)) = record.second_header.filter(|_| rules.proof_header) else {
            return Self::Absent;
        };
        match proof::second(name, value) {
            Second::Damaged | Second::Misnamed(_) if !enforced("corrupt-header") => Self::Absent,
            Second::Damaged => Self::Changed(None),
            Second::Misnamed(header) if header.is_true(&content(record)) => Self::Changed(None),
            Second::Misnamed(_) | Second::Unknown => Self::Absent,
            Second::Proof(header) => {
                let proof = header.decode();
                let same_time = !enforced("corrupt-timestamp") || is_same_time(&proof, record);
                let unaltered = !enforced("corrupt-digest") || header.is_true(&content(record));
                if same_time && unaltered { Self::True(proof) } else { Self::Changed(Some(header)) }
            }
        }
    }
}

/// Whether the record has the timestamp that it was sent with, as far as both are known.
#[inline]
fn is_same_time(proof: &Proof, record: &RecordView<'_>) -> bool {
    proof.timestamp_ms.is_none() || record.sent_ms.is_none() || proof.timestamp_ms == record.sent_ms
}

pub(crate) fn content(record: &RecordView<'_>) -> Content {
    Content::new(record.key, proof::digest_of(record.value), record.first_header.unwrap_or_default())
}

/// What is known of the place of a record that breaks a promise.
#[cold]
fn evidence(
    record: &RecordView<'_>,
    proof: &Proven<'_>,
    (last, last_number): (Option<Last>, Option<(u64, u64)>),
    ledger: Option<&PartitionLedger>,
) -> Evidence {
    let proof = match *proof {
        Proven::True(proof) => Some(proof),
        Proven::Changed(header) => header.map(Written::decode),
        Proven::Absent => None,
    };
    let previous = last.filter(|last| !last.jumped).map(|last| {
        let written_by = last_number.map(|(run, sequence)| Writer::new(run, sequence, None));
        Neighbour { offset: last.offset, leader_epoch: last.leader_epoch, written_by }
    });
    Evidence {
        next: None,
        leader_epoch: Some(record.leader_epoch).filter(|epoch| *epoch >= 0),
        acked_here: ledger.map(|ledger| ledger.contains(record.offset)),
        written_by: proof.map(writer),
        producer: record.batch.map(|batch| Producer {
            id: batch.producer_id,
            epoch: batch.producer_epoch,
            sequence: batch.sequence_of(record.offset),
        }),
        previous,
        missing: Vec::new(),
        records: None,
    }
}

fn writer(proof: Proof) -> Writer {
    Writer::new(proof.run, proof.sequence, proof.transaction.map(|place| place.index))
}

/// Whether this record's headers say that it was written in a transaction.
#[cold]
pub(crate) fn is_in_transaction(record: &RecordView<'_>) -> bool {
    let of_one_to_abort = record
        .first_header
        .is_some_and(|(name, id)| name == RECORD_ID_HEADER.as_bytes() && id.starts_with(ABORTED_PREFIX));
    of_one_to_abort
        || record.second_header.is_some_and(|(name, value)| match proof::second(name, value) {
            Second::Proof(header) => header.decode().transaction.is_some(),
            Second::Unknown | Second::Misnamed(_) | Second::Damaged => false,
        })
}

/// What a neighbour of this record is told of it.
#[cold]
pub(crate) fn neighbour(record: &RecordView<'_>) -> Neighbour {
    let proof = record.second_header.and_then(|(name, value)| match proof::second(name, value) {
        Second::Proof(header) => Some(header.decode()),
        Second::Unknown | Second::Misnamed(_) | Second::Damaged => None,
    });
    let written_by = proof.map(writer);
    Neighbour { offset: record.offset, leader_epoch: record.leader_epoch, written_by }
}

/// The first header's value, if it names the offset at which the record lies.
#[inline]
fn own_id<'a>(record: &RecordView<'a>) -> Option<&'a [u8]> {
    let (name, id) = record.first_header?;
    (name == RECORD_ID_HEADER.as_bytes() && record::parse_record_id(id) == Some(record.offset)).then_some(id)
}

/// The first header must name this very offset.
fn check_id(
    record: &RecordView<'_>,
    ledger: Option<&PartitionLedger>,
    visible: Visible,
) -> Result<Checked, Box<Broken>> {
    if own_id(record).is_some() {
        return Ok(Checked::Valid);
    }
    if visible == Visible::Committed
        && let Some((name, id)) = record.first_header
        && name == RECORD_ID_HEADER.as_bytes()
        && id.starts_with(ABORTED_PREFIX)
        && enforced("aborted-read")
    {
        return Err(Box::new(aborted_read(record, id)));
    }
    if ledger.is_some_and(|ledger| ledger.contains(record.offset)) && enforced("wrong-offset") {
        return Err(Box::new(wrong_offset(record)));
    }
    Ok(Checked::OutOfScope)
}

/// Where a number was read before, if the ledger lists neither that place nor this one: no ack was ever seen for it, and a
/// client that did not see one may send a record again by itself. A ledger that lists nothing, and will not come to, has no
/// word in that.
#[cold]
fn place_of_resend(error: &OutOfOrder, ledger: Option<&PartitionLedger>, rules: Rules) -> Option<i64> {
    let ledger = ledger.filter(|ledger| ledger.highest().is_some() || rules.ledger_grows)?;
    let before = error.before.filter(|_| error.anomaly == Anomaly::Duplicate)?;
    let is_promised = ledger.contains(before) || ledger.contains(error.offset);
    (!is_promised && enforced("client-resend")).then_some(before)
}

/// Between records of transactions lie markers, and what was aborted: only an offset that was acked leaves a gap.
#[cold]
fn promised_between(ledger: Option<&PartitionLedger>, last_offset: i64, offset: i64) -> bool {
    let promised = ledger.is_some_and(|ledger| ledger.contains_any(last_offset + 1, offset));
    promised && enforced("gap-between-transactions")
}

#[cfg(test)]
#[path = "validator_tests.rs"]
mod tests;
