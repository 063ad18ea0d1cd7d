//! Whether the records of a partition come in the order in which they were sent, each once, and
//! transactions whole.
//!
//! Pure. A run numbers its records on each partition, and its client keeps their order, so that numbers
//! only go up. Numbers may be missing: what failed or landed elsewhere is sent again as a new record, and
//! aborted ones do not show. A send whose outcome is not known ends its run's numbering, so that
//! it may turn up late without disturbing any order.

use range_set_blaze::RangeSetBlaze;

use crate::{
    findings::anomaly::Anomaly,
    mutants::enforced,
    record::proof::{InTransaction, Proof},
};

/// Runs that are remembered on a partition, and ranges of numbers of each.
const RUNS: usize = 1024;
const RANGES: usize = 65_536;
/// Places that are remembered of a run: what a client sends again, it sends soon.
const PLACES: usize = 4_096;

/// What the numbers of a record do not agree with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder {
    pub(crate) anomaly: Anomaly,
    /// Where it shows.
    pub(crate) offset: i64,
    pub(crate) expected: String,
    pub(crate) found: String,
    /// Where the number was read before, as far as that is remembered.
    pub(crate) before: Option<i64>,
}

/// The numbers read of a partition since the reader last jumped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    runs: Vec<Run>,
    /// Place of the run that wrote the last record.
    current: usize,
    /// Nothing was skipped before the next record: what is missing was not there.
    contiguous: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    id: u64,
    /// Number of the last record.
    last: u64,
    /// Numbers read, as ranges: first and last.
    seen: Vec<(u64, u64)>,
    /// Where they were read: from a number on, each lies one offset behind the one before.
    places: Vec<(u64, i64)>,
    transaction: Option<Open>,
}

/// A transaction of which records were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    index: u64,
    /// Number of its record at position 0.
    base: u64,
    /// Records that must have been read, if none is missing, and those that were.
    due: u32,
    read: u32,
    /// The record behind the first hole.
    hole: Option<i64>,
}

/// Where a number lies that follows from this one.
#[inline]
fn place_of((first, offset): (u64, i64), sequence: u64) -> i64 {
    offset.wrapping_add(sequence.wrapping_sub(first).cast_signed())
}

impl Order {
    /// Of a reader that begins with the first record that was ever written: nothing was before.
    pub(crate) fn of_all() -> Self {
        Self { contiguous: true, ..Self::default() }
    }

    /// The reader jumps: whatever comes next is in order.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    /// A record was read whose numbers are not to be trusted.
    #[cold]
    pub(crate) fn pass_over(&mut self) {
        self.contiguous = false;
        self.runs.iter_mut().for_each(|run| run.transaction = None);
    }

    /// Run and number of the last record.
    pub(crate) fn last(&self) -> Option<(u64, u64)> {
        self.runs.get(self.current).map(|run| (run.id, run.last))
    }

    /// Runs whose numbers were read, and where they lie, as far as that is remembered.
    pub(crate) fn runs(&self) -> Vec<(u64, RangeSetBlaze<i64>)> {
        self.runs.iter().map(|run| (run.id, run.offsets())).collect()
    }

    /// Takes the next record in if it is the one behind the last, of the same run and in no transaction; if it is not,
    /// nothing changes.
    #[inline]
    pub(crate) fn takes_fast_path(&mut self, offset: i64, run: u64, sequence: u64) -> bool {
        let Some(run) = self.runs.get_mut(self.current).filter(|known| known.id == run) else { return false };
        let Some((_, highest)) = run.seen.last_mut() else { return false };
        if run.last != *highest || highest.checked_add(1) != Some(sequence) {
            return false;
        }
        if run.places.last().is_none_or(|place| place_of(*place, sequence) != offset) {
            return false;
        }
        (*highest, run.last, self.contiguous) = (sequence, sequence, true);
        true
    }

    /// Takes the next record in. `whole`: transactions must be whole.
    pub(crate) fn take(&mut self, offset: i64, proof: &Proof, whole: bool) -> Result<(), Box<OutOfOrder>> {
        let contiguous = std::mem::replace(&mut self.contiguous, true);
        let known = match self.runs.get(self.current) {
            Some(run) if run.id == proof.run => Some(self.current),
            _ => self.runs.iter().position(|run| run.id == proof.run),
        };
        let index = known.unwrap_or_else(|| self.begin_run(proof.run));
        self.current = index;
        let run = &mut self.runs[index];
        let order = run.number(offset, proof.sequence);
        match proof.transaction {
            Some(here) if whole => {
                let again = order.as_ref().is_err_and(|error| error.anomaly == Anomaly::Duplicate);
                let torn = if again { None } else { run.transact(offset, proof.sequence, here, contiguous) };
                order.and(torn.map_or(Ok(()), Err))
            }
            _ => order,
        }
    }

    /// Everything has been read: a transaction with a hole will not be filled any more.
    pub(crate) fn finish(&mut self) -> Option<Box<OutOfOrder>> {
        if !enforced("torn-transaction-last") {
            return None;
        }
        self.runs.iter_mut().find_map(|run| run.transaction.take()?.torn(run.id))
    }

    #[cold]
    fn begin_run(&mut self, id: u64) -> usize {
        if self.runs.len() == RUNS {
            self.runs.remove(0);
        }
        self.runs.push(Run { id, last: 0, seen: Vec::new(), places: Vec::new(), transaction: None });
        self.runs.len() - 1
    }
}

