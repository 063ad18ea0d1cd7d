//! The records of a batch, where they lie.

use thiserror::Error;

use crate::kafka::wire::protocol::Decoder;

/// A record. Its bytes are those of the response, or of what was unpacked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms since 1970; -1 is none.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, from their number on, as they lie there; they have not been looked at.
    pub headers: &'a [u8],
}

/// What the broker writes at the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// It was aborted.
    Abort,
    /// It was committed.
    Commit,
    /// A control record of another kind, with its number.
    Other(i16),
}

impl RecordRef<'_> {
    /// What a control record says; `None` where it is none. Key: version and kind, two bytes each (KIP-98).
    #[must_use]
    pub fn marker(&self) -> Option<Marker> {
        let &[_, _, high, low, ..] = self.key? else { return None };
        Some(match i16::from_be_bytes([high, low]) {
            0 => Marker::Abort,
            1 => Marker::Commit,
            other => Marker::Other(other),
        })
    }
}

/// A record that cannot be taken apart. Where the next one begins, its length may tell all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("record {index} of the batch at offset {base_offset} cannot be taken apart")]
pub struct RecordError {
    /// Which one, from 0.
    pub index: i32,
    /// The batch's first offset.
    pub base_offset: i64,
}

/// The records of a batch, as many as it says that it has.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    base_offset: i64,
    base_timestamp_ms: i64,
    /// Every record's timestamp, where the broker gave them one.
    fixed_timestamp_ms: Option<i64>,
    count: i32,
    index: i32,
}

/// How far somebody has come with the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsPlace {
    bytes_left: usize,
    index: i32,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        base_offset: i64,
        base_timestamp_ms: i64,
        fixed_timestamp_ms: Option<i64>,
        count: i32,
    ) -> Self {
        Self { bytes, base_offset, base_timestamp_ms, fixed_timestamp_ms, count, index: 0 }
    }

    /// Whether there are as many records as the batch says that it has, one behind the other and with nothing behind the
    /// last: by their lengths alone, before anything of them is shown.
    ///
    /// # Errors
    /// Which record is not there as a whole; the one behind the last, where bytes are left over.
    pub fn check_lengths(&self) -> Result<(), RecordError> {
        let mut decoder = Decoder::new(self.bytes, false);
        for index in 0..self.count {
            let length = decoder.varint().ok().and_then(|length| usize::try_from(length).ok());
            if length.and_then(|length| decoder.take(length).ok()).is_none() {
                return Err(RecordError { index, base_offset: self.base_offset });
            }
        }
        if self.count < 0 || !decoder.rest().is_empty() {
            return Err(RecordError { index: self.count, base_offset: self.base_offset });
        }
        Ok(())
    }

    /// How far it has come, for [`Self::resume`].
    #[must_use]
    pub fn place(&self) -> RecordsPlace {
        RecordsPlace { bytes_left: self.bytes.len(), index: self.index }
    }

    /// Goes on where another one over the same bytes was.
    #[must_use]
    pub fn resume(mut self, place: RecordsPlace) -> Self {
        let passed = self.bytes.len().saturating_sub(place.bytes_left);
        self.bytes = &self.bytes[passed..];
        self.index = place.index;
        self
    }

    /// How many of them have been passed.
    #[must_use]
    pub fn passed(&self) -> i32 {
        self.index
    }

    /// Whether there is no next one.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.index >= self.count
    }

    /// The bytes of the next record, behind their length.
    #[inline]
    fn body(&mut self) -> Option<&'a [u8]> {
        let mut decoder = Decoder::new(self.bytes, false);
        let length = usize::try_from(decoder.varint().ok()?).ok()?;
        let body = decoder.take(length).ok()?;
        self.bytes = decoder.rest();
        Some(body)
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "handed back in memory, it waits for stores of another size: some 5 % of what a record costs"
    )]
    fn record(&mut self) -> Option<RecordRef<'a>> {
        let Some(body) = self.body() else {
            // There is no finding the next one.
            self.index = self.count;
            return None;
        };
        let mut decoder = Decoder::new(body, false);
        let _attributes = decoder.i8().ok()?;
        let (timestamp_delta, offset_delta) = (decoder.varlong().ok()?, decoder.varint().ok()?);
        let key = bytes(&mut decoder)?;
        let value = bytes(&mut decoder)?;
        Some(RecordRef {
            offset: self.base_offset.wrapping_add(offset_delta.into()),
            timestamp_ms: self
                .fixed_timestamp_ms
                .unwrap_or_else(|| self.base_timestamp_ms.wrapping_add(timestamp_delta)),
            key,
            value,
            headers: decoder.rest(),
        })
    }
}

/// Bytes behind their length, where -1 is null. The outer `None` is none that can be read.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as of whoever calls it, and it is called twice")]
#[expect(clippy::option_option, reason = "null is a value")]
fn bytes<'a>(decoder: &mut Decoder<'a>) -> Option<Option<&'a [u8]>> {
    match decoder.varint().ok()? {
        -1 => Some(None),
        length => Some(Some(decoder.take(usize::try_from(length).ok()?).ok()?)),
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let index = self.index;
        self.index += 1;
        Some(self.record().ok_or(RecordError { index, base_offset: self.base_offset }))
    }
}
