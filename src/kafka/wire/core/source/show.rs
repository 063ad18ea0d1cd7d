//! Showing what has come: batch by batch, each checked before its first record is shown.

mod behind;

use std::ops::Range;

use self::behind::{Behind, behind};
use super::{
    ReadRecord, Source, SourceEvent, SourceSettings, TurnKey, Visitor, aborted,
    markers::{Contradiction, Markers},
    position::{Position, Stage},
    search::Search,
};
use crate::{
    kafka::wire::{
        batch::{Batch, BatchError, Batches, Marker, RecordRef, Records, RecordsPlace, Unpacker},
        protocol::AbortedTransaction,
    },
    mutants::enforced,
    partitions::PartitionSlot,
    record::headers,
};

/// A batch that was checked and is being shown, in steps where that is asked for.
#[derive(Clone, Copy, Debug)]
struct Open {
    place: RecordsPlace,
    /// Behind the last record that could be taken apart.
    behind: i64,
    /// Where there is a record that cannot be taken apart, and nothing behind it yet that can.
    malformed: Option<i64>,
    /// So many of its records are sound, and nobody knows where the next one begins.
    sound: Option<i32>,
    shown: usize,
}

/// An answer whose parts wait to be shown, or an event that waits behind what came before.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Whose request it answers; `None`: nobody's, it is ours.
    pub(super) turn: Option<TurnKey>,
    /// The answer.
    pub(super) bytes: Vec<u8>,
    pub(super) sections: Vec<Section>,
    /// The section that is shown next.
    next: usize,
    /// What the broker says of aborted transactions, for all sections.
    aborted: Vec<AbortedTransaction>,
}

impl Arrived {
    /// As good as new, but for the buffers.
    pub(super) fn begin(&mut self, turn: Option<TurnKey>) {
        self.turn = turn;
        self.sections.clear();
        self.next = 0;
        self.aborted.clear();
    }

    /// Whose it is, where there are seats: all of an answer is one's.
    pub(super) fn seat(&self) -> Option<usize> {
        self.sections.first().map(|section| section.index)
    }

    pub(super) fn note_aborted(&mut self, all: impl Iterator<Item = AbortedTransaction>) -> Range<usize> {
        aborted::note(&mut self.aborted, all)
    }

    pub(super) fn tell(&mut self, index: usize, generation: u32, content: Content) {
        self.sections.push(Section {
            index,
            generation,
            at: 0,
            is_first: false,
            is_wide: false,
            end: 0,
            new_end: None,
            resumes: false,
            content,
        });
    }
}

/// What came of one partition.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The partition's place.
    pub(super) index: usize,
    /// Shown only while the partition has not jumped since.
    pub(super) generation: u32,
    /// What lies below has been shown, or was not asked for.
    pub(super) at: i64,
    /// Nothing of it has been shown: its first batch may begin below what was asked for.
    pub(super) is_first: bool,
    /// Whether the room was as large as shows what lies behind the first batch, if there is something.
    pub(super) is_wide: bool,
    /// The log's end, as far as the reader may see.
    pub(super) end: i64,
    /// That end, where it reaches it and it is to be told.
    pub(super) new_end: Option<i64>,
    /// Whether the partition waits until it has been shown.
    pub(super) resumes: bool,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Batches, at these bytes of the answer, half-open, and their aborted transactions.
    Batches {
        from: usize,
        to: usize,
        aborted: Range<usize>,
    },
    /// From here on, and up to there, if that is known.
    Unreadable {
        from: i64,
        to: Option<i64>,
        cause: &'static str,
    },
    OutOfRange,
    Truncated {
        to: i64,
    },
    StartBack {
        from: i64,
        to: i64,
    },
    Error(i16),
}

impl Content {
    /// Nobody knows up to where.
    pub(super) fn unreadable(from: i64, cause: &'static str) -> Self {
        Self::Unreadable { from, to: None, cause }
    }
}

/// A batch of which something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bad {
    cause: String,
    extent: Extent,
}

