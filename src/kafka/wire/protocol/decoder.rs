//! Reading fields from a response's bytes, in both dialects: with plain lengths, or compact and tagged (KIP-482).
//!
//! Bytes behind a message's last field are nobody's fault that matters, and ignored, as brokers ignore them behind a
//! request's: each field was read, and the frame says where the next message begins. librdkafka's mock leaves some.

use thiserror::Error;

use super::{TopicId, TopicRef};

/// Bytes that are no such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The message ends in the middle of a field.
    #[error("the message ends at byte {at}, {missing} bytes before a field does")]
    Short {
        /// Where the message ends.
        at: usize,
        /// How much is missing of the field, at least.
        missing: usize,
    },
    /// A length or a number that cannot be.
    #[error("a {what} of {value} at byte {at}")]
    Absurd {
        /// What it is of.
        what: &'static str,
        /// Its value.
        value: i64,
        /// Where it stands.
        at: usize,
    },
    /// A text that is none.
    #[error("a text at byte {at} is not UTF-8")]
    NotUtf8 {
        /// Where it begins.
        at: usize,
    },
}

/// The rest of a message. What it returns is borrowed from the message.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
}

/// A variable length takes so many bytes of seven bits at the most.
const VARINT_BYTES: u32 = 5;
const VARLONG_BYTES: u32 = 10;

