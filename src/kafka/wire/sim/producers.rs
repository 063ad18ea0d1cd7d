//! What a partition remembers of those who write to it.

use std::collections::{BTreeMap, VecDeque};

use super::{
    code::{INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, OUT_OF_ORDER_SEQUENCE_NUMBER},
    log::Stored,
};
use crate::kafka::wire::batch::{Batches, Marker};

/// Batches that are remembered of a producer.
const REMEMBERED: usize = 5;
/// Of a producer that has none.
const NO_EPOCH: i16 = -1;

/// A batch that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: i64,
    pub next_offset: i64,
}

/// One producer.
#[derive(Clone, Debug, Default)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Written>,
    /// Where its open transaction begins.
    transaction: Option<i64>,
}

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aborted {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The marker's.
    pub last_offset: i64,
}

/// A batch that is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming {
    pub id: i64,
    pub epoch: i16,
    pub first_sequence: i32,
    pub records: i32,
    pub is_transactional: bool,
}

impl Coming {
    fn last_sequence(&self) -> i32 {
        let last = i64::from(self.first_sequence) + i64::from(self.records) - 1;
        // Behind the largest comes 0.
        i32::try_from(last & i64::from(i32::MAX)).unwrap_or(0)
    }
}

/// All of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Producers {
    all: BTreeMap<i64, Producer>,
    aborted: Vec<Aborted>,
}

impl Producers {
    /// The batch that is the same as one of those that are remembered.
    pub(super) fn duplicate_of(&self, coming: &Coming) -> Option<Written> {
        let known = self.all.get(&coming.id).filter(|known| known.epoch == coming.epoch)?;
        let same = |one: &&Written| {
            one.first_sequence == coming.first_sequence && one.last_sequence == coming.last_sequence()
        };
        known.batches.iter().find(same).copied()
    }

    /// Whether a batch may be written.
    pub(super) fn check(&self, coming: &Coming) -> Result<(), i16> {
        let Some(known) = self.all.get(&coming.id) else { return Ok(()) };
        if coming.epoch < known.epoch {
            return Err(INVALID_PRODUCER_EPOCH);
        }
        if known.transaction.is_some() && !coming.is_transactional {
            return Err(INVALID_TXN_STATE);
        }
        let last = known.batches.back().map_or(-1, |last| last.last_sequence);
        let is_next = if coming.epoch == known.epoch {
            let follows = coming.first_sequence == last.wrapping_add(1);
            known.epoch == NO_EPOCH || follows || (last == i32::MAX && coming.first_sequence == 0)
        } else {
            known.epoch == NO_EPOCH || coming.first_sequence == 0
        };
        if is_next { Ok(()) } else { Err(OUT_OF_ORDER_SEQUENCE_NUMBER) }
    }

    /// A batch was written.
    pub(super) fn wrote(&mut self, coming: &Coming, base_offset: i64, next_offset: i64) {
        let producer = self.in_epoch(coming.id, coming.epoch);
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Written {
            first_sequence: coming.first_sequence,
            last_sequence: coming.last_sequence(),
            base_offset,
            next_offset,
        });
        if coming.is_transactional {
            producer.transaction.get_or_insert(base_offset);
        }
    }

    /// Takes in what is in the log already.
    pub(super) fn see(&mut self, stored: &Stored) {
        let Some(Ok(batch)) = Batches::new(&stored.bytes).next() else { return };
        let (id, epoch) = (batch.producer_id(), batch.producer_epoch());
        if batch.is_control() {
            let first = batch.records(batch.payload()).next().and_then(Result::ok);
            let commit = first.is_some_and(|record| record.marker() == Some(Marker::Commit));
            self.ended(id, epoch, stored.base_offset, commit);
        } else if id >= 0 {
            let records = i32::try_from(stored.next_offset - stored.base_offset).unwrap_or(i32::MAX);
            let (first_sequence, is_transactional) = (batch.base_sequence(), batch.is_transactional());
            let coming = Coming { id, epoch, first_sequence, records, is_transactional };
            self.wrote(&coming, stored.base_offset, stored.next_offset);
        }
    }

    /// A marker was written.
    pub(super) fn ended(&mut self, id: i64, epoch: i16, offset: i64, commit: bool) {
        let first = self.in_epoch(id, epoch).transaction.take();
        if let Some(first_offset) = first.filter(|_| !commit) {
            self.aborted.push(Aborted { producer_id: id, first_offset, last_offset: offset });
        }
    }

    fn in_epoch(&mut self, id: i64, epoch: i16) -> &mut Producer {
        let producer = self.all.entry(id).or_insert(Producer { epoch, ..Producer::default() });
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer
    }

    /// Whether a producer has a transaction open here.
    pub(super) fn has_open(&self, id: i64, epoch: i16) -> bool {
        self.all.get(&id).is_some_and(|known| known.epoch == epoch && known.transaction.is_some())
    }

    /// Where the first open transaction begins.
    pub(super) fn first_open(&self) -> Option<i64> {
        self.all.values().filter_map(|producer| producer.transaction).min()
    }

    /// Transactions that were aborted, of those that reach into these offsets, `to` not included.
    pub(super) fn aborted(&self, from: i64, to: i64) -> impl Iterator<Item = &Aborted> {
        self.aborted.iter().filter(move |one| one.last_offset >= from && one.first_offset < to)
    }

    /// Whether a batch is the last one of its producer.
    pub(super) fn is_last_of(&self, id: i64, base_offset: i64) -> bool {
        let last = self.all.get(&id).and_then(|producer| producer.batches.back());
        last.is_some_and(|last| last.base_offset == base_offset)
    }
}