/// What cannot be read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// From here up to there: the batch fits its checksum, and what it says of its offsets is true.
    Sure { from: i64, to: i64 },
    /// All, and what it says of its offsets may be wrong, too: from `base` on, it says, up to `to`.
    Unsure { base: i64, to: i64, bytes: usize },
    /// Nobody knows where the next one begins.
    Endless,
}

/// What is known of transactions where a batch lies.
struct Told<'a> {
    /// The broker's list of those that were aborted.
    aborted: &'a mut [AbortedTransaction],
    /// What the log says.
    markers: &'a mut Markers,
}

/// Checks batches, and shows their records.
#[derive(Debug)]
pub(super) struct Shower {
    unpacker: Unpacker,
    read_committed: bool,
    /// So many records are shown at once.
    step_records: usize,
    /// So many are shown now.
    limit: usize,
    /// The batch that was shown last, if there is more of it.
    open: Option<Open>,
}

impl Shower {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let &SourceSettings { unpacked_most_bytes, read_committed, step_records, .. } = settings;
        Self {
            unpacker: Unpacker::new(unpacked_most_bytes),
            read_committed,
            step_records,
            limit: step_records,
            open: None,
        }
    }

    /// Shows a batch from offset `at` on, or the next part of it: that goes on as long as [`Self::open`] says so. Returns
    /// how many records that were.
    fn show(
        &mut self,
        batch: &Batch<'_>,
        (slot, at): (PartitionSlot, i64),
        told: Told<'_>,
        visitor: &mut impl Visitor,
    ) -> Result<usize, Bad> {
        let open = match self.open.take() {
            Some(open) => Some(open),
            None => self.begin(batch, (slot, at), told, visitor)?,
        };
        Ok(open.map_or(0, |open| self.go_on(batch, (slot, at), open, visitor)))
    }

    /// Checks a batch. `None`: it has no records that are to be shown, which was told.
    fn begin(
        &mut self,
        batch: &Batch<'_>,
        (slot, at): (PartitionSlot, i64),
        mut told: Told<'_>,
        visitor: &mut impl Visitor,
    ) -> Result<Option<Open>, Bad> {
        let next_offset = batch.next_offset();
        if !batch.fits_its_checksum() && enforced("wire-checksum") {
            let extent =
                Extent::Unsure { base: batch.base_offset(), to: next_offset, bytes: batch.bytes().len() };
            return Err(Bad { cause: "a batch that does not fit its checksum".to_owned(), extent });
        }
        let sure = Extent::Sure { from: batch.base_offset().max(at), to: next_offset };
        let whole = |cause: String| Bad { cause, extent: sure };
        let is_aborted = self.read_committed
            && batch.is_transactional()
            && aborted::contains(told.aborted, batch.producer_id(), batch.base_offset());
        if self.read_committed {
            told.markers.pass(batch.base_offset(), next_offset);
            if batch.is_control() {
                self.pass_marker(batch, slot, &mut told, visitor).map_err(whole)?;
            } else if batch.is_transactional() && batch.count() > 0 {
                told.markers.see(batch.producer_id(), batch.base_offset(), is_aborted);
            }
        }
        if batch.is_control() || is_aborted {
            visitor.event(slot, SourceEvent::Progress { next_offset });
            return Ok(None);
        }
        let payload = self.unpacker.unpack(batch).map_err(|error| whole(error.to_string()))?;
        let records = batch.records(payload);
        let sound = match records.check_lengths() {
            Ok(()) => None,
            Err(error) => {
                Some(sound(batch, records.clone()).ok_or_else(|| whole(format!("{MALFORMED}: {error}")))?)
            }
        };
        let behind = at.max(batch.base_offset());
        Ok(Some(Open { place: records.place(), behind, malformed: None, sound, shown: 0 }))
    }

    /// Shows records of a batch that was checked, from a place on.
    fn go_on(
        &mut self,
        batch: &Batch<'_>,
        (slot, at): (PartitionSlot, i64),
        open: Open,
        visitor: &mut impl Visitor,
    ) -> usize {
        let Open { place, mut behind, mut malformed, sound, shown: shown_before } = open;
        let mut records = batch.records(self.unpacker.unpacked(batch)).resume(place);
        let mut shown = 0;
        let (leader_epoch, has_broker_time) = (batch.leader_epoch(), batch.has_broker_time());
        let produced = batch.produced();
        let most = sound.unwrap_or(i32::MAX);
        while shown < self.limit && records.passed() < most {
            let Some(record) = records.next() else { break };
            let Ok(RecordRef { offset, timestamp_ms, key, value, headers }) = record else {
                malformed.get_or_insert(behind);
                continue;
            };
            if offset >= at {
                if let Some(from) = malformed.take() {
                    tell_malformed(slot, from..offset, visitor);
                }
                let sent_ms = (!has_broker_time && timestamp_ms >= 0).then_some(timestamp_ms);
                let batch = produced.as_ref();
                let read = ReadRecord { offset, leader_epoch, sent_ms, key, value, headers, batch };
                visitor.record(slot, &read);
                shown += 1;
            }
            behind = offset.saturating_add(1);
        }
        let (next_offset, all_shown) = (batch.next_offset(), shown_before + shown);
        if records.passed() >= most {
            tell_malformed(slot, malformed.unwrap_or(behind)..next_offset, visitor);
        } else if !records.is_over() {
            self.open = Some(Open { place: records.place(), behind, malformed, sound, shown: all_shown });
        } else if let Some(from) = malformed {
            tell_malformed(slot, from..next_offset, visitor);
        } else if behind < next_offset || all_shown == 0 {
            // Compaction may have taken the last ones.
            visitor.event(slot, SourceEvent::Progress { next_offset });
        }
        shown
    }

    /// A marker says that its producer's transaction is over.
    fn pass_marker(
        &mut self,
        batch: &Batch<'_>,
        slot: PartitionSlot,
        told: &mut Told<'_>,
        visitor: &mut impl Visitor,
    ) -> Result<(), String> {
        let payload = self.unpacker.unpack(batch).map_err(|error| error.to_string())?;
        for record in batch.records(payload) {
            let record = record.map_err(|error| error.to_string())?;
            let Some(marker) = record.marker() else { continue };
            if marker == Marker::Abort {
                aborted::end(told.aborted, batch.producer_id(), record.offset);
            }
            if let Some(Contradiction { kind, first }) = told.markers.end(batch.producer_id(), marker) {
                visitor.event(slot, SourceEvent::FalseAbort { kind, first, marker: record.offset });
            }
        }
        Ok(())
    }
}

