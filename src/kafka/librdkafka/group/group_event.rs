//! What librdkafka shows to a member of a group.

use crate::{
    kafka::librdkafka::{fault::Fault, message::Message},
    partitions::{PartitionSlot, TopicPartition},
};

/// What a group's member is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum GroupEvent<'a> {
    /// The next record of a partition.
    Record {
        /// Its partition.
        partition: PartitionSlot,
        /// The record.
        message: Message<'a>,
    },
    /// A record of a partition that its topic got after the member was made.
    Added {
        /// Which.
        place: TopicPartition,
        /// The record.
        message: Message<'a>,
    },
    /// Everything below `offset` has been read, control records included.
    End {
        /// The partition.
        partition: PartitionSlot,
        /// The offset that the next record will get.
        offset: i64,
    },
    /// A partition is this member's from now on; it starts where the group says.
    Assigned {
        /// The partition.
        partition: PartitionSlot,
        /// The next offset that it should be shown, where that is known.
        due: Option<i64>,
    },
    /// The client has gone back by itself, to records that it has shown before: they are not shown again.
    WentBack {
        /// The partition.
        partition: PartitionSlot,
        /// Where it began again.
        offset: i64,
        /// Where the member stands, and goes on.
        position: i64,
    },
    /// The client goes on from here, and had been further: the log was truncated, and written again.
    Rewound {
        /// The partition.
        partition: PartitionSlot,
        /// Where it goes on.
        offset: i64,
        /// Up to where it had been read.
        from: i64,
        /// Epoch of the last record of that.
        epoch: i32,
    },
    /// Something went wrong that the client does not get over without a word.
    Fault {
        /// The partition, if it is of one.
        partition: Option<PartitionSlot>,
        /// What.
        fault: Fault<'a>,
    },
}