impl<'a> Decoder<'a> {
    /// From the beginning of these bytes; `flexible`: lengths are compact, and structures end with tagged fields.
    #[must_use]
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { bytes, at: 0, flexible }
    }

    /// Where it stands, from the beginning of the bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Passes so many bytes, and returns them.
    ///
    /// # Errors
    /// There are not so many.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.rest();
        match rest.split_at_checked(count) {
            Some((taken, _)) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(DecodeError::Short { at: self.bytes.len(), missing: count - rest.len() }),
        }
    }

    #[inline]
    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One signed byte.
    ///
    /// # Errors
    /// The message ends before.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.array_of()?))
    }

    /// A truth value.
    ///
    /// # Errors
    /// The message ends before.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// The message ends before.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array_of()?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// The message ends before.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array_of()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// The message ends before.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array_of()?))
    }

    /// A topic's id.
    ///
    /// # Errors
    /// The message ends before.
    pub fn topic_id(&mut self) -> Result<TopicId, DecodeError> {
        self.array_of()
    }

    /// An unsigned number of up to 32 bits, seven in each byte, the lowest first.
    ///
    /// # Errors
    /// The message ends before, or the number does not.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let value = self.groups_of_seven(VARINT_BYTES)?;
        u32::try_from(value).map_err(|_| self.absurd("32-bit number", value))
    }

    /// A signed number of up to 32 bits, in zigzag.
    ///
    /// # Errors
    /// As for [`Self::unsigned_varint`].
    #[inline]
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let value = self.unsigned_varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A signed number of up to 64 bits, in zigzag.
    ///
    /// # Errors
    /// The message ends before, or the number does not.
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let value = self.groups_of_seven(VARLONG_BYTES)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Nearly all numbers of a record take one byte or two.
    #[inline]
    fn groups_of_seven(&mut self, most: u32) -> Result<u64, DecodeError> {
        match *self.rest() {
            [only, ..] if only < 0x80 => {
                self.at += 1;
                Ok(only.into())
            }
            [low, high, ..] if high < 0x80 => {
                self.at += 2;
                Ok(u64::from(high) << 7 | u64::from(low & 0x7F))
            }
            _ => self.more_groups_of_seven(most),
        }
    }

    #[inline(never)]
    fn more_groups_of_seven(&mut self, most: u32) -> Result<u64, DecodeError> {
        let mut value = 0;
        for index in 0..most {
            let [byte] = self.array_of()?;
            // What the tenth byte of 64 bits has too much of is dropped, as by Kafka.
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.absurd("number without an end", value))
    }

    #[cold]
    fn absurd(&self, what: &'static str, value: u64) -> DecodeError {
        DecodeError::Absurd { what, value: value.cast_signed(), at: self.at }
    }

    /// A length; `None` is null. It fits into what is left: nothing is made that is larger than the message.
    fn length(
        &mut self,
        what: &'static str,
        plain: fn(&mut Self) -> Result<i64, DecodeError>,
    ) -> Result<Option<usize>, DecodeError> {
        let at = self.at;
        let length = if self.flexible { i64::from(self.unsigned_varint()?) - 1 } else { plain(self)? };
        if length == -1 {
            return Ok(None);
        }
        match usize::try_from(length) {
            Ok(length) if length <= self.rest().len() => Ok(Some(length)),
            _ => Err(DecodeError::Absurd { what, value: length, at }),
        }
    }

    fn short_length(&mut self, what: &'static str) -> Result<Option<usize>, DecodeError> {
        self.length(what, |decoder| decoder.i16().map(i64::from))
    }

    fn long_length(&mut self, what: &'static str) -> Result<Option<usize>, DecodeError> {
        self.length(what, |decoder| decoder.i32().map(i64::from))
    }

    /// A text, or null.
    ///
    /// # Errors
    /// The message ends before, or it is no text.
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, DecodeError> {
        let Some(length) = self.short_length("text's length")? else { return Ok(None) };
        let at = self.at;
        str::from_utf8(self.take(length)?).map(Some).map_err(|_| DecodeError::NotUtf8 { at })
    }

    /// A text; null is an empty one.
    ///
    /// # Errors
    /// As for [`Self::nullable_string`].
    pub fn string(&mut self) -> Result<&'a str, DecodeError> {
        Ok(self.nullable_string()?.unwrap_or_default())
    }

    /// Bytes; null is none.
    ///
    /// # Errors
    /// The message ends before.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.long_length("byte string's length")?;
        self.take(length.unwrap_or(0))
    }

    /// How many elements follow; null is none. Each takes a byte at least, so there are no more than bytes.
    ///
    /// # Errors
    /// The message ends before.
    pub fn array_length(&mut self) -> Result<usize, DecodeError> {
        Ok(self.long_length("list's length")?.unwrap_or(0))
    }

    /// All elements of a list.
    ///
    /// # Errors
    /// An element cannot be read.
    pub fn array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let length = self.array_length()?;
        // It grows with what is read: a length alone takes no memory.
        let mut all = Vec::new();
        for _ in 0..length {
            all.push(element(self)?);
        }
        Ok(all)
    }

    /// The partitions of an answer about one topic, which it names; each ends with its tagged fields.
    ///
    /// # Errors
    /// A field cannot be read.
    pub fn partitions_of_topic<T: Clone>(
        &mut self,
        mut partition: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let topics = self.array(|decoder| {
            let _name = decoder.string()?;
            let partitions = decoder.array(|decoder| {
                let read = partition(decoder)?;
                decoder.skip_tags()?;
                Ok(read)
            })?;
            decoder.skip_tags()?;
            Ok(partitions)
        })?;
        Ok(topics.concat())
    }

    /// A topic: by its name, or by its id in versions that have ids.
    ///
    /// # Errors
    /// The message ends before, or the name is no text.
    pub fn topic(&mut self, by_id: bool) -> Result<TopicRef<'a>, DecodeError> {
        Ok(if by_id { TopicRef::Id(self.topic_id()?) } else { TopicRef::Name(self.string()?) })
    }

    /// Shows the tagged fields at the end of a structure; the plain dialect has none.
    ///
    /// # Errors
    /// A field cannot be read.
    pub fn tags(
        &mut self,
        mut each: impl FnMut(u32, &mut Decoder<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            let mut field = Decoder::new(self.take(length)?, true);
            each(tag, &mut field)?;
        }
        Ok(())
    }

    /// Passes the tagged fields of a structure, of which none is of interest.
    ///
    /// # Errors
    /// A field cannot be read.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_are_zigzag() {
        let numbers = |bytes: &[u8]| Decoder::new(bytes, false).varlong();
        assert_eq!(
            [numbers(&[0]), numbers(&[1]), numbers(&[2]), numbers(&[3])],
            [Ok(0), Ok(-1), Ok(1), Ok(-2)]
        );
        assert_eq!(numbers(&[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]), Ok(i64::MAX));
        assert_eq!(numbers(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]), Ok(i64::MIN));
        assert_eq!(
            [numbers(&[0x80, 1]), numbers(&[0xFE, 0x7F]), numbers(&[0x80, 0x80, 1])],
            [Ok(64), Ok(8_191), Ok(8_192)]
        );
        assert_eq!(numbers(&[0x80]), Err(DecodeError::Short { at: 1, missing: 1 }));
        assert!(matches!(numbers(&[0xFF; 11]), Err(DecodeError::Absurd { at: 10, .. })));
        assert!(matches!(Decoder::new(&[0xFF; 5], false).unsigned_varint(), Err(DecodeError::Absurd { .. })));
    }

    #[test]
    fn what_is_too_short_says_where_and_by_how_much() {
        assert_eq!(Decoder::new(&[0, 0, 0], false).i64(), Err(DecodeError::Short { at: 3, missing: 5 }));
    }

    #[test]
    fn no_length_is_believed_that_does_not_fit() {
        let absurd = |bytes: &[u8], flexible| {
            let error = Decoder::new(bytes, flexible).array(Decoder::i8).unwrap_err();
            matches!(error, DecodeError::Absurd { at: 0, .. })
        };
        assert!(absurd(&[0x7F, 0xFF, 0xFF, 0xFF], false));
        assert!(absurd(&[0x80, 0, 0, 0], false), "negative");
        assert!(absurd(&[3, 0], true));
    }

    #[test]
    fn null_and_empty_are_told_apart() {
        let text =
            |bytes: &[u8], flexible| Decoder::new(bytes, flexible).nullable_string().unwrap().map(str::len);
        assert_eq!([text(&[255, 255], false), text(&[0, 0], false)], [None, Some(0)]);
        assert_eq!([text(&[0], true), text(&[1], true), text(&[2, b'a'], true)], [None, Some(0), Some(1)]);
        assert_eq!(Decoder::new(&[0, 1, 0xFF], false).string(), Err(DecodeError::NotUtf8 { at: 2 }));
    }

    #[test]
    fn tagged_fields_are_shown_and_passed() {
        let mut seen = Vec::new();
        let mut decoder = Decoder::new(&[2, 0, 1, 7, 5, 2, 9, 9, 42], true);
        decoder
            .tags(|tag, field| {
                seen.push((tag, field.rest().len()));
                Ok(())
            })
            .unwrap();
        assert_eq!((seen, decoder.rest()), (vec![(0, 1), (5, 2)], &[42][..]));
    }
}
