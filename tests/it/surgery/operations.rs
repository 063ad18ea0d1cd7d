//! What is done to the log of a partition, and what has to be said of it.

use proofload::inside::record::Random;

use crate::dsl::surgery::{Log, Record};

/// What was done to a partition, and what the reader has to say of it.
pub struct Damage {
    pub anomaly: &'static str,
    pub offset: i64,
    /// What may be said besides.
    pub also: &'static [&'static str],
}

/// A partition under surgery.
pub struct Patient {
    pub log: Log,
    /// What its ledger lists.
    pub acked: Vec<i64>,
    pub random: Random,
    pub seed: usize,
}

pub type Operation = fn(&mut Patient) -> Damage;

pub const PLAIN: &[(&str, Operation)] = &[
    ("lost in the middle", lose_some),
    ("lost at the end", lose_the_end),
    ("lost, and never acked", lose_what_was_not_acked),
    ("at another offset", shift),
    ("stored twice", duplicate),
    ("stored in another order", swap),
    ("an epoch that goes back", epoch_back),
    ("a bit of the key", |patient| corrupt(patient, |record, bit| flip(record.key.as_mut().unwrap(), bit))),
    ("a bit of the value", |patient| {
        corrupt(patient, |record, bit| flip(record.value.as_mut().unwrap(), bit))
    }),
    ("a bit of the id's name", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[0].0, bit))),
    ("a bit of the id", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[0].1, bit))),
    ("a bit of the proof's name", |patient| {
        corrupt(patient, |record, bit| flip(&mut record.headers[1].0, bit))
    }),
    ("a bit of the proof", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[1].1, bit))),
    ("a bit, and the checksum left", break_checksum),
    ("a bit of the time", |patient| corrupt(patient, |record, bit| record.timestamp_ms ^= 1 << (bit % 40))),
];

pub const TRANSACTIONAL: &[(&str, Operation)] = &[
    ("a transaction lost", lose_a_transaction),
    ("a transaction torn", tear),
    ("stored twice", duplicate),
    ("stored in another order", swap),
    ("an epoch that goes back", epoch_back),
    ("aborted, and yet shown", show_aborted),
    ("committed, and yet hidden", hide_committed),
    ("a bit of the value", |patient| {
        corrupt(patient, |record, bit| flip(record.value.as_mut().unwrap(), bit))
    }),
    ("a bit of the proof", |patient| corrupt(patient, |record, bit| flip(&mut record.headers[1].1, bit))),
    ("a bit, and the checksum left", break_checksum),
];

pub const VALUED: &[(&str, Operation)] = &[
    ("an older value", |patient| outdate(patient, false)),
    ("a key that is gone", |patient| outdate(patient, true)),
    ("a bit of a last value", |patient| {
        let offset = patient.last_of_a_key();
        corrupt_at(patient, offset, |record, bit| flip(record.value.as_mut().unwrap(), bit))
    }),
    ("a bit of a last value's key", |patient| {
        let offset = patient.last_of_a_key();
        corrupt_at(patient, offset, |record, bit| flip(record.key.as_mut().unwrap(), bit))
    }),
    ("a bit, and the checksum of a last value left", |patient| {
        let offset = patient.last_of_a_key();
        break_checksum_at(patient, offset)
    }),
];

fn flip(bytes: &mut [u8], bit: usize) {
    let bit = bit % (bytes.len() * 8);
    // The highest bit of a name would leave no text, which a client need not show.
    bytes[bit / 8] ^= 1 << (bit % 7);
}

impl Patient {
    /// An acked record with another one right before and right behind it.
    fn place(&mut self) -> i64 {
        let inner =
            |offset: &&i64| self.acked.contains(&(*offset - 1)) && self.acked.contains(&(*offset + 1));
        let places: Vec<i64> = self.acked.iter().filter(inner).copied().collect();
        let held = self.log.data().map(|batch| batch.records.len()).sum::<usize>();
        assert!(
            !places.is_empty(),
            "partition {}, which holds {held} records: no three in a row of {:?} were acked",
            self.seed,
            self.acked
        );
        places[self.random.index(places.len())]
    }

    /// What the ledger of a producer would list that was told of these offsets what came of them.
    fn forget(&mut self, forgotten: impl Fn(i64) -> bool) {
        self.acked.retain(|offset| !forgotten(*offset));
    }

    /// The records of a key, but for the one that holds the log's end, and that end.
    fn records_of_a_key(&mut self) -> (Vec<i64>, i64) {
        let records: Vec<Record> = self.log.data().flat_map(|batch| batch.records.clone()).collect();
        let (last, keyed) = records.split_last().expect("records");
        let of_key = |key: &Option<Vec<u8>>| -> Vec<i64> {
            keyed.iter().filter(|record| record.key == *key).map(|record| record.offset).collect()
        };
        let others: Vec<Vec<i64>> = keyed
            .iter()
            .filter(|record| record.key != last.key)
            .map(|record| of_key(&record.key))
            .filter(|offsets| offsets.len() > 1)
            .collect();
        (others[self.random.index(others.len())].clone(), last.offset + 1)
    }

    fn last_of_a_key(&mut self) -> i64 {
        *self.records_of_a_key().0.last().expect("records of a key")
    }

    /// The transactions on the partition: their offsets, whether they were committed.
    fn transactions(&self) -> Vec<(Vec<i64>, bool)> {
        let (mut all, mut open) = (Vec::new(), Vec::new());
        for batch in &self.log.batches {
            if batch.is_control() {
                let committed = batch.records[0].key.as_ref().is_some_and(|key| key[3] == 1);
                all.push((std::mem::take(&mut open), committed));
            } else {
                open.extend(batch.records.iter().map(|record| record.offset));
            }
        }
        all
    }

