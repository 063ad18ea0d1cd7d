//! Options of a question to the cluster, or of an order.

use std::{ffi::c_int, ptr};

use rdkafka::bindings as rdk;

use crate::kafka::{Isolation, librdkafka::client::Handle};

/// Owned `rd_kafka_AdminOptions_t`.
pub(super) struct Options(*mut rdk::rd_kafka_AdminOptions_t);

impl Options {
    pub(super) fn new(handle: &Handle, operation: rdk::rd_kafka_admin_op_t) -> Self {
        // SAFETY: the client is alive; the options are ours.
        Self(unsafe { rdk::rd_kafka_AdminOptions_new(handle.ptr(), operation) })
    }

    pub(super) fn ptr(&self) -> *mut rdk::rd_kafka_AdminOptions_t {
        self.0
    }

    /// How long the brokers have to answer.
    pub(super) fn set_request_timeout(&self, limit_ms: c_int) {
        // SAFETY: the options are ours; the value is in its range, and no text is asked for.
        unsafe { rdk::rd_kafka_AdminOptions_set_request_timeout(self.0, limit_ms, ptr::null_mut(), 0) };
    }

    /// How long they have to do it.
    pub(super) fn set_operation_timeout(&self, limit_ms: c_int) {
        // SAFETY: as above.
        unsafe { rdk::rd_kafka_AdminOptions_set_operation_timeout(self.0, limit_ms, ptr::null_mut(), 0) };
    }

    /// Who is asked; otherwise whomever the client likes.
    pub(super) fn set_broker(&self, broker: i32) {
        // SAFETY: as above.
        unsafe { rdk::rd_kafka_AdminOptions_set_broker(self.0, broker, ptr::null_mut(), 0) };
    }

    /// What of transactions counts.
    pub(super) fn set_isolation(&self, isolation: Isolation) {
        let level = match isolation {
            Isolation::ReadUncommitted => {
                rdk::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
            }
            Isolation::ReadCommitted => {
                rdk::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
            }
        };
        // SAFETY: as above, so the error that it could return does not come; null is taken by destroy.
        unsafe {
            rdk::rd_kafka_error_destroy(rdk::rd_kafka_AdminOptions_set_isolation_level(self.0, level));
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options are ours and not used again.
        unsafe { rdk::rd_kafka_AdminOptions_destroy(self.0) };
    }
}
