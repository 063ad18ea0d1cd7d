//! What a producer's flags make of its records, seen by another client.

use std::collections::BTreeSet;

use crate::{
    Test,
    dsl::{Mock, Run, Topic, Workdir, ledger::LedgerFile, topic::Stored, topic::record_id},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(every_record_names_its_offset_in_its_first_header_and_its_key),
        Alone(values_are_printable_unless_told_otherwise),
        Alone(random_bytes_are_not_only_printable),
        Alone(compressible_values_are_zeros),
        Alone(keys_come_from_the_key_set_and_all_of_it),
        Alone(tombstones_have_no_value_and_the_ledger_says_so),
        Alone(only_tombstones_still_prove),
        Alone(no_tombstones_when_their_probability_is_0),
        Alone(fake_timestamps_count_up_without_gaps),
        Alone(real_timestamps_are_the_clocks),
        Alone(empty_values_are_no_tombstones),
        Alone(every_record_has_a_proof_header_unless_told_otherwise),
        Alone(proof_headers_fit_all_kinds_of_records),
    ]
}

struct Produced {
    topic: Topic,
    workdir: Workdir,
    records: Vec<Stored>,
    _mock: Mock,
}

/// Produces and proves 400 records with these flags, and fetches them.
fn produce(flags: &str) -> Produced {
    let mock = Mock::start();
    let (topic, workdir) = (mock.topic(3), Workdir::new());
    let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args("--produce_msgs 400 --seq_read");
    let finished = run.args(flags).finish().expect_code(0);
    finished.expect_output(&["400 of 400 records", "PROVEN"]);
    let records = topic.records();
    assert_eq!(records.len(), 400);
    Produced { topic, workdir, records, _mock: mock }
}

fn values(records: &[Stored]) -> impl Iterator<Item = &[u8]> {
    records.iter().filter_map(|record| record.value.as_deref())
}

fn every_record_names_its_offset_in_its_first_header_and_its_key() {
    let produced = produce("--msg_size 10");
    for record in &produced.records {
        // Other headers may follow.
        let id = record_id(record.offset).into_bytes();
        assert_eq!(record.headers[0], ("KGO_VERIFIER_RECORD_ID".to_owned(), id.clone()), "{record:?}");
        assert_eq!(record.key.as_ref(), Some(&id), "{record:?}");
    }
    let partitions: BTreeSet<_> = produced.records.iter().map(|record| record.partition).collect();
    assert_eq!(partitions, BTreeSet::from([0, 1, 2]), "spread at random");
    LedgerFile::read(produced.workdir.path(), produced.topic.name()).expect_all_up_to(&produced.topic.ends());
}

fn values_are_printable_unless_told_otherwise() {
    let produced = produce("--msg_size 200");
    for value in values(&produced.records) {
        assert_eq!(value.len(), 200);
        assert!(value.iter().all(|byte| (32..=126).contains(byte)), "{value:?}");
    }
}

fn random_bytes_are_not_only_printable() {
    let produced = produce("--msg_size 200 --produce-random-bytes");
    let seen: BTreeSet<u8> = values(&produced.records).flatten().copied().collect();
    assert_eq!(seen.len(), 256, "80,000 bytes hold each");
}

fn compressible_values_are_zeros() {
    let produced = produce("--msg_size 200 --compressible-payload=true");
    assert!(values(&produced.records).all(|value| value == [0; 200]));
    assert_eq!(values(&produced.records).count(), 400);
}

fn keys_come_from_the_key_set_and_all_of_it() {
    let produced = produce("--msg_size 10 --key-set-cardinality 4");
    let keys: BTreeSet<_> = produced.records.iter().filter_map(|record| record.key.clone()).collect();
    let all: BTreeSet<_> = (0..4).map(|key| format!("key-{key}").into_bytes()).collect();
    assert_eq!(keys, all);
}

