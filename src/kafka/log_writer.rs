//! What a client that writes to logs does, whichever it is.

use std::{ffi::CStr, time::Duration};

use super::{Answers, ClientError, Isolation, KafkaError, OffsetSpec, QuestionId, Slots, Transactions};
use crate::partitions::PartitionSlot;

/// Name and value of a header that is to be written. A client that stands on C needs the NUL behind the name.
pub(crate) type HeaderField<'a> = (&'static CStr, &'a [u8]);

/// A record's value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Sent from where it lies, which it does for as long as the process lives.
    Lasting(&'static [u8]),
    /// Copied before the call returns.
    Passing(&'a [u8]),
    /// That of the client's slot whose number is the record's token ([`SlotWriter`]).
    Slot,
}

/// One record to send; key and headers are copied before the call returns.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it goes: no partitioner is asked.
    pub partition: PartitionSlot,
    /// The key.
    pub key: &'a [u8],
    /// The value; `None` is a tombstone.
    pub value: Option<Value<'a>>,
    /// Its headers, in their order; at most [`MOST_HEADERS`].
    pub headers: &'a [HeaderField<'a>],
    /// The record's timestamp, ms since the epoch, above 0; `None` is the time of sending.
    pub timestamp_ms: Option<i64>,
    /// Comes back with the delivery.
    pub token: usize,
}

/// How many headers a record can have.
pub(crate) const MOST_HEADERS: usize = 2;

/// What became of a record.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The record's token.
    pub token: usize,
    /// What became of it.
    pub outcome: Outcome,
}

/// The three outcomes of a send, and one between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acked, at this offset.
    Acked {
        /// Where it landed.
        offset: i64,
    },
    /// Acked, but the broker did not say where: it had seen the batch before.
    AckedNoOffset,
    /// Not in the log, for certain.
    Failed(KafkaError),
    /// In the log, or not.
    Unknown(KafkaError),
}

impl Outcome {
    /// Why it is not in the log, or may not be.
    #[must_use]
    pub fn error(self) -> Option<KafkaError> {
        match self {
            Self::Acked { .. } | Self::AckedNoOffset => None,
            Self::Failed(error) | Self::Unknown(error) => Some(error),
        }
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The client takes no more for now: try again after deliveries.
    QueueFull,
    /// This client is finished; make a new one.
    Fatal(KafkaError),
    /// This record cannot be sent.
    Refused(KafkaError),
}

/// A client that writes to the logs of the table that it was made for. It belongs to the executor that made it.
///
/// Each record that it has taken gets one delivery as long as it is polled. What a client has that is finished comes back
/// with errors, without anybody giving it up.
pub trait LogWriter {
    /// Hands a record to the client; never waits.
    ///
    /// # Errors
    /// The record was not taken, and gets no delivery.
    fn send(&mut self, record: &Record<'_>) -> Result<(), SendError>;

    /// Shows the deliveries that have come, of at most so many batches, and returns how many there were.
    fn poll(&mut self, limit_events: usize, each: impl FnMut(Delivery)) -> usize;

    /// Waits until there is something to poll, but not longer than `limit`; may return before there is. One waits at a
    /// time, and to the end.
    fn wait(&self, limit: Duration) -> impl Future<Output = ()>;

    /// Whoever sends has no more for now, and waits for something else than this client ([`Self::wait`]): what it was given goes out.
    fn send_off(&mut self) {}

    /// The error that finished this client, if one did: it sends nothing any more, and another has to be made.
    fn fatal_error(&self) -> Option<KafkaError>;

    /// Gives up on everything that has no delivery yet: each such record gets one soon, with an error.
    fn abandon(&mut self);

    /// Asks where the logs of these partitions start or end; never waits.
    fn ask_offsets(
        &mut self,
        partitions: &[PartitionSlot],
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> QuestionId;

    /// What was answered, once; `None` while the question is under way, which it is for some seconds at most. Each
    /// partition has its answer then, or an error. A question that this client was not asked, or whose answers have been
    /// taken, has none, and is not under way either: its answers are empty.
    fn answers(&mut self, question: QuestionId) -> Option<Answers>;

    /// The one who begins and ends this client's transactions, who has to be made for them.
    ///
    /// # Errors
    /// It cannot be made, or this kind of client has no transactions.
    fn transactions(&self) -> Result<Transactions, ClientError> {
        Err(ClientError::NotThere("transactions"))
    }
}

/// A client that can send values from slots of its own. All its records have slots, and a slot's number for their token.
pub(crate) trait SlotWriter: LogWriter {
    /// The slots.
    fn slots(&mut self) -> &mut Slots;
}
