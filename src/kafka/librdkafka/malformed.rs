//! Records that librdkafka cannot take apart. It tells nobody: it takes their batch for one that was cut off at the
//! end of an answer, shows what lies before them, and fetches the rest again for ever.
//!
//! What it does is to say so in its log, if it is asked to, together with where in its source that was. Its counter
//! `rxpartial` is no sign: healthy answers are cut off too, and some show nothing (batches below the place that is
//! read, and the beginning of another).

use std::{
    ffi::{CStr, c_char, c_int},
    ptr,
};

use rdkafka::{ClientConfig, bindings as rdk};

use super::client::{EventPtr, Handle};

/// Where records of a batch are taken apart, in batches that are whole and fit their checksum: what is cut off, or does
/// not fit, does not come so far.
const PLACE: &str = "(rd_kafka_msgset_reader_msg_v2:";
/// How the log names what could not be taken apart.
const FACILITIES: [&[u8]; 2] = [b"PROTOUFLOW", b"PROTOERR"];

/// In which version that was looked at.
const _: () =
    assert!(rdk::RD_KAFKA_VERSION == 0x020C_01FF, "look at what calls rd_kafka_msgset_reader_msg_v2");

/// Has a client say so, and put it where events are: nobody else reads its log.
pub(crate) fn ask(config: &mut ClientConfig) {
    config.set("debug", "protocol").set("log.queue", "true");
}

/// Has what such a client says come on its main queue.
pub(crate) fn listen(handle: &Handle) {
    // SAFETY: the client is alive. Without a queue it takes its main one.
    unsafe { rdk::rd_kafka_set_log_queue(handle.ptr(), ptr::null_mut()) };
}

/// Whether this says that a record could not be taken apart.
pub(crate) fn is_told_by(event: &EventPtr) -> bool {
    let (mut facility, mut text, mut level): (*const c_char, *const c_char, c_int) =
        (ptr::null(), ptr::null(), 0);
    // SAFETY: the event is alive; of another kind it says nothing. The texts are NUL-terminated and live as long as it.
    unsafe {
        rdk::rd_kafka_event_log(event.ptr(), &raw mut facility, &raw mut text, &raw mut level) == 0
            && is_of_a_record(CStr::from_ptr(facility), CStr::from_ptr(text))
    }
}

fn is_of_a_record(facility: &CStr, text: &CStr) -> bool {
    FACILITIES.contains(&facility.to_bytes()) && text.to_string_lossy().contains(PLACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_no_record_that_cannot_be_taken_apart() {
        let line = |place: &str| {
            format!(
                "[thrd:localhost:1/1]: localhost:1/1: Protocol read buffer underflow for Fetch v11 at 194/1070 \
                 ({place}:1010): expected 99 bytes > 12 remaining bytes (incorrect broker.version.fallback?)\0"
            )
        };
        let is_told = |facility: &CStr, line: &str| {
            is_of_a_record(facility, CStr::from_bytes_with_nul(line.as_bytes()).unwrap())
        };
        let inside = line("rd_kafka_msgset_reader_msg_v2");
        assert!(is_told(c"PROTOUFLOW", &inside) && is_told(c"PROTOERR", &inside));
        assert!(!is_told(c"RECV", &inside));
        // A batch that is cut off; a message of the old formats; an answer.
        for place in
            ["rd_kafka_msgset_reader_v2", "rd_kafka_msgset_reader_msg_v0_1", "rd_kafka_fetch_reply_handle"]
        {
            assert!(!is_told(c"PROTOUFLOW", &line(place)), "{place}");
        }
    }
}