fn tombstones_have_no_value_and_the_ledger_says_so() {
    let produced = produce("--msg_size 10 --key-set-cardinality 20 --tombstone-probability 0.5");
    let tombstones = produced.records.iter().filter(|record| record.value.is_none()).count();
    assert!((100..300).contains(&tombstones), "{tombstones} of 400");
    let ledger = LedgerFile::read(produced.workdir.path(), produced.topic.name());
    assert!(ledger.adjust_consumable_offsets, "{ledger:?}");
    ledger.expect_all_up_to(&produced.topic.ends());
    for (partition, found) in (0..).zip(&ledger.last_consumable_offsets) {
        assert_eq!(*found, last_consumable(&produced.records, partition), "partition {partition}");
    }
}

/// The largest offset that is the latest of its key, and no tombstone.
fn last_consumable(records: &[Stored], partition: i32) -> i64 {
    let of_partition = || records.iter().filter(|record| record.partition == partition);
    let is_latest = |record: &Stored| {
        !of_partition().any(|other| other.key == record.key && other.offset > record.offset)
    };
    let live = of_partition().filter(|record| record.value.is_some() && is_latest(record));
    live.map(|record| record.offset).max().unwrap_or(0)
}

fn only_tombstones_still_prove() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let run = Run::verifier().args(topic.flags()).args("--produce_msgs 50 --tombstone-probability 1");
    run.finish().expect_code(0).expect_output(&["50 of 50 records", "50 tombstones"]);
    assert!(topic.records().iter().all(|record| record.value.is_none()));
}

fn no_tombstones_when_their_probability_is_0() {
    // The harness always passes it.
    let produced = produce("--msg_size 10 --tombstone-probability 0.0");
    assert_eq!(values(&produced.records).count(), 400);
    assert!(!LedgerFile::read(produced.workdir.path(), produced.topic.name()).adjust_consumable_offsets);
}

fn fake_timestamps_count_up_without_gaps() {
    let produced = produce("--msg_size 10 --fake-timestamp-ms 1000000 --fake-timestamp-step-ms 10");
    let mut found: Vec<i64> = produced.records.iter().filter_map(|record| record.timestamp_ms).collect();
    found.sort_unstable();
    let distinct = found.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(distinct && found.len() == 400, "{found:?}");
    assert_eq!(found[0], 1_000_000, "the first record's");
    assert!(found.iter().all(|time| time % 10 == 0), "{found:?}");
}

fn real_timestamps_are_the_clocks() {
    let now_ms = || std::time::UNIX_EPOCH.elapsed().expect("a clock behind 1970").as_millis();
    let before = now_ms();
    let produced = produce("--msg_size 10");
    let range = before..=now_ms();
    for record in &produced.records {
        let time = record.timestamp_ms.and_then(|time| u128::try_from(time).ok()).expect("a timestamp");
        assert!(range.contains(&time), "{time} in {range:?}");
    }
}

fn empty_values_are_no_tombstones() {
    let produced = produce("--msg_size 0");
    assert!(values(&produced.records).all(<[u8]>::is_empty));
    assert_eq!(values(&produced.records).count(), 400);
}

fn every_record_has_a_proof_header_unless_told_otherwise() {
    let produced = produce("--msg_size 10");
    for partition in 0..3 {
        let of_partition = produced.records.iter().filter(|record| record.partition == partition);
        for (sequence, record) in (0_u64..).zip(of_partition) {
            let (name, value) = &record.headers[1];
            assert_eq!(
                (name.as_str(), value.len(), record.headers.len()),
                ("PROOFLOAD", 24, 2),
                "{record:?}"
            );
            // Its last 30 bits in front of the digest.
            let head: [u8; 8] = value[8..16].try_into().unwrap();
            assert_eq!(u64::from_be_bytes(head) & 0x3FFF_FFFF, sequence, "{record:?}");
        }
    }
    let without = produce("--msg_size 10 --proof-header=false");
    assert!(without.records.iter().all(|record| record.headers.len() == 1));
}

/// Each is read back, and would be called corrupt if it were digested otherwise than it was sent.
fn proof_headers_fit_all_kinds_of_records() {
    for flags in [
        "--msg_size 0",
        "--msg_size 300 --tombstone-probability 0.5 --key-set-cardinality 3",
        "--msg_size 10 --fake-timestamp-ms 1 --fake-timestamp-step-ms 0",
        "--msg_size 10 --fake-timestamp-ms 5",
        "--msg_size 100 --compression-type zstd --msgs-per-producer-id 50",
    ] {
        produce(flags);
    }
}
