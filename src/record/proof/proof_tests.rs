use proptest::prelude::*;

use super::*;
use crate::record::{RECORD_ID_HEADER, encode_record_id};

const PROOF: Proof = Proof {
    run: 0x12_3456_789A,
    sequence: 77,
    timestamp_ms: Some(1_700_000_000_000),
    micros: None,
    transaction: Some(InTransaction { index: 5, position: 3, previous: 9, skipped: 2 }),
};

fn content(key: &[u8], value: Option<&[u8]>, name: &[u8], id: &[u8]) -> Content {
    Content::new(Some(key), digest_of(value), (name, id))
}

#[test]
fn what_is_written_is_read() {
    let id = encode_record_id(42);
    let content = content(&id, Some(b"value"), RECORD_ID_HEADER.as_bytes(), &id);
    let timed = Proof { micros: Some(999), ..PROOF };
    let plain = Proof { timestamp_ms: None, transaction: None, ..PROOF };
    for proof in [PROOF, plain, timed, Proof { transaction: None, micros: Some(0), ..PROOF }] {
        let encoded = encode(&proof, &content);
        let Second::Proof(written) = second(PROOF_HEADER.as_bytes(), encoded.as_bytes()) else {
            panic!("{proof:?} is not known again")
        };
        assert_eq!(written.decode(), proof);
        assert!(written.is_true(&content));
    }
}

#[test]
fn the_short_format_is_for_what_fits() {
    let plain = Proof { transaction: None, ..PROOF };
    let of_time = |timestamp_ms| Proof { timestamp_ms, ..plain };
    let last_that_fits = i64::try_from(NO_TIME).unwrap() - 1;
    let bytes_of = |proof: Proof| {
        let encoded = encode(&proof, &content(b"k", Some(b"v"), b"n", b"i"));
        assert_eq!(Written::of(encoded.as_bytes()).unwrap().decode(), proof);
        encoded.as_bytes().len()
    };
    let of_run = |run| Proof { run, ..plain };
    let of_sequence = |sequence| Proof { sequence, ..plain };
    let fitting = [of_time(None), of_time(Some(0)), of_time(Some(last_that_fits))];
    for proof in fitting.into_iter().chain([plain, of_run(RUNS - 1), of_sequence((1 << SEQUENCE_BITS) - 1)]) {
        assert_eq!(bytes_of(proof), SHORT_BYTES, "{proof:?}");
    }
    let too_large = [of_time(Some(last_that_fits + 1)), of_run(RUNS), of_sequence(1 << SEQUENCE_BITS)];
    for proof in too_large.into_iter().chain([PROOF, of_time(Some(i64::MAX)), of_sequence(u64::MAX)]) {
        assert_eq!(bytes_of(proof), LONG_BYTES, "{proof:?}");
    }
}

#[test]
fn the_formats_stay_what_they_are() {
    let content = content(b"k", Some(b"v"), b"n", b"i");
    let short = encode(&Proof { transaction: None, ..PROOF }, &content);
    let bytes = short.as_bytes();
    let bits = format!("{:0128b}", u128::from_be_bytes(bytes[..16].try_into().unwrap()));
    let expected = format!("{:08b}{:042b}{:048b}{:030b}", 2, 1_700_000_000_000_i64, 0x12_3456_789A_i64, 77);
    assert_eq!(bits, expected);
    let written = Written::of(bytes).unwrap().written_digest();
    assert_eq!(written, SHORT_DIGEST, "{written:#x}");
    let long = encode(&Proof { run: 0x1234_5678_9ABC_DEF0, ..PROOF }, &content);
    let bytes = long.as_bytes();
    assert_eq!(bytes[..8], [3, 252, 0, 0, 0, 0, 0, 3]);
    assert_eq!(bytes[8..16], 0x1234_5678_9ABC_DEF0_u64.to_be_bytes());
    assert_eq!(bytes[16..24], 77_u64.to_be_bytes());
    assert_eq!(bytes[24..32], 1_700_000_000_000_i64.to_be_bytes());
    assert_eq!(bytes[32..48], [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0, 2]);
    // Other releases wrote it, and topics outlive releases.
    let written = Written::of(bytes).unwrap().written_digest();
    assert_eq!(written, LONG_DIGEST, "{written:#x}");
}

