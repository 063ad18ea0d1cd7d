//! Batches of ours read by the `kafka-protocol` crate, batches of its read by us, and bytes that are none.

use kafka_protocol::{
    protocol::StrBytes,
    records::{
        Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    },
};
use proptest::prelude::*;

use super::*;

/// Long values lie elsewhere.
static LONG: [u8; 2_000] = [42; 2_000];

#[derive(Clone, Debug)]
enum Value {
    Tombstone,
    /// The long one.
    Long,
    Short(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Fields {
    timestamp_ms: i64,
    key: Vec<u8>,
    value: Value,
    headers: Vec<(String, Vec<u8>)>,
}

fn fields() -> impl Strategy<Value = Fields> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let value = prop_oneof![Just(Value::Tombstone), Just(Value::Long), bytes().prop_map(Value::Short)];
    // Names that differ: the oracle has a map of them.
    let headers = proptest::collection::btree_map("[a-z]{1,80}", bytes(), 0..3);
    (0_i64..1 << 42, bytes(), value, headers).prop_map(|(timestamp_ms, key, value, headers)| Fields {
        timestamp_ms,
        key,
        value,
        headers: headers.into_iter().collect(),
    })
}

fn written(all: &[Fields], producer: BatchProducer) -> Vec<u8> {
    packed(all, producer, None)
}

fn packed(all: &[Fields], producer: BatchProducer, packer: Option<&mut Packer>) -> Vec<u8> {
    let (shift, crc) = (CrcShift::by(LONG.len()), Crc::of(&LONG));
    let mut writer = BatchWriter::with_capacity(0);
    for fields in all {
        let headers: Vec<_> =
            fields.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        let value = match &fields.value {
            Value::Tombstone => BatchValue::Null,
            Value::Long => BatchValue::Lasting(&LONG, crc),
            Value::Short(value) => BatchValue::Copied(value),
        };
        writer.push(&NewRecord {
            timestamp_ms: fields.timestamp_ms,
            key: &fields.key,
            value,
            headers: &headers,
        });
    }
    if let Some(packer) = packer {
        writer.pack(packer);
    }
    writer.seal(producer, &shift);
    let mut bytes = Vec::new();
    writer.slices().for_each(|slice| bytes.extend_from_slice(slice));
    assert_eq!(bytes.len(), writer.bytes());
    bytes
}

fn value_of(fields: &Fields) -> Option<&[u8]> {
    match &fields.value {
        Value::Tombstone => None,
        Value::Long => Some(&LONG),
        Value::Short(value) => Some(value),
    }
}

fn record_of_theirs(fields: &Fields, index: i64) -> Record {
    Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 7,
        producer_id: 5,
        producer_epoch: 6,
        timestamp_type: TimestampType::Creation,
        offset: 1_000 + index,
        sequence: 3 + i32::try_from(index).unwrap(),
        timestamp: fields.timestamp_ms,
        key: Some(fields.key.clone().into()),
        value: value_of(fields).map(|value| value.to_vec().into()),
        headers: fields
            .headers
            .iter()
            .map(|(name, value)| (StrBytes::from_string(name.clone()), Some(value.clone().into())))
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_we_write_they_read(all in proptest::collection::vec(fields(), 1..20), transactional: bool) {
        let producer = BatchProducer { id: 77, epoch: 4, base_sequence: 9, transactional };
        let bytes = written(&all, producer);
        let read = RecordBatchDecoder::decode(&mut &*bytes).unwrap();
        prop_assert_eq!(read.records.len(), all.len());
        for (index, (theirs, ours)) in read.records.iter().zip(&all).enumerate() {
            prop_assert_eq!(theirs.offset, i64::try_from(index).unwrap());
            prop_assert_eq!(theirs.sequence, 9 + i32::try_from(index).unwrap());
            prop_assert_eq!((theirs.producer_id, theirs.producer_epoch, theirs.transactional), (77, 4, transactional));
            prop_assert_eq!(theirs.timestamp, ours.timestamp_ms);
            prop_assert_eq!(theirs.key.as_deref(), Some(&ours.key[..]));
            prop_assert_eq!(theirs.value.as_deref(), value_of(ours));
            let headers: Vec<_> = theirs.headers.iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_deref().unwrap().to_vec())).collect();
            prop_assert_eq!(&headers, &ours.headers);
        }
    }

    /// Their codecs are not built: ours unpack, and what comes of it is taken apart by them.
    #[test]
    fn what_we_pack_they_and_we_read(all in proptest::collection::vec(fields(), 1..20), transactional: bool) {
        let producer = BatchProducer { id: 77, epoch: 4, base_sequence: 9, transactional };
        let plain = written(&all, producer);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let mut packer = Packer::new(codec).unwrap();
            let bytes = packed(&all, producer, Some(&mut packer));
            prop_assert!(bytes.len() <= plain.len(), "never larger than without");
            let batch = Batches::new(&bytes).next().unwrap().unwrap();
            prop_assert!(batch.fits_its_checksum());
            let mut unpacker = Unpacker::new(1 << 20);
            prop_assert_eq!(unpacker.unpack(&batch).unwrap(), &plain[HEADER_BYTES..]);
            if bytes.len() == plain.len() {
                prop_assert_eq!((batch.codec(), &bytes), (Some(Codec::None), &plain));
                continue;
            }
            prop_assert_eq!(batch.codec(), Some(codec));
            let named = |theirs| match codec {
                Codec::Gzip => theirs == Compression::Gzip,
                Codec::Snappy => theirs == Compression::Snappy,
                Codec::Lz4 => theirs == Compression::Lz4,
                _ => theirs == Compression::Zstd,
            };
            let records = &plain[HEADER_BYTES..];
            let read = RecordBatchDecoder::decode_with_custom_compression(
                &mut &*bytes,
                Some(|_: &mut _, theirs| {
                    assert!(named(theirs));
                    Ok(records)
                }),
            );
            let read = read.unwrap();
            prop_assert_eq!(read.records.len(), all.len());
            for (theirs, ours) in read.records.iter().zip(&all) {
                prop_assert_eq!((theirs.timestamp, theirs.value.as_deref()), (ours.timestamp_ms, value_of(ours)));
            }
        }
    }

    #[test]
    fn what_they_write_we_read(all in proptest::collection::vec(fields(), 1..20)) {
        let records: Vec<_> = (0..).zip(&all).map(|(index, fields)| record_of_theirs(fields, index)).collect();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        let mut bytes = Vec::new();
        RecordBatchEncoder::encode(&mut bytes, records.iter(), &options).unwrap();
        let mut offset = 1_000;
        let mut batches = Batches::new(&bytes);
        for batch in batches.by_ref() {
            let batch = batch.unwrap();
            prop_assert!(batch.fits_its_checksum() && batch.is_transactional() && !batch.is_control());
            prop_assert_eq!((batch.base_offset(), batch.leader_epoch(), batch.codec()), (offset, 7, Some(Codec::None)));
            prop_assert_eq!((batch.producer_id(), batch.producer_epoch()), (5, 6));
            for record in batch.records(batch.payload()) {
                let record = record.unwrap();
                let fields = &all[usize::try_from(offset - 1_000).unwrap()];
                prop_assert_eq!((record.offset, record.timestamp_ms), (offset, fields.timestamp_ms));
                prop_assert_eq!((record.key, record.value), (Some(&fields.key[..]), value_of(fields)));
                prop_assert_eq!(usize::from(record.headers[0]), fields.headers.len() * 2, "zigzag");
                offset += 1;
            }
            prop_assert_eq!(batch.next_offset(), offset);
        }
        prop_assert_eq!((offset, batches.rest().len()), (1_000 + i64::try_from(all.len()).unwrap(), 0));
    }

    #[test]
    fn a_batch_that_is_cut_off_is_left(all in proptest::collection::vec(fields(), 1..4), cut: prop::sample::Index) {
        let producer = BatchProducer { id: -1, epoch: -1, base_sequence: -1, transactional: false };
        let (first, second) = (written(&all[..1], producer), written(&all, producer));
        let end = first.len() + cut.index(second.len());
        let bytes = &[first.clone(), second].concat()[..end];
        let mut batches = Batches::new(bytes);
        prop_assert!(batches.next().unwrap().is_ok());
        prop_assert!(batches.next().is_none());
        prop_assert_eq!(batches.rest(), &bytes[first.len()..]);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), length in 0..260_i32) {
        let mut bytes = bytes;
        if bytes.len() > 16 {
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
        }
        for batch in Batches::new(&bytes).flatten() {
            let _ = (batch.fits_its_checksum(), batch.codec(), batch.next_offset());
            for record in batch.records(batch.payload()).flatten() {
                let _ = record.marker();
            }
        }
    }

    #[test]
    fn any_change_breaks_the_checksum(all in proptest::collection::vec(fields(), 1..4), at: prop::sample::Index, bit in 0_u32..8) {
        let producer = BatchProducer { id: 1, epoch: 1, base_sequence: 1, transactional: false };
        let mut bytes = written(&all, producer);
        let place = 17 + at.index(bytes.len() - 17);
        bytes[place] ^= 1_u8 << bit;
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        prop_assert!(!batch.fits_its_checksum());
    }
}

