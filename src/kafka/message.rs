//! A record where librdkafka keeps it, and what it says of itself.

use std::{
    ffi::{CStr, c_void},
    marker::PhantomData,
    ptr, slice,
};

use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use crate::verifier::validator::{Header, RecordView};

/// A record that lives as long as the call that shows it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    message: *const rdk::rd_kafka_message_t,
    life: PhantomData<&'a ()>,
}

impl<'a> Message<'a> {
    /// # Safety
    /// The message is a record (not an error), and alive for all of `'a`.
    pub(super) unsafe fn new(message: *const rdk::rd_kafka_message_t) -> Self {
        Self { message, life: PhantomData }
    }

    fn fields(&self) -> &'a rdk::rd_kafka_message_t {
        // SAFETY: `new`'s promise.
        unsafe { &*self.message }
    }

    /// Its offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.fields().offset
    }

    /// Its value; `None` is a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        let fields = self.fields();
        // SAFETY: a value that is not null has `len` bytes, and lives as long as the message.
        (!fields.payload.is_null())
            .then(|| unsafe { slice::from_raw_parts(fields.payload.cast::<u8>(), fields.len) })
    }

    /// Everything that a check can want. Decodes the headers, which [`Self::value`] does not.
    #[must_use]
    pub fn view(&self) -> RecordView<'a> {
        let fields = self.fields();
        // SAFETY: the message is alive; headers live as long as it does, and are asked for once.
        let (leader_epoch, first_header, second_header) = unsafe {
            let mut headers = ptr::null_mut();
            let found = rdk::rd_kafka_message_headers(self.message, &raw mut headers);
            let at = |index| {
                if found == Code::RD_KAFKA_RESP_ERR_NO_ERROR { header(headers, index) } else { None }
            };
            (rdk::rd_kafka_message_leader_epoch(self.message), at(0), at(1))
        };
        // SAFETY: a key that is not null has `key_len` bytes, and lives as long as the message.
        let key = (!fields.key.is_null())
            .then(|| unsafe { slice::from_raw_parts(fields.key.cast::<u8>(), fields.key_len) });
        RecordView {
            offset: fields.offset,
            leader_epoch,
            sent_ms: self.sent_ms(),
            first_header,
            second_header,
            key,
            value: self.value(),
        }
    }

    /// When it was sent; `None` where the broker's time stands instead.
    fn sent_ms(&self) -> Option<i64> {
        let mut kind = rdk::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and the kind is set.
        let time_ms = unsafe { rdk::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        (kind == rdk::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME).then_some(time_ms)
    }
}

/// # Safety
/// The headers are alive for as long as the slices are used.
unsafe fn header<'a>(headers: *const rdk::rd_kafka_headers_t, index: usize) -> Option<Header<'a>> {
    let (mut name, mut value, mut size): (_, *const c_void, _) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the caller's promise; the three are set when the call succeeds, the name
    // to a NUL-terminated string, the value to null or to `size` bytes.
    unsafe {
        let found =
            rdk::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size);
        if found != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let value = if value.is_null() { &[][..] } else { slice::from_raw_parts(value.cast::<u8>(), size) };
        Some((CStr::from_ptr(name).to_bytes(), value))
    }
}