    /// One of those that suit, but not the first, and with records behind it that a reader is shown.
    fn transaction(&mut self, suits: impl Fn(&(Vec<i64>, bool)) -> bool) -> (usize, Vec<i64>) {
        let all = self.transactions();
        let shown = |(offsets, committed): &(Vec<i64>, bool)| *committed && !offsets.is_empty();
        let last = all.iter().rposition(shown).expect("a transaction that is shown");
        let inner = all.iter().enumerate().take(last).skip(1);
        let suiting: Vec<_> = inner.filter(|(_, transaction)| suits(transaction)).collect();
        assert!(!suiting.is_empty(), "no such transaction: {all:?}");
        let (index, (offsets, _)) = suiting[self.random.index(suiting.len())];
        (index, offsets.clone())
    }
}

fn lose_some(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    let size = 1 + i64::try_from(patient.seed % 5).unwrap();
    patient.log.remove(offset..offset + size);
    Damage { anomaly: "lost-write", offset, also: &[] }
}

fn lose_the_end(patient: &mut Patient) -> Damage {
    let offset = patient.place() + 1;
    patient.log.truncate(offset);
    Damage { anomaly: "lost-write", offset, also: &[] }
}

/// Nothing was promised: it is told, and breaks nothing.
fn lose_what_was_not_acked(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    // A gap has a record behind it.
    let last = patient.acked.last().copied().expect("records");
    let behind = last.min(offset + 1 + i64::try_from(patient.seed % 5).unwrap());
    patient.forget(|acked| (offset..behind).contains(&acked));
    patient.log.remove(offset..behind);
    Damage { anomaly: "gap", offset, also: &[] }
}

fn shift(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.shift(offset, 1);
    Damage { anomaly: "wrong-offset", offset: offset + 1, also: &["wrong-offset", "lost-write"] }
}

/// The acks of what follows would have come from elsewhere than predicted.
fn duplicate(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.duplicate(offset);
    patient.forget(|acked| acked > offset);
    Damage { anomaly: "duplicate", offset: offset + 1, also: &[] }
}

fn swap(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.swap(offset);
    patient.forget(|acked| acked == offset || acked == offset + 1);
    Damage { anomaly: "reorder", offset: offset + 1, also: &[] }
}

fn epoch_back(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    patient.log.set_epoch(0, 1);
    patient.log.set_epoch(offset, 0);
    Damage { anomaly: "epoch-back", offset, also: &[] }
}

fn corrupt(patient: &mut Patient, change: fn(&mut Record, usize)) -> Damage {
    let offset = patient.place();
    corrupt_at(patient, offset, change)
}

fn corrupt_at(patient: &mut Patient, offset: i64, change: fn(&mut Record, usize)) -> Damage {
    let bit = patient.random.index(1 << 20);
    change(patient.log.record(offset), bit);
    Damage { anomaly: "corrupt", offset, also: &[] }
}

/// Nobody can tell what is in a batch that does not fit its checksum.
fn break_checksum(patient: &mut Patient) -> Damage {
    let offset = patient.place();
    break_checksum_at(patient, offset)
}

fn break_checksum_at(patient: &mut Patient, offset: i64) -> Damage {
    let bit = patient.random.index(1 << 20);
    let (batch, _) = patient.log.find(offset);
    batch.flipped_bit = Some((bit, false));
    Damage { anomaly: "corrupt", offset: batch.records[0].offset, also: &[] }
}

/// Takes away the last record of a key, or all of them. What holds the log's end stays, as it does in compaction.
fn outdate(patient: &mut Patient, all: bool) -> Damage {
    let (offsets, end) = patient.records_of_a_key();
    let left = if all { 0 } else { offsets.len() - 1 };
    for gone in &offsets[left..] {
        patient.log.remove(*gone..gone + 1);
    }
    // Where the key is last seen, or the log ends.
    let offset = if all { end } else { offsets[left - 1] };
    Damage { anomaly: "stale-value", offset, also: &[] }
}

fn lose_a_transaction(patient: &mut Patient) -> Damage {
    let (_, offsets) = patient.transaction(|(offsets, committed)| *committed && !offsets.is_empty());
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    patient.log.remove(first..last + 1);
    Damage { anomaly: "lost-write", offset: first, also: &[] }
}

fn tear(patient: &mut Patient) -> Damage {
    let (_, offsets) = patient.transaction(|(offsets, committed)| *committed && offsets.len() > 1);
    let torn = offsets[patient.random.index(offsets.len())];
    let all = patient.transactions();
    patient.log.remove(torn..torn + 1);
    // It shows at the next record that a reader is shown.
    let shown = all.iter().filter(|(_, committed)| *committed).flat_map(|(offsets, _)| offsets);
    let offset = shown.copied().find(|offset| *offset > torn).expect("a record behind it");
    Damage { anomaly: "torn-transaction", offset, also: &["lost-write"] }
}

fn show_aborted(patient: &mut Patient) -> Damage {
    let (index, offsets) = patient.transaction(|(offsets, committed)| !committed && !offsets.is_empty());
    patient.log.turn_marker(index);
    Damage { anomaly: "aborted-read", offset: offsets[0], also: &["aborted-read"] }
}

fn hide_committed(patient: &mut Patient) -> Damage {
    let (index, offsets) = patient.transaction(|(offsets, committed)| *committed && !offsets.is_empty());
    patient.log.turn_marker(index);
    Damage { anomaly: "lost-write", offset: offsets[0], also: &[] }
}
