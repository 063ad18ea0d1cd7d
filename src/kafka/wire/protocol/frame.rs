//! A request's frame and header, and a response's.

use super::{Api, DecodeError, Decoder, Encoder};

/// A request that is small enough to be encoded as a whole.
pub trait Request {
    /// What kind it is.
    const API: Api;

    /// Appends its fields, as this version has them.
    fn encode(&self, version: i16, encoder: &mut Encoder<'_>);
}

/// Bytes of a frame's length, which does not count itself.
const LENGTH_BYTES: usize = 4;

/// Appends a whole request with its frame: length, header, fields.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
    out: &mut Vec<u8>,
) {
    let start = begin_frame(R::API, version, correlation_id, client_id, out);
    request.encode(version, &mut Encoder::new(out, R::API.is_flexible(version)));
    finish_frame(out, start, 0);
}

/// Appends a frame's length, which is not known yet, and a request's header. Returns where the frame begins.
pub fn begin_frame(api: Api, version: i16, correlation_id: i32, client_id: &str, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    // The client's id is never compact, also where tagged fields follow it.
    let mut header = Encoder::new(out, false);
    header.i32(0);
    header.i16(api.key());
    header.i16(version);
    header.i32(correlation_id);
    header.nullable_string(Some(client_id));
    Encoder::new(out, api.is_flexible(version)).no_tags();
    start
}

/// Writes the length of a frame that began at `start`. So many bytes of it are not in `out`: they are sent from
/// where they lie.
pub fn finish_frame(out: &mut [u8], start: usize, bytes_elsewhere: usize) {
    let length = out.len() - start - LENGTH_BYTES + bytes_elsewhere;
    // Brokers refuse a hundredth of that.
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// What a response begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Of the request that it answers.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the header of a response (without its frame's length). Returns it with what follows.
    ///
    /// # Errors
    /// It is shorter than that.
    pub fn decode(api: Api, version: i16, response: &[u8]) -> Result<(Self, Decoder<'_>), DecodeError> {
        // A broker that does not know this version of ApiVersions answers in its first one, which everybody can read:
        // so that response never has tagged fields in its header (KIP-511).
        let has_tags = api.is_flexible(version) && api != Api::ApiVersions;
        let mut decoder = Decoder::new(response, has_tags);
        let correlation_id = decoder.i32()?;
        decoder.skip_tags()?;
        let body = Decoder::new(decoder.rest(), api.is_flexible(version));
        Ok((Self { correlation_id }, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Request for Nothing {
        const API: Api = Api::ApiVersions;

        fn encode(&self, _version: i16, _encoder: &mut Encoder<'_>) {}
    }

    #[test]
    fn the_client_s_id_is_not_compact_in_front_of_tagged_fields() {
        let encoded = |version| {
            let mut out = vec![9];
            encode_request(&Nothing, version, 5, "ab", &mut out);
            out
        };
        assert_eq!(encoded(0), [9, 0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 5, 0, 2, b'a', b'b']);
        assert_eq!(encoded(3), [9, 0, 0, 0, 13, 0, 18, 0, 3, 0, 0, 0, 5, 0, 2, b'a', b'b', 0]);
    }

    #[test]
    fn what_lies_elsewhere_is_part_of_the_frame() {
        let mut out = Vec::new();
        let start = begin_frame(Api::Produce, 8, 1, "", &mut out);
        finish_frame(&mut out, start, 1_000);
        assert_eq!(out[..4], 1_010_i32.to_be_bytes());
    }

    #[test]
    fn a_response_header_may_have_tagged_fields() {
        let (header, body) = ResponseHeader::decode(Api::Fetch, 12, &[0, 0, 0, 7, 1, 0, 1, 3, 42]).unwrap();
        assert_eq!((header.correlation_id, body.rest()), (7, &[42][..]));
        let (_, body) = ResponseHeader::decode(Api::ApiVersions, 3, &[0, 0, 0, 7, 0, 0]).unwrap();
        assert_eq!(body.rest(), [0, 0]);
    }
}
