use proptest::prelude::*;

use super::*;
use crate::record::{RECORD_ID_HEADER, encode_record_id};

const PROOF: Proof = Proof {
    run: 0x1234_5678_9ABC_DEF0,
    sequence: 77,
    timestamp_ms: Some(1_700_000_000_000),
    transaction: Some(InTransaction { index: 5, position: 3, previous: 9, skipped: 2 }),
};

fn content(key: &[u8], value: Option<&[u8]>, name: &[u8], id: &[u8]) -> Content {
    Content::new(Some(key), digest_of(value), (name, id))
}

#[test]
fn what_is_not_digested_again_is_the_same() {
    let id = encode_record_id(42);
    let parts = |key: &[u8], name: &[u8]| content(key, None, name, &id).0;
    let digests = [&id[..], RECORD_ID_HEADER.as_bytes(), b"other"].map(XxHash3_64::oneshot);
    assert_eq!(parts(&id, RECORD_ID_HEADER.as_bytes()), [digests[0], NULL_DIGEST, digests[1], digests[0]]);
    assert_eq!(parts(b"other", b"other"), [digests[2], NULL_DIGEST, digests[2], digests[0]]);
}

#[test]
fn what_is_written_is_read() {
    let id = encode_record_id(42);
    let content = content(&id, Some(b"value"), RECORD_ID_HEADER.as_bytes(), &id);
    for proof in [PROOF, Proof { timestamp_ms: None, transaction: None, ..PROOF }] {
        let bytes = encode(&proof, &content);
        assert_eq!(second(PROOF_HEADER.as_bytes(), &bytes), Second::Proof(&bytes));
        assert_eq!(decode(&bytes), proof);
        assert!(is_true(&bytes, &content));
    }
}

#[test]
fn the_format_stays_what_it_is() {
    let content = content(b"k", Some(b"v"), b"n", b"i");
    let bytes = encode(&PROOF, &content);
    assert_eq!(bytes[..8], [1, 254, 0, 0, 0, 0, 0, 3]);
    assert_eq!(bytes[8..16], 0x1234_5678_9ABC_DEF0_u64.to_be_bytes());
    assert_eq!(bytes[16..24], 77_u64.to_be_bytes());
    assert_eq!(bytes[24..32], 1_700_000_000_000_i64.to_be_bytes());
    assert_eq!(bytes[32..48], [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0, 2]);
    // Other releases wrote it, and topics outlive releases.
    assert_eq!(written_digest(&bytes), DIGEST_OF_OLD, "{:#x}", written_digest(&bytes));
}

const DIGEST_OF_OLD: u64 = 0x1912_5935_A376_E818;

#[test]
fn null_is_not_empty() {
    assert_ne!(digest_of(None), digest_of(Some(b"")));
}

#[test]
fn headers_of_others_are_none_of_ours() {
    for (name, value) in [("trace-id", &b"abc"[..]), ("", b""), ("proofload", &[1, 254, 0])] {
        assert_eq!(second(name.as_bytes(), value), Second::Unknown, "{name}");
    }
    let mut later = [0; 20];
    (later[0], later[1]) = (2, !2);
    assert_eq!(second(PROOF_HEADER.as_bytes(), &later), Second::Unknown, "a format that is to come");
}

#[test]
fn what_was_ours_is_known_by_what_is_left() {
    let bytes = encode(&PROOF, &content(b"k", Some(b"v"), b"n", b"i"));
    assert_eq!(second(b"PROOFLOAE", &bytes), Second::Damaged);
    assert_eq!(second(PROOF_HEADER.as_bytes(), &bytes[..40]), Second::Damaged);
    assert_eq!(second(PROOF_HEADER.as_bytes(), b""), Second::Damaged);
}

proptest! {
    /// No bit of the header, its name, or what it vouches for can be turned without a sign.
    #[test]
    fn a_flipped_bit_shows(part in 0..6_usize, seed: usize, value in prop::collection::vec(any::<u8>(), 1..300)) {
        let (id, name) = (encode_record_id(42), RECORD_ID_HEADER.as_bytes());
        let bytes = encode(&PROOF, &content(&id, Some(&value), name, &id));
        let mut parts =
            [id.to_vec(), value, name.to_vec(), id.to_vec(), bytes.to_vec(), PROOF_HEADER.as_bytes().to_vec()];
        let bit = seed % (parts[part].len() * 8);
        parts[part][bit / 8] ^= 1 << (bit % 8);
        let [key, value, name, first, bytes, own_name] = &parts;
        let sound = match second(own_name, bytes) {
            Second::Proof(bytes) => is_true(bytes, &content(key, Some(value), name, first)),
            Second::Damaged => false,
            Second::Unknown => true,
        };
        prop_assert!(!sound, "bit {bit} of part {part}");
    }
}

#[test]
fn records_are_numbered_through() {
    let mut numbers = Numbering::default();
    assert_eq!((numbers.number(None), numbers.number(None)), ((0, None), (1, None)));
    numbers.take_back();
    assert_eq!(numbers.number(None), (1, None));
}

#[test]
fn a_transaction_says_what_came_before_it() {
    let mut numbers = Numbering::default();
    let place =
        |index, position, previous, skipped| Some(InTransaction { index, position, previous, skipped });
    assert_eq!(numbers.number(Some(0)), (0, place(0, 0, 0, 0)));
    assert_eq!(numbers.number(Some(0)), (1, place(0, 1, 0, 0)));
    numbers.end_transaction(true);
    numbers.end_transaction(true);
    assert_eq!(numbers.number(Some(2)), (2, place(2, 0, 2, 0)), "one without records here changes nothing");
    numbers.end_transaction(false);
    assert_eq!(numbers.number(Some(3)), (3, place(3, 0, 2, 1)));
    assert_eq!(numbers.number(Some(3)), (4, place(3, 1, 2, 1)));
    numbers.take_back();
    numbers.end_transaction(false);
    assert_eq!(numbers.number(Some(4)), (4, place(4, 0, 2, 2)));
    numbers.end_transaction(true);
    assert_eq!(numbers.number(Some(5)), (5, place(5, 0, 1, 0)));
}