/// How many records of a batch are sound, up to one behind which nobody knows where the next begins. Of what was written there
/// instead nothing is believed. `None`: the first is not, or all are, and it is the batch's count that lies.
#[cold]
fn sound(batch: &Batch<'_>, records: Records<'_>) -> Option<i32> {
    let (mut count, mut behind) = (0, batch.base_offset());
    for record in records {
        let Ok(record) = record else { break };
        let is_next = (behind..batch.next_offset()).contains(&record.offset);
        if !is_next || headers::first_two(record.headers).is_none() {
            break;
        }
        (count, behind) = (count + 1, record.offset + 1);
    }
    (count > 0 && count < batch.count() && behind < batch.next_offset()).then_some(count)
}

/// Records that cannot be taken apart, in a batch that fits its checksum.
#[cold]
fn tell_malformed(slot: PartitionSlot, range: Range<i64>, visitor: &mut impl Visitor) {
    let Range { start: from, end } = range;
    let to = Some(end.max(from.saturating_add(1)));
    visitor.event(slot, SourceEvent::Unreadable { from, to, cause: MALFORMED });
}

/// What is wrong with a record that cannot be taken apart.
const MALFORMED: &str = "a record that cannot be taken apart";

impl Source {
    /// As [`Self::show`], of so many records at the most.
    pub(crate) fn show_at_most(&mut self, limit: usize, visitor: &mut impl Visitor) -> usize {
        self.shower.limit = limit.clamp(1, self.shower.step_records.max(1));
        let shown = self.show(visitor);
        self.shower.limit = self.shower.step_records;
        shown
    }

