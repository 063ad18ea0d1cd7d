//! A record where librdkafka keeps it, and what it says of itself.
//!
//! **Why librdkafka's own layout is used here.** Its interface has one way to a record's headers, which parses all of
//! them into a list and allocates each: a third of what reading a small record costs. The bytes as they came lie
//! beside the public fields, in the structure that these are the beginning of.

use std::{
    ffi::{c_int, c_void},
    marker::PhantomData,
    mem::offset_of,
    slice,
};

use rdkafka::bindings as rdk;

use crate::record::{Header, RecordView, headers};

/// `rd_kafka_msg_t` of `src/rdkafka_msg.h`, as a consumer has it.
#[repr(C)]
struct Fetched {
    public: rdk::rd_kafka_message_t,
    link: [*const c_void; 2],
    flags: c_int,
    /// A `rd_kafka_timestamp_type_t`.
    timestamp_type: u32,
    timestamp_ms: i64,
    parsed_headers: *const c_void,
    status: c_int,
    broker_id: i32,
    headers: Bytes,
    leader_epoch: i32,
}

/// `rd_kafkap_bytes_t` of `src/rdkafka_proto.h`.
#[repr(C)]
struct Bytes {
    /// -1 is null.
    length: i32,
    data: *const u8,
    /// What follows where such bytes are allocated together with their length; not here.
    inline: [u8; 1],
}

/// The two structures were read in this version. Another one that cargo brings has to be read again: if they are the
/// same there, the number here is all that has to be changed.
const _: () = assert!(rdk::RD_KAFKA_VERSION == 0x020C_01FF, "look at rd_kafka_msg_t in this librdkafka");
// As C lays them out.
const _: () = assert!(offset_of!(Fetched, headers) == size_of::<rdk::rd_kafka_message_t>() + 48);
const _: () = assert!(offset_of!(Fetched, leader_epoch) == offset_of!(Fetched, headers) + 24);

/// A record that lives as long as the call that shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    message: *const Fetched,
    life: PhantomData<&'a ()>,
}

impl<'a> Message<'a> {
    /// # Safety
    /// The message is a record (not an error) that a consumer of the client has fetched, and alive for all of `'a`.
    pub(crate) unsafe fn new(message: *const rdk::rd_kafka_message_t) -> Self {
        Self { message: message.cast(), life: PhantomData }
    }

    fn fetched(self) -> &'a Fetched {
        // SAFETY: `new`'s promise. librdkafka makes each fetched message as an `rd_kafka_msg_t`, of which it shows the
        // first field, and casts back as we do here (`rd_kafka_message2msg`); the assertions above hold the layout.
        unsafe { &*self.message }
    }

    fn fields(self) -> &'a rdk::rd_kafka_message_t {
        &self.fetched().public
    }

    /// Its value; `None` is a tombstone.
    #[must_use]
    pub(super) fn value(&self) -> Option<&'a [u8]> {
        let fields = self.fields();
        // SAFETY: a value that is not null has `len` bytes, and lives as long as the message.
        (!fields.payload.is_null())
            .then(|| unsafe { slice::from_raw_parts(fields.payload.cast::<u8>(), fields.len) })
    }

    /// Epoch of the leader that wrote it; negative when the broker did not say.
    #[must_use]
    pub(super) fn leader_epoch(self) -> i32 {
        self.fetched().leader_epoch
    }

    /// Everything that a check can want. Decodes the headers, which [`Self::value`] does not.
    #[must_use]
    #[inline]
    pub(super) fn view(&self) -> RecordView<'a> {
        let fields = self.fields();
        let headers = self.first_headers();
        let [first_header, second_header] = headers.unwrap_or_default();
        // SAFETY: a key that is not null has `key_len` bytes, and lives as long as the message.
        let key = (!fields.key.is_null())
            .then(|| unsafe { slice::from_raw_parts(fields.key.cast::<u8>(), fields.key_len) });
        RecordView {
            offset: fields.offset,
            leader_epoch: self.leader_epoch(),
            sent_ms: self.sent_ms(),
            has_sound_headers: headers.is_some(),
            first_header,
            second_header,
            key,
            value: self.value(),
            batch: None,
        }
    }

    /// Whether its headers can be taken apart, or it has none.
    pub(crate) fn has_sound_headers(self) -> bool {
        self.first_headers().is_some()
    }

    /// Without a place for headers there are none, and no fault in that.
    #[inline]
    fn first_headers(self) -> Option<[Option<Header<'a>>; 2]> {
        self.headers().map_or(Some([None, None]), headers::first_two)
    }

    /// The headers, from their number on, as they lie in what was fetched; records of the formats before there were
    /// headers have no place for them.
    fn headers(self) -> Option<&'a [u8]> {
        let Bytes { length, data, .. } = self.fetched().headers;
        let length = usize::try_from(length).unwrap_or(0);
        // SAFETY: librdkafka has cut these bytes out of the response, whose bounds it checked, and keeps that for
        // as long as any of its messages lives.
        (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data, length) })
    }

    /// When it was sent; `None` where the broker's time stands instead.
    fn sent_ms(self) -> Option<i64> {
        let Fetched { timestamp_type, timestamp_ms, .. } = self.fetched();
        let of_sender = rdk::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME as u32;
        (*timestamp_type == of_sender).then_some(*timestamp_ms)
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