#[test]
fn lengths_and_formats_that_cannot_be_are_named() {
    let batch = |length: i32, magic| {
        let mut bytes = vec![0; 80];
        bytes[7] = 9;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = magic;
        Batches::new(&bytes).next().unwrap().map(|batch| batch.base_offset())
    };
    assert_eq!(batch(-1, 2), Err(BatchError::Length { length: -1, base_offset: 9 }));
    assert_eq!(
        batch(40, 2),
        Err(BatchError::Length { length: 40, base_offset: 9 }),
        "shorter than its header"
    );
    assert_eq!(batch(40, 1), Err(BatchError::Format { magic: 1, base_offset: 9 }));
    assert_eq!(batch(68, 2), Ok(9));
}

#[test]
fn a_compacted_batch_may_have_no_record() {
    let producer = BatchProducer { id: 1, epoch: 1, base_sequence: 1, transactional: false };
    let fields = Fields { timestamp_ms: 1, key: Vec::new(), value: Value::Tombstone, headers: Vec::new() };
    let mut bytes = written(&[fields.clone(), fields], producer);
    bytes.truncate(HEADER_BYTES);
    bytes[8..12].copy_from_slice(&49_i32.to_be_bytes());
    bytes[57..61].fill(0);
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    assert_eq!((batch.records(batch.payload()).count(), batch.next_offset()), (0, 2));
}