impl Run {
    fn number(&mut self, offset: i64, sequence: u64) -> Result<(), Box<OutOfOrder>> {
        let last = std::mem::replace(&mut self.last, sequence);
        match self.seen.last_mut() {
            Some((_, highest)) if highest.checked_add(1) == Some(sequence) => *highest = sequence,
            Some((_, highest)) if *highest >= sequence => return self.back(offset, sequence, last),
            _ => self.jump(sequence),
        }
        if self.places.last().is_none_or(|place| place_of(*place, sequence) != offset) {
            self.move_on(offset, sequence);
        }
        Ok(())
    }

    /// From this number on, the places are counted anew.
    fn move_on(&mut self, offset: i64, sequence: u64) {
        if self.places.len() == PLACES {
            self.places.drain(..PLACES / 2);
        }
        self.places.push((sequence, offset));
    }

    /// Where a number was read for the first time, as far as that is remembered.
    #[cold]
    fn place_of(&self, sequence: u64) -> Option<i64> {
        let behind = self.places.partition_point(|(first, _)| *first <= sequence);
        self.places[..behind].last().map(|place| place_of(*place, sequence))
    }

    /// Where its numbers were read.
    fn offsets(&self) -> RangeSetBlaze<i64> {
        let mut offsets = RangeSetBlaze::new();
        for &(first, last) in &self.seen {
            let begin = self.places.partition_point(|(number, _)| *number <= first).saturating_sub(1);
            let places = self.places.iter().enumerate().skip(begin);
            for (index, place) in places.take_while(|(_, (number, _))| *number <= last) {
                let next = self.places.get(index + 1);
                let end = next.map_or(last, |(number, _)| last.min(number.saturating_sub(1)));
                let begin = first.max(place.0);
                if begin <= end {
                    offsets.ranges_insert(place_of(*place, begin)..=place_of(*place, end));
                }
            }
        }
        offsets
    }

    #[cold]
    fn jump(&mut self, sequence: u64) {
        if self.seen.len() == RANGES {
            // What was forgotten is out of order when it comes again, and not called a duplicate.
            self.seen.drain(..RANGES / 2);
        }
        self.seen.push((sequence, sequence));
    }

    /// The number is not above all others of its run.
    #[cold]
    fn back(&mut self, offset: i64, sequence: u64, last: u64) -> Result<(), Box<OutOfOrder>> {
        let behind = self.seen.partition_point(|(first, _)| *first <= sequence);
        let seen = behind > 0 && self.seen[behind - 1].1 >= sequence;
        if !seen {
            self.seen.insert(behind, (sequence, sequence));
        }
        let (anomaly, what) = match (seen, sequence <= last) {
            (true, _) if !enforced("duplicate") => return Ok(()),
            (false, _) if !enforced("reorder") => return Ok(()),
            (true, _) => (Anomaly::Duplicate, "which was read before"),
            (false, true) => (Anomaly::Reorder, "which was sent earlier"),
            // One of several that lie too late, and in order among themselves.
            (false, false) => return Ok(()),
        };
        Err(Box::new(OutOfOrder {
            anomaly,
            offset,
            expected: format!("a record that run {:016x} sent after its record number {last}", self.id),
            found: format!("its record number {sequence}, {what}"),
            before: self.place_of(sequence).filter(|_| seen),
        }))
    }

    /// Takes in a record of a transaction. One that ends here must have been whole: it is not judged
    /// earlier, because records that come late are missing until then.
    fn transact(
        &mut self,
        offset: i64,
        sequence: u64,
        here: InTransaction,
        contiguous: bool,
    ) -> Option<Box<OutOfOrder>> {
        if let Some(open) = &mut self.transaction
            && open.index == here.index
        {
            open.add(offset, here.position);
            return None;
        }
        let base = sequence.wrapping_sub(here.position.into());
        // Where the reader begins, nobody knows what was before.
        let (due, read) = if contiguous { (0, 0) } else { (here.position, here.position) };
        let mut open = Open { index: here.index, base, due, read, hole: None };
        open.add(offset, here.position);
        let mut before = self.transaction.replace(open)?;
        before.end(offset, base, here);
        before.torn(self.id)
    }
}

impl Open {
    fn add(&mut self, offset: i64, position: u32) {
        if position > self.due && enforced("torn-transaction-inside") {
            self.hole.get_or_insert(offset);
        }
        self.due = self.due.max(position.saturating_add(1));
        self.read += 1;
    }

    /// The next transaction knows how many records the last committed one had.
    fn end(&mut self, offset: i64, next_base: u64, next: InTransaction) {
        let known_by = u64::from(next.skipped) + u64::from(next.previous);
        if self.base.checked_add(known_by) == Some(next_base)
            && next.previous > self.due
            && enforced("torn-transaction-end")
        {
            self.due = next.previous;
            self.hole.get_or_insert(offset);
        }
    }

    fn torn(&self, run: u64) -> Option<Box<OutOfOrder>> {
        if !enforced("torn-transaction") {
            return None;
        }
        let Self { index, due, read, .. } = *self;
        let offset = self.hole.filter(|_| read < due)?;
        Some(Box::new(OutOfOrder {
            anomaly: Anomaly::TornTransaction,
            offset,
            expected: format!("all {due} records of transaction {index} of run {run:016x}, or none of them"),
            found: format!("{read} of them; the first hole is in front of this offset"),
            before: None,
        }))
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