    /// Shows what has come: a batch, or as much of it as is to be shown at once, or an event, at the most. Returns how many
    /// records and events that were; 0: there is nothing to show.
    pub(crate) fn show(&mut self, visitor: &mut impl Visitor) -> usize {
        while !self.arrived.is_empty() {
            if let Some(shown) = self.show_first(visitor) {
                return shown;
            }
        }
        0
    }

    /// The same, of what has come for a seat.
    pub(crate) fn show_at(&mut self, seat: usize, visitor: &mut impl Visitor) -> usize {
        while let Some(place) = self.arrived_at(seat) {
            // The others keep their order.
            if let Some(arrived) = self.arrived.remove(place) {
                self.arrived.push_front(arrived);
            }
            if let Some(shown) = self.show_first(visitor) {
                return shown;
            }
        }
        0
    }

    /// Shows something of what came first. `None`: there is no more of it.
    fn show_first(&mut self, visitor: &mut impl Visitor) -> Option<usize> {
        loop {
            let arrived = self.arrived.front_mut()?;
            let Some(section) = arrived.sections.get_mut(arrived.next) else {
                self.retire(0);
                return None;
            };
            let position = &mut self.positions[section.index];
            if section.generation != position.generation && enforced("wire-overtaken") {
                arrived.next += 1;
                self.shower.open = None;
                continue;
            }
            let Content::Batches { from, to, aborted: ref list } = section.content else {
                arrived.next += 1;
                tell(position, &section.content, visitor);
                self.is_unsettled = true;
                return Some(1);
            };
            let mut batches = Batches::new(&arrived.bytes[from..to]);
            let Some(batch) = batches.next() else {
                arrived.next += 1;
                self.is_unsettled |= section.resumes;
                if is_end_news(position, section, visitor) {
                    return Some(1);
                }
                continue;
            };
            let rest = batches.rest();
            let outcome = match batch {
                Ok(batch) => {
                    let place = (position.slot, section.shows_from(&batch));
                    let aborted = &mut arrived.aborted[list.clone()];
                    let told = Told { aborted, markers: &mut position.markers };
                    let shown = self.shower.show(&batch, place, told, visitor);
                    let next_offset = batch.next_offset();
                    shown.map(|shown| (shown, next_offset)).map_err(|bad| (bad, next_offset))
                }
                Err(error) => Err((bad(error), section.at)),
            };
            let next_from = to - rest.len();
            match outcome {
                Ok((shown, next_offset)) => {
                    if self.shower.open.is_none() {
                        section.pass(next_from, next_offset);
                    }
                    return Some(shown.max(1));
                }
                Err((bad, next_offset)) => {
                    let told = stumble(position, section, (bad, rest), visitor);
                    section.pass(next_from, next_offset);
                    self.is_unsettled = true;
                    if told {
                        return Some(1);
                    }
                }
            }
        }
    }

    /// What was shown as a whole, or is not to be shown, makes room for the next answer of its turn.
    pub(super) fn retire(&mut self, place: usize) {
        let Some(arrived) = self.arrived.remove(place) else { return };
        if let Some(turn) = self.turns.iter_mut().find(|turn| Some(turn.key) == arrived.turn) {
            turn.held -= 1;
        }
        self.recycle(arrived);
    }

    /// Its buffers are used again, unless one large batch has blown them up.
    pub(super) fn recycle(&mut self, mut arrived: Arrived) {
        let usual = usize::try_from(self.settings.max_bytes).unwrap_or(0).saturating_mul(2);
        // Whoever wants one record asks for little, and gets a batch.
        let (most, usual) = if self.has_seats {
            (self.settings.requests_at_once, usual.max(SEAT_BYTES))
        } else {
            ((self.settings.requests_at_once + 1) * self.turns.len() + 1, usual)
        };
        if arrived.bytes.capacity() > usual {
            arrived.bytes = Vec::new();
        }
        if self.spare.len() < most {
            self.spare.push(arrived);
        }
    }
}

/// A buffer of so many bytes is kept for what seats are shown.
const SEAT_BYTES: usize = 2 << 20;

