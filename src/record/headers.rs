//! The headers of a record as they lie on the wire: decoded where they are, without an allocation.
//!
//! Pure. Format: <https://kafka.apache.org/documentation/#recordheader>; numbers are zigzag varints.

use super::{
    Header, RECORD_ID_BYTES, RECORD_ID_HEADER,
    proof::{PROOF_HEADER, SHORT_BYTES},
};

/// The first two headers; `None` when not every byte is part of a header: nothing in such a record is what its writer
/// sent.
#[inline]
pub(crate) fn first_two(bytes: &[u8]) -> Option<[Option<Header<'_>>; 2]> {
    match of_ours(bytes) {
        Some(headers) => Some(headers.map(Some)),
        None => decode(bytes),
    }
}

const NAME_BYTES: usize = RECORD_ID_HEADER.len();
const PROOF_NAME_BYTES: usize = PROOF_HEADER.len();
/// What stands before the record id of a record of ours, behind the number of its headers, and before its proof.
const BEFORE_ID: [u8; NAME_BYTES + 2] = surrounded(RECORD_ID_HEADER, RECORD_ID_BYTES);
const BEFORE_PROOF: [u8; PROOF_NAME_BYTES + 2] = surrounded(PROOF_HEADER, SHORT_BYTES);
const OUR_BYTES: usize = 1 + BEFORE_ID.len() + RECORD_ID_BYTES + BEFORE_PROOF.len() + SHORT_BYTES;

/// A name between its length and that of what follows, as varints of a byte each.
const fn surrounded<const N: usize>(name: &str, value_bytes: usize) -> [u8; N] {
    let (mut bytes, name) = ([0; N], name.as_bytes());
    assert!(name.len() < 64 && value_bytes < 64 && N == name.len() + 2);
    bytes[0] = small(name.len());
    let mut index = 0;
    while index < name.len() {
        bytes[1 + index] = name[index];
        index += 1;
    }
    bytes[N - 1] = small(value_bytes);
    bytes
}

/// A number below 64 as a zigzag varint.
#[expect(clippy::cast_possible_truncation, reason = "it is below 64")]
const fn small(number: usize) -> u8 {
    number as u8 * 2
}

/// The headers of a record as this program writes them outside transactions, which most are: of known lengths, they are
/// compared with what they must be, and no number in them has to be decoded.
#[inline]
fn of_ours(bytes: &[u8]) -> Option<[Header<'_>; 2]> {
    let bytes: &[u8; OUR_BYTES] = bytes.try_into().ok()?;
    let (count, rest) = bytes.split_first()?;
    let (before_id, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk::<RECORD_ID_BYTES>()?;
    let (before_proof, proof) = rest.split_first_chunk()?;
    if *count != small(2) || *before_id != BEFORE_ID || *before_proof != BEFORE_PROOF {
        return None;
    }
    Some([(&before_id[1..][..NAME_BYTES], id), (&before_proof[1..][..PROOF_NAME_BYTES], proof)])
}

fn decode(mut rest: &[u8]) -> Option<[Option<Header<'_>>; 2]> {
    let mut found = [None; 2];
    let count = varint(&mut rest).filter(|count| *count >= 0)?;
    // A count that lies is stopped by the end of the bytes: no header takes less than two.
    for index in 0..count {
        let header = header(&mut rest)?;
        if let Some(place) = usize::try_from(index).ok().and_then(|index| found.get_mut(index)) {
            *place = Some(header);
        }
    }
    rest.is_empty().then_some(found)
}

fn header<'a>(rest: &mut &'a [u8]) -> Option<Header<'a>> {
    let name_bytes = varint(rest)?;
    let name = take(rest, name_bytes)?;
    let value_bytes = varint(rest)?;
    // Null is as good as empty here.
    let value = if value_bytes == -1 { &[] } else { take(rest, value_bytes)? };
    Some((name, value))
}

fn take<'a>(rest: &mut &'a [u8], count: i64) -> Option<&'a [u8]> {
    let (bytes, behind) = rest.split_at_checked(usize::try_from(count).ok()?)?;
    *rest = behind;
    Some(bytes)
}

fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(bytes: &mut Vec<u8>, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while rest >= 0x80 {
            bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        bytes.push(rest.to_le_bytes()[0]);
    }

    fn encode(headers: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<u8> {
        let length = |bytes: &[u8]| i64::try_from(bytes.len()).unwrap();
        let mut bytes = Vec::new();
        put(&mut bytes, i64::try_from(headers.len()).unwrap());
        for (name, value) in headers {
            put(&mut bytes, length(name));
            bytes.extend(name);
            put(&mut bytes, value.as_deref().map_or(-1, length));
            bytes.extend(value.iter().flatten());
        }
        bytes
    }

    #[test]
    fn numbers_are_zigzag_varints() {
        // The examples of the protocol buffers' documentation, whose encoding it is.
        for (bytes, number) in [
            (&[0][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0xFE, 0xFF, 0xFF, 0xFF, 0x0F], 0x7FFF_FFFF),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], -0x8000_0000),
        ] {
            let mut rest = bytes;
            assert_eq!((varint(&mut rest), rest), (Some(number), &[][..]), "{bytes:?}");
        }
        assert_eq!(varint(&mut &[0x80; 11][..]), None, "longer than any number");
        assert_eq!(varint(&mut &[0x80][..]), None, "cut off");
    }

    #[test]
    fn no_headers_are_none() {
        assert_eq!(first_two(&[0]), Some([None, None]));
        assert_eq!(first_two(&[]), None, "not even a number of them");
        assert_eq!(first_two(&[1]), None, "fewer than none");
    }

    /// With the lengths that headers of ours have, and any byte of them changed.
    #[test]
    fn what_is_compared_is_the_same_as_what_is_decoded() {
        let header = |name: &str, bytes: usize| (name.into(), Some(vec![b'7'; bytes]));
        let ours = encode(&[header(RECORD_ID_HEADER, RECORD_ID_BYTES), header(PROOF_HEADER, SHORT_BYTES)]);
        let [first, second] = of_ours(&ours).expect("known at once");
        assert_eq!(decode(&ours), Some([Some(first), Some(second)]));
        for index in 0..ours.len() {
            for bit in 0..8 {
                let mut changed = ours.clone();
                changed[index] ^= 1 << bit;
                assert_eq!(first_two(&changed), decode(&changed), "bit {bit} of {index}");
            }
        }
        assert!(of_ours(&ours[..ours.len() - 1]).is_none());
    }

    #[test]
    fn bytes_that_are_no_header_spoil_all() {
        let sound = encode(&[(b"a".into(), Some(b"b".into())), (b"c".into(), None)]);
        assert_eq!(first_two(&sound), Some([Some((&b"a"[..], &b"b"[..])), Some((&b"c"[..], &[][..]))]));
        assert_eq!(first_two(&[&sound[..], &[0]].concat()), None, "one byte too many");
        assert_eq!(first_two(&sound[..sound.len() - 1]), None, "one too few");
        assert_eq!(first_two(&[2, 1, 0]), None, "a name that is null");
        let mut endless = Vec::new();
        put(&mut endless, i64::MAX);
        assert_eq!(first_two(&endless), None, "a count that lies");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            headers in prop::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..5),
        ) {
            let bytes = encode(&headers);
            let expected = [0, 1].map(|index| {
                headers.get(index).map(|(name, value)| (&name[..], value.as_deref().unwrap_or_default()))
            });
            prop_assert_eq!(first_two(&bytes), Some(expected));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            if let Some([first, second]) = first_two(&bytes) {
                prop_assert!(first.is_some() || second.is_none());
            }
        }
    }
}
