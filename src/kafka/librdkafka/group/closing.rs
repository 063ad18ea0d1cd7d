//! The way out of a group, for whoever is in it.

use std::time::{Duration, Instant};

use rdkafka::bindings as rdk;

use crate::kafka::librdkafka::client::{Handle, Queue};

/// How long the client has to tell the group that its subscription is gone.
const UNSUBSCRIBE_TIME: Duration = Duration::from_millis(100);

/// How far a member is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// It has taken its subscription back, and is closed at this time.
    At(Instant),
    Begun,
}

impl Closing {
    /// Closing a member that owns nothing ends it without a word to the group, which then waits for its session to
    /// end (seen with librdkafka 2.12.1). Taking its subscription back first does send that word.
    pub(super) fn begin(&mut self, owns_nothing: bool, client: &Handle, queue: &Queue) {
        if owns_nothing {
            // SAFETY: the client is alive. It cannot fail for one in a group.
            unsafe { rdk::rd_kafka_unsubscribe(client.ptr()) };
            *self = Self::At(Instant::now() + UNSUBSCRIBE_TIME);
        } else {
            self.close(client, queue);
        }
    }

    /// Closes the client when it is time to.
    pub(super) fn go_on(&mut self, client: &Handle, queue: &Queue) {
        if matches!(*self, Self::At(time) if Instant::now() >= time) {
            self.close(client, queue);
        }
    }

    fn close(&mut self, client: &Handle, queue: &Queue) {
        *self = Self::Begun;
        // SAFETY: client and queue are alive; an error that is returned is ours to destroy, and null is taken.
        unsafe {
            let error = rdk::rd_kafka_consumer_close_queue(client.ptr(), queue.ptr());
            rdk::rd_kafka_error_destroy(error);
        }
    }

    /// Whether the group has been left.
    pub(super) fn is_over(self, client: &Handle) -> bool {
        // SAFETY: the client is alive.
        self == Self::Begun && unsafe { rdk::rd_kafka_consumer_closed(client.ptr()) != 0 }
    }
}