#[test]
fn a_time_that_is_known_to_the_us_has_its_format() {
    let content = content(b"k", Some(b"v"), b"n", b"i");
    let timed = Proof { transaction: None, micros: Some(321), ..PROOF };
    let encoded = encode(&timed, &content);
    let (short, bytes) = (encode(&Proof { micros: None, ..timed }, &content), encoded.as_bytes());
    assert_eq!((bytes.len(), bytes[0], &bytes[16..18]), (TIMED_BYTES, 5, &321_u16.to_be_bytes()[..]));
    assert_eq!(bytes[1..16], short.as_bytes()[1..16], "the rest is that of the short one");
    assert_eq!(timed.intended_us(), Some(1_700_000_000_000_321));
    assert_eq!(Proof { micros: None, ..timed }.intended_us(), None);
    assert_eq!(encode(&Proof { micros: Some(1), ..PROOF }, &content).as_bytes()[2..4], [0, 2]);
}

const SHORT_DIGEST: u64 = 0xC525_6D3A_E894_7A41;
const LONG_DIGEST: u64 = 0x2735_0C3B_C5C4_F169;

#[test]
fn null_is_not_empty() {
    assert_ne!(digest_of(None), digest_of(Some(b"")));
}

#[test]
fn headers_of_others_are_none_of_ours() {
    for (name, value) in [("trace-id", &b"abc"[..]), ("", b""), ("proofload", &[3, 252, 0])] {
        assert_eq!(second(name.as_bytes(), value), Second::Unknown, "{name}");
    }
    let mut later = [0; 20];
    (later[0], later[1]) = (1, !1);
    assert_eq!(second(PROOF_HEADER.as_bytes(), &later), Second::Unknown, "another format");
}

#[test]
fn what_was_ours_is_known_by_what_is_left() {
    let plain = Proof { transaction: None, ..PROOF };
    for proof in [PROOF, plain, Proof { micros: Some(7), ..plain }] {
        let encoded = encode(&proof, &content(b"k", Some(b"v"), b"n", b"i"));
        let bytes = encoded.as_bytes();
        assert!(matches!(second(b"PROOFLOAE", bytes), Second::Misnamed(_)));
        assert_eq!(second(PROOF_HEADER.as_bytes(), &bytes[..bytes.len() - 1]), Second::Damaged);
        assert_eq!(second(PROOF_HEADER.as_bytes(), &[bytes, &[0]].concat()), Second::Damaged);
    }
    assert_eq!(second(PROOF_HEADER.as_bytes(), b""), Second::Damaged);
}

proptest! {
    /// No bit of the header, its name, or what it vouches for can be turned without a sign.
    #[test]
    fn a_flipped_bit_shows(
        part in 0..6_usize,
        seed: usize,
        in_transaction: bool,
        micros in prop::option::of(0..1_000_u16),
        value in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let (id, name) = (encode_record_id(42), RECORD_ID_HEADER.as_bytes());
        let proof = Proof { transaction: PROOF.transaction.filter(|_| in_transaction), micros, ..PROOF };
        let header = encode(&proof, &content(&id, Some(&value), name, &id)).as_bytes().to_vec();
        let mut parts = [id.to_vec(), value, name.to_vec(), id.to_vec(), header, PROOF_HEADER.into()];
        let bit = seed % (parts[part].len() * 8);
        parts[part][bit / 8] ^= 1 << (bit % 8);
        let [key, value, name, first, header, own_name] = &parts;
        let content = content(key, Some(value), name, first);
        let sound = match second(own_name, header) {
            Second::Proof(header) => header.is_true(&content),
            Second::Misnamed(header) => !header.is_true(&content),
            Second::Damaged => false,
            Second::Unknown => true,
        };
        prop_assert!(!sound, "bit {bit} of part {part}");
    }
}
