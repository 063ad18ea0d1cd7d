//! A member of a group, and what it is shown of the partitions that the group deals out to it.
//!
//! Which partitions those are, what has been consumed of them, and what the group knows of that is the member's own
//! business: it joins, answers rebalances, commits what its visitor has consumed at intervals and before it gives a
//! partition up, and leaves. Whatever has to be done for that with one client only (telling what it shows again from what
//! a leader wrote anew, looking for what it has left out) is done behind this seam, too.

use std::{ops::ControlFlow, ops::Range, sync::Arc, time::Duration};

use crate::{
    kafka::{ClientError, ClientFactory, KafkaError, LogEvent, MemberSettings},
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    record::RecordView,
};

/// How a member stands in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberState {
    /// Rebalances that the member has gone through; 0: it has never been assigned anything.
    pub rebalances: u64,
    /// Partitions that it owns.
    pub partitions: usize,
    /// Whether the group knows of each of them where this member stands.
    pub settled: bool,
    /// Records that were consumed from partitions which were taken away before that could be committed: another member
    /// consumes them again.
    pub uncommitted: u64,
}

/// What its visitor knows of offsets at which a member was shown nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// There may be nothing to be shown.
    Nothing,
    /// Each offset should have a record, unless somebody else's transactions have left markers there.
    Records,
    /// There were records.
    Acked,
}

/// What is shown the records of a member.
pub(crate) trait GroupVisitor {
    /// The next record of a partition. Its bytes live as long as the call. A record at which the visitor breaks off has not
    /// been consumed, nor is anything shown behind it before the next poll. Where its headers cannot be taken apart, see
    /// [`LogVisitor::record`](super::super::LogVisitor::record).
    fn record(&mut self, partition: PartitionSlot, record: &RecordView<'_>) -> ControlFlow<()>;

    /// A record of a partition that its topic got after the member was made: it has no slot, nothing else is said of it, and it
    /// is consumed like all others, so that a group with newer members does not wait for its place.
    fn added(&mut self, place: TopicPartition, record: &RecordView<'_>) {
        let _ = (place, record);
    }

    /// A partition is this member's from now on. It is read from where the group knows it to have been consumed.
    fn assigned(&mut self, partition: PartitionSlot);

    /// Anything else that a partition has to say; without one where it is none in particular. A member goes on by itself
    /// where the log was truncated ([`LogEvent::Truncated`]): what it owns is the group's to say.
    fn event(&mut self, partition: Option<PartitionSlot>, event: LogEvent<'_>);

    /// The group does not take the member in. It asks again by itself; how long that is worth while is the caller's to say.
    fn refused(&mut self, error: KafkaError);

    /// The client went astray by itself, and that has been made good: nothing is shown twice, or left out.
    fn mended(&mut self, partition: PartitionSlot, what: &'static str, cause: &'static str) {
        let _ = (partition, what, cause);
    }

    /// Whether there should have been records at these offsets, of which the client has shown nothing. One that may leave
    /// something out by itself asks, and looks again, once.
    fn expects(&self, partition: PartitionSlot, offsets: Range<i64>) -> Expected {
        let _ = (partition, offsets);
        Expected::Nothing
    }
}

/// A member of a group, used by one shard. Nothing of what it does waits for a broker, but for [`Self::wait`].
///
/// One that is dropped before it has left ([`Self::leave`]) does not wait for the group either, which waits for its session to end.
#[allow(
    async_fn_in_trait,
    reason = "a member stays on the thread of its shard: no future of it is ever sent"
)]
pub(crate) trait GroupReader {
    /// Shows what has come, of so many records at the most, and serves rebalances. Records of a partition that was given up
    /// meanwhile are not shown: its next owner gets them. Returns whether there may be more already.
    fn poll(&mut self, limit: usize, visitor: &mut impl GroupVisitor) -> bool;

    /// Does what has to be done from time to time: commits. A few times a second is enough.
    fn tend(&mut self);

    /// Waits until there may be something to poll, but not longer than `limit`. It may be cancelled. Of a worker's other clients
    /// that the same factory made, what they have wakes it, too.
    async fn wait(&self, limit: Duration);

    /// Has the group know where this member stands; does not wait for it.
    fn commit(&mut self);

    /// Whether a commit is still without an answer, and has not been for too long.
    fn is_committing(&mut self) -> bool;

    /// Why commits cannot succeed: the cluster's word, once.
    fn commit_refusal(&mut self) -> Option<KafkaError>;

    /// How the member stands.
    fn state(&self) -> MemberState;

    /// Whether this partition is the member's.
    fn owns(&self, partition: PartitionSlot) -> bool;

    /// Nothing comes of a partition of this member's, though its leader has something at `offset`: a client that would not
    /// say by itself that this cannot be read looks into it.
    fn look_into(&mut self, partition: PartitionSlot, offset: i64) {
        let _ = (partition, offset);
    }

    /// Stays in the group without showing records, until it knows of everything that was consumed. Returns whether it does.
    ///
    /// A group that rebalances takes no commits: who leaves it in the middle of that has to try again.
    fn settle(&mut self) -> bool;

    /// Begins to leave the group; [`Self::leave`] says when that is done. What the group does not know of now, it never will.
    fn begin_leaving(&mut self);

    /// Serves what leaving takes. Returns whether the group has been left. Records are not shown any more.
    fn leave(&mut self) -> bool;
}

/// Makes members of groups beside other clients.
pub(crate) trait GroupFactory: ClientFactory {
    /// Reads as a member of a group.
    type Member: GroupReader;

    /// Starts a member that subscribes to the topics of this table; does not wait for the group. Must be called on the executor that will
    /// use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    fn member(
        &self,
        settings: &MemberSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Self::Member, ClientError>;
}
