//! Writing fields of a request, in both dialects.

use super::{TopicId, TopicRef, TopicRefs};
use crate::partitions::TopicPartition;

/// Appends fields to a buffer; the buffer is reused from request to request.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    flexible: bool,
}

impl<'a> Encoder<'a> {
    /// Appends to `out`; `flexible`: lengths are compact, and structures end with tagged fields.
    pub fn new(out: &'a mut Vec<u8>, flexible: bool) -> Self {
        Self { out, flexible }
    }

    /// Bytes in the buffer.
    #[must_use]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// One signed byte.
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) {
        self.i8(value.into());
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A topic's id.
    pub fn topic_id(&mut self, id: TopicId) {
        self.raw(&id);
    }

    /// A topic, by its name or id: which of them belongs here, the version says.
    pub fn topic(&mut self, topic: TopicRef<'_>) {
        match topic {
            TopicRef::Name(name) => self.string(name),
            TopicRef::Id(id) => self.topic_id(id),
        }
    }

    /// An unsigned number, seven bits in each byte, the lowest first.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value.to_le_bytes()[0]);
    }

    /// A text. Names and ids are short: one of more than 32,767 bytes is cut off, and refused by the broker.
    pub fn string(&mut self, text: &str) {
        let length = text.len().min(i16::MAX.unsigned_abs().into());
        if self.flexible {
            self.compact_length(Some(length));
        } else {
            self.i16(i16::try_from(length).unwrap_or(i16::MAX));
        }
        self.raw(&text.as_bytes()[..length]);
    }

    /// A text, or null.
    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None if self.flexible => self.compact_length(None),
            None => self.i16(-1),
        }
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.array_length(bytes.len());
        self.raw(bytes);
    }

    /// How many elements, or bytes, follow.
    pub fn array_length(&mut self, length: usize) {
        if self.flexible {
            self.compact_length(Some(length));
        } else {
            self.i32(i32::try_from(length).unwrap_or(i32::MAX));
        }
    }

    /// A list that is null, which may mean "all".
    pub fn null_array(&mut self) {
        if self.flexible { self.compact_length(None) } else { self.i32(-1) }
    }

    /// A list.
    pub fn array<T>(&mut self, elements: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.array_length(elements.len());
        for element in elements {
            each(self, element);
        }
    }

    /// Partitions, which are sorted, each topic's under it.
    pub fn by_topic(&mut self, topics: TopicRefs<'_>, partitions: &[TopicPartition]) {
        let by_topic = || partitions.chunk_by(|one, next| one.topic == next.topic);
        self.array_length(by_topic().count());
        for partitions in by_topic() {
            self.topic(topics.at(partitions[0].topic));
            self.array(partitions, |encoder, place| encoder.i32(place.partition));
            self.no_tags();
        }
    }

    /// The end of a structure: no tagged field is sent.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        }
    }

    fn compact_length(&mut self, length: Option<usize>) {
        let above_null = length.map_or(0, |length| length.saturating_add(1));
        self.unsigned_varint(u32::try_from(above_null).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(flexible: bool, write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Encoder::new(&mut out, flexible));
        out
    }

    #[test]
    fn null_has_a_length_of_its_own_in_each_dialect() {
        let null = |flexible| encoded(flexible, |encoder| encoder.nullable_string(None));
        assert_eq!((null(false), null(true)), (vec![255, 255], vec![0]));
        #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is of one lifetime only")]
        let list = |flexible| encoded(flexible, |encoder| encoder.null_array());
        assert_eq!((list(false), list(true)), (vec![255; 4], vec![0]));
        assert_eq!(encoded(true, |encoder| encoder.string("")), [1]);
    }

    #[test]
    fn long_compact_lengths_take_two_bytes() {
        assert_eq!(encoded(true, |encoder| encoder.array_length(299)), [0xAC, 0x02]);
        assert_eq!(encoded(false, |encoder| encoder.array_length(299)), [0, 0, 1, 43]);
    }
}
