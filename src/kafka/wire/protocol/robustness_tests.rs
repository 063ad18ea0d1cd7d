//! No bytes make a decoder panic, or take more memory than they are.

use proptest::prelude::*;

use super::*;

/// Reads these bytes as a response of each kind and version. Returns how often they were one.
fn decode_as_everything(bytes: &[u8]) -> usize {
    let mut count = 0;
    for api in Api::ALL {
        let (first, last) = api.spoken();
        for version in first..=last {
            let Ok((_, decoder)) = ResponseHeader::decode(api, version, bytes) else { continue };
            count += usize::from(decode(api, version, decoder).is_ok());
        }
    }
    count
}

pub(super) fn decode(api: Api, version: i16, decoder: Decoder<'_>) -> Result<(), DecodeError> {
    api.read_answer(version, decoder, |one| assert!(one.aborted().count() < 4096))
}

#[test]
fn a_response_that_is_cut_off_is_none() {
    // The answer to an EndTxn of version 0.
    let whole = [0, 0, 0, 7, 0, 0, 0, 0, 0, 0];
    let decoded = |bytes: &[u8]| {
        let (_, decoder) = ResponseHeader::decode(Api::EndTxn, 0, bytes)?;
        EndTxnResponse::decode(0, decoder)
    };
    assert!(decoded(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(matches!(decoded(&whole[..length]), Err(DecodeError::Short { .. })), "{length} bytes");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(decoded(&longer), decoded(&whole), "what lies behind the last field is ignored");
}

#[test]
fn a_version_that_is_too_new_is_answered_in_the_first_one() {
    let answer = [0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2];
    let (_, decoder) = ResponseHeader::decode(Api::ApiVersions, 3, &answer).unwrap();
    let response = ApiVersionsResponse::decode(3, decoder).unwrap();
    assert_eq!((response.error, response.ranges), (35, vec![ApiRange { key: 18, first: 0, last: 2 }]));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        decode_as_everything(&bytes);
    }

    /// Small numbers look like lengths.
    #[test]
    fn any_lengths_are_survived(bytes in proptest::collection::vec(0_u8..4, 0..256)) {
        decode_as_everything(&bytes);
    }
}
