//! What a repeater's record looks like on the wire: its key, and the header in
//! front of its payload. Pure; the formats are the compatibility contract's.

/// Bytes in front of the payload.
pub(super) const HEADER_BYTES: usize = 17;

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The token that travels in it.
    pub(super) token: i64,
    /// When it was sent, µs since the epoch.
    pub(super) sent_at_us: i64,
    /// Whether it was sent in a transaction that was going to be aborted.
    pub(super) aborted: bool,
}

/// Why a value is no repeater's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// It does not even hold a header.
    TooShort,
    /// The byte that says whether it was aborted says neither.
    NoRecord,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.token.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sent_at_us.to_be_bytes());
        bytes[16] = u8::from(self.aborted);
        bytes
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, BadBody> {
        let (token, rest) = value.split_first_chunk().ok_or(BadBody::TooShort)?;
        let (sent_at, rest) = rest.split_first_chunk().ok_or(BadBody::TooShort)?;
        let header = Self {
            token: i64::from_be_bytes(*token),
            sent_at_us: i64::from_be_bytes(*sent_at),
            aborted: match rest.first() {
                Some(0) => false,
                Some(1) => true,
                Some(_) => return Err(BadBody::NoRecord),
                None => return Err(BadBody::TooShort),
            },
        };
        // Tokens count from 0, and nothing was sent before the epoch: other data mostly fails here.
        if header.token < 0 || header.sent_at_us < 0 { Err(BadBody::NoRecord) } else { Ok(header) }
    }
}

impl std::fmt::Display for BadBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::TooShort => "its value is shorter than a repeater's header",
            Self::NoRecord => "its value does not begin with a repeater's header",
        })
    }
}

/// A number in decimal, without an allocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    digits: [u8; Key::CAPACITY],
    start: usize,
}

impl Key {
    /// Digits of the largest 64-bit number.
    const CAPACITY: usize = 20;

    pub(super) fn new(number: u64) -> Self {
        let (mut digits, mut start, mut rest) = ([b'0'; Self::CAPACITY], Self::CAPACITY, number);
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Self { digits, start };
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_the_contract_s() {
        let header =
            Header { token: 0x0102_0304_0506_0708, sent_at_us: 0x1112_1314_1516_1718, aborted: true };
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 1];
        assert_eq!(header.encode(), bytes);
    }

    #[test]
    fn other_values_are_refused() {
        let good = Header { token: 1, sent_at_us: 1, aborted: false }.encode();
        for length in 0..HEADER_BYTES {
            assert_eq!(Header::decode(&good[..length]), Err(BadBody::TooShort), "{length}");
        }
        let mut odd = good;
        odd[16] = 2;
        assert_eq!(Header::decode(&odd), Err(BadBody::NoRecord));
        assert_eq!(Header::decode(b"\xff some other record"), Err(BadBody::NoRecord));
    }

    proptest! {
        #[test]
        fn headers_round_trip(token in 0..i64::MAX, sent_at_us in 0..i64::MAX, aborted: bool, payload: Vec<u8>) {
            let header = Header { token, sent_at_us, aborted };
            let value = [header.encode().as_slice(), &payload].concat();
            prop_assert_eq!(Header::decode(&value), Ok(header));
        }

        #[test]
        fn keys_are_decimal(number: u64) {
            let text = number.to_string();
            let key = Key::new(number);
            prop_assert_eq!(key.as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn extreme_keys() {
        assert_eq!(Key::new(0).as_bytes(), b"0");
        assert_eq!(Key::new(u64::MAX).as_bytes(), b"18446744073709551615");
    }
}