#[test]
fn markers_are_told_apart_and_the_broker_s_time_is_every_record_s() {
    let key = |kind: u8| [0, 0, 0, kind];
    let marker = |key: &[u8]| {
        RecordRef { offset: 0, timestamp_ms: 0, key: Some(key), value: None, headers: &[] }.marker()
    };
    assert_eq!([marker(&key(0)), marker(&key(1))], [Some(Marker::Abort), Some(Marker::Commit)]);
    assert_eq!((marker(&key(5)), marker(&[0, 0])), (Some(Marker::Other(5)), None));

    let producer = BatchProducer { id: 1, epoch: 1, base_sequence: 1, transactional: false };
    let fields =
        |timestamp_ms| Fields { timestamp_ms, key: Vec::new(), value: Value::Tombstone, headers: Vec::new() };
    let mut bytes = written(&[fields(5), fields(9)], producer);
    let times = |bytes: &[u8]| -> Vec<i64> {
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        batch.records(batch.payload()).map(|record| record.unwrap().timestamp_ms).collect()
    };
    assert_eq!(times(&bytes), [5, 9]);
    bytes[22] |= 1 << 3;
    assert_eq!(times(&bytes), [9, 9]);
}

#[test]
fn a_record_that_cannot_be_taken_apart_is_named() {
    let producer = BatchProducer { id: 1, epoch: 1, base_sequence: 1, transactional: false };
    let fields =
        Fields { timestamp_ms: 1, key: b"key".to_vec(), value: Value::Tombstone, headers: Vec::new() };
    let mut bytes = written(&[fields.clone(), fields.clone(), fields], producer);
    let record_bytes = (bytes.len() - HEADER_BYTES) / 3;
    // The length of the second record's key.
    bytes[HEADER_BYTES + record_bytes + 4] = 0x7E;
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    let records: Vec<_> =
        batch.records(batch.payload()).map(|record| record.map(|record| record.offset)).collect();
    let malformed = Err(RecordError { index: 1, base_offset: 0 });
    assert_eq!(records, [Ok(0), malformed, Ok(2)], "its length still says where the next one begins");
    bytes[HEADER_BYTES + record_bytes] = 0x7E;
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    let records: Vec<_> =
        batch.records(batch.payload()).map(|record| record.map(|record| record.offset)).collect();
    assert_eq!(records, [Ok(0), malformed]);
}
