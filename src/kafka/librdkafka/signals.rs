//! Which signals librdkafka's threads take.
//!
//! It blocks all of them on every thread that it makes. SIGPROF must get through: it goes to
//! the thread that used the CPU, unless that one blocks it. Then another gets it, and a
//! profile says that this other one did the work.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use nix::sys::signal::{SigSet, Signal};
use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

const NAME: *const c_char = c"profile".as_ptr();

/// Has every thread of a client that is made from this configuration take SIGPROF.
///
/// # Safety
/// The configuration is alive.
pub(crate) unsafe fn let_profile(conf: *mut rdk::rd_kafka_conf_t) {
    // SAFETY: the caller's promise; the name and the function are static. It fails only for a
    // name that is taken already.
    unsafe { rdk::rd_kafka_conf_interceptor_add_on_new(conf, NAME, Some(on_new), ptr::null_mut()) };
}

/// Called by librdkafka before it makes the client's threads.
unsafe extern "C" fn on_new(
    client: *mut rdk::rd_kafka_t,
    _conf: *const rdk::rd_kafka_conf_t,
    _opaque: *mut c_void,
    _text: *mut c_char,
    _text_bytes: usize,
) -> Code {
    // SAFETY: the client is alive; the name and the function are static.
    unsafe {
        rdk::rd_kafka_interceptor_add_on_thread_start(client, NAME, Some(on_thread_start), ptr::null_mut())
    }
}

/// Called by librdkafka on each of its threads, first of all.
unsafe extern "C" fn on_thread_start(
    _client: *mut rdk::rd_kafka_t,
    _kind: rdk::rd_kafka_thread_type_t,
    _name: *const c_char,
    _opaque: *mut c_void,
) -> Code {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGPROF);
    // It cannot fail for a signal that exists; a profile would miss this thread, no more.
    let _ = signals.thread_unblock();
    Code::RD_KAFKA_RESP_ERR_NO_ERROR
}
