//! Reading chosen partitions: what every client that reads does for the loops that check.
//!
//! A reader shows what the log holds, in order, and says in plain words where it cannot. Whatever has to be done for
//! that with one client only (asking a new leader, trying offsets behind what cannot be read, replacing a client that
//! sleeps) is done behind this seam. Loops are generic over it, so that a record costs no call that is not inlined.

use std::time::Duration;

use super::{Answers, FalseAbort, KafkaError, OffsetSpec, QuestionId};
use crate::{partitions::PartitionSlot, record::RecordView};

/// Where a reader is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFrom {
    /// The first offset that may be shown. Where nothing lies there, the next record behind it is shown first.
    pub offset: i64,
    /// Epoch of the leader that wrote the last record below `offset`, where that record was read: the reader makes sure
    /// that the log still has it, and says [`LogEvent::Truncated`] if not. `None`: nothing is known, nothing is asked.
    pub epoch_before: Option<i32>,
    /// Epoch of the leader that led when the caller learnt where the log ends. What leaders up to it wrote lay there
    /// already, and tells of no election under way. `None`: not known.
    pub epoch_known: Option<i32>,
}

impl ReadFrom {
    /// From here on, whoever wrote the record before.
    #[must_use]
    pub fn offset(offset: i64) -> Self {
        Self { offset, epoch_before: None, epoch_known: None }
    }
}

/// What a partition has to say, records aside.
#[derive(Clone, Copy, Debug)]
pub enum LogEvent<'a> {
    /// Every record below `next_offset` has been shown; what was not shown below it is no record (a marker of a
    /// transaction), or not for this reader (aborted), or was taken by compaction.
    Progress {
        /// The offset from which reading goes on.
        next_offset: i64,
    },
    /// As [`Self::Progress`], and the leader has nothing at or above `end` now. Said again each time that it is reached.
    AtEnd {
        /// The log's end; for a reader of committed records its last stable offset.
        end: i64,
    },
    /// What lies at `from` cannot be read. Nothing of this partition follows until the reader knows how far that goes: if
    /// it does not know yet, it finds out, and says this again with the `from` of the first time and with `to`. Then it
    /// goes on at `to` by itself.
    Unreadable {
        /// The first offset that cannot be read.
        from: i64,
        /// The first one behind it that can be read again, or where the log ends. `None`: not known yet. Equal to `from`
        /// where something can be read there after all, because the log was truncated and written again meanwhile.
        to: Option<i64>,
        /// What is wrong with it, in words that go on from "found: ".
        cause: &'a str,
    },
    /// The place asked for is not in the log, and nobody truncated the log below it for all that can be known: its start has
    /// moved, or a leader does not know yet how far the log goes. The partition idles until it is read again
    /// ([`LogReader::read_from`]).
    OutOfRange,
    /// The log was truncated: of what was shown up to `from`, whose last record was of `epoch`, the leader has nothing from `to`
    /// on. It was asked about that very place after the first suspicion. The partition idles until it is read again.
    Truncated {
        /// The offset behind the last record that was shown.
        from: i64,
        /// The epoch of that record.
        epoch: i32,
        /// Where the log was truncated, below `from`.
        to: i64,
    },
    /// The client had taken the log to be truncated, and it was not, or nobody can know. Reading goes on by itself.
    NotTruncated {
        /// Where: never below a record that was shown, but it may lie below what [`Self::Progress`] said.
        next_offset: i64,
        /// The leader has the record that was shown last, with the same epoch. If not, its answers prove nothing:
        /// retention or compaction may have taken that record.
        is_certain: bool,
    },
    /// The brokers' list of aborted transactions, which says what a reader of committed records is shown, contradicts a
    /// marker in the log. Reading goes on by itself.
    FalseAbort {
        /// In which way.
        kind: FalseAbort,
        /// The first record that was shown, or not, for the list's sake.
        first: i64,
        /// The marker's offset.
        marker: i64,
    },
    /// The log's start went back, by the word of one and the same leader: what retention had taken is there again. Reading goes
    /// on by itself.
    StartBack {
        /// Where the log started.
        from: i64,
        /// Where it starts now.
        to: i64,
    },
    /// The cluster does not let us read here. It will say so again.
    Refused(KafkaError),
    /// The topic or the partition is not there, for the time being at least. The reader tries again by itself.
    Gone(KafkaError),
    /// Something passed that the reader gets over by itself.
    Transient(KafkaError),
}

/// A reader that shows no more at once than it is asked to.
pub(crate) trait PortionedReader: LogReader {
    /// As [`LogReader::poll`], of so many records at the most.
    fn poll_at_most(&mut self, limit: usize, visitor: &mut impl LogVisitor) -> usize;
}

/// What is shown the records of a reader.
pub trait LogVisitor {
    /// The next record of a partition. Its bytes live as long as the call. Where its headers cannot be taken apart
    /// ([`RecordView::has_sound_headers`]), even its offset is doubtful: nothing of the partition follows then but
    /// [`LogEvent::Unreadable`], with `to`, as soon as that is known.
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>);

    /// Anything else that a partition has to say.
    fn event(&mut self, partition: PartitionSlot, event: LogEvent<'_>);
}

/// A client that reads partitions of the table that it was made for, used by one shard. Nothing of what it does waits for a broker, but for
/// [`Self::wait`].
#[allow(
    async_fn_in_trait,
    reason = "a reader stays on the thread of its shard: no future of it is ever sent"
)]
pub trait LogReader {
    /// Reads a partition from a place on. Records of an earlier place that have come, and were not shown, never are.
    fn read_from(&mut self, partition: PartitionSlot, place: ReadFrom);

    /// Stops reading a partition: nothing of it is shown or said any more.
    fn stop(&mut self, partition: PartitionSlot);

    /// Shows what has come, one batch of the client's at the most. Returns how many records and events that were; 0 is a
    /// reason to [`Self::wait`].
    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize;

    /// Waits until there may be something to poll or an answer to take, but not longer than `limit`. It may be cancelled.
    async fn wait(&self, limit: Duration);

    /// Asks the leaders of these partitions where their logs start or end, for records that this reader is shown: the end
    /// of a reader of committed records is the last stable offset.
    fn ask_offsets(&mut self, partitions: &[PartitionSlot], spec: OffsetSpec) -> QuestionId;

    /// What was said to a question, once, when everything has been said that will be: each partition has an answer or an
    /// error, after some seconds at the latest. A question whose answers are not taken costs some memory.
    fn answers(&mut self, question: QuestionId) -> Option<Answers>;
}