impl Section {
    /// From which offset on a batch's records are shown. Only the first one may begin below what was asked for, and reach
    /// up to it; any other that lies below is what a broker has no reason to send, and whoever checks records sees it.
    fn shows_from(&self, batch: &Batch<'_>) -> i64 {
        let skips = self.is_first && batch.next_offset() > self.at && enforced("wire-skips-below");
        if skips { self.at } else { i64::MIN }
    }

    /// A batch has been shown: the next one begins at this byte, behind this offset.
    fn pass(&mut self, byte: usize, next_offset: i64) {
        if let Content::Batches { from, .. } = &mut self.content {
            *from = byte;
        }
        self.at = self.at.max(next_offset);
        self.is_first = false;
    }
}

fn bad(error: BatchError) -> Bad {
    let extent = match error {
        BatchError::Length { .. } => Extent::Endless,
        // Its length was believed, and what follows will tell.
        BatchError::Format { base_offset, .. } => {
            Extent::Unsure { base: base_offset, to: base_offset.saturating_add(1), bytes: 0 }
        }
    };
    Bad { cause: error.to_string(), extent }
}

/// All batches of a section were shown. Tells the log's end, if it is there, and was not told before.
fn is_end_news(position: &mut Position, section: &Section, visitor: &mut impl Visitor) -> bool {
    if section.resumes && position.stage == Stage::Showing {
        position.stage = Stage::Reading;
    }
    let Some(end) = section.new_end else { return false };
    position.told_end = end;
    visitor.event(position.slot, SourceEvent::AtEnd { end });
    true
}

/// Tells what is not in any batch.
fn tell(position: &mut Position, content: &Content, visitor: &mut impl Visitor) {
    let (from, epoch) = (position.offset, position.epochs.last().unwrap_or(-1));
    let event = match *content {
        Content::Batches { .. } => return,
        Content::Error(error) => SourceEvent::Error(error),
        Content::StartBack { from, to } => SourceEvent::StartBack { from, to },
        Content::Unreadable { from, to, cause } => {
            match to {
                Some(_) => position.stage = Stage::Reading,
                None => position.search(Search::behind(from, cause)),
            }
            SourceEvent::Unreadable { from, to, cause }
        }
        Content::OutOfRange => {
            position.stop();
            SourceEvent::OutOfRange
        }
        Content::Truncated { to } => {
            position.stop();
            SourceEvent::Truncated { from, epoch, to }
        }
    };
    visitor.event(position.slot, event);
}

/// A batch cannot be read, or not wholly. Returns whether that was told: it is not as long as nobody knows where it ends.
#[cold]
fn stumble(
    position: &mut Position,
    section: &Section,
    (bad, rest): (Bad, &[u8]),
    visitor: &mut impl Visitor,
) -> bool {
    let slot = position.slot;
    let mut tell = |from, to| {
        visitor.event(slot, SourceEvent::Unreadable { from, to, cause: &bad.cause });
    };
    match bad.extent {
        Extent::Sure { from, to } => tell(from, Some(to)),
        Extent::Endless => {
            position.search(Search::behind(section.at, DAMAGED));
            tell(section.at, None);
        }
        Extent::Unsure { base, to, bytes } => {
            let from = if section.is_first { base.max(section.at) } else { base };
            let to = match behind(rest, base) {
                Behind::Batch { base } => Some(base),
                // It was looked for. An answer ends where a segment does: there may be more all the same.
                Behind::Unseen if section.is_wide || to == section.end => Some(to),
                Behind::Unseen => {
                    position.go_back(section.at);
                    position.wide_bytes = Some(bytes.saturating_add(PEEK_BYTES));
                    return false;
                }
                Behind::Nonsense => Some(to),
            };
            let to = to.filter(|to| (from + 1..=section.end).contains(to));
            match to {
                Some(to) => position.skip_to(to.max(section.at)),
                None => position.search(Search::behind(from, DAMAGED)),
            }
            tell(from, to);
        }
    }
    true
}

/// What is wrong where it was looked for how far it reaches.
const DAMAGED: &str = "batches that are damaged";
/// So much behind a batch shows where the next one begins.
const PEEK_BYTES: usize = 1 << 16;
