//! Reading for a member of a group.

use crate::{
    kafka::{KafkaError, PortionedReader},
    partitions::TopicPartition,
};

/// A partition, and the offset below which the group has consumed it: `None` where it knows none; or why it does not say, which is
/// asked again.
pub(crate) type PlaceAnswer = (TopicPartition, Result<Option<i64>, KafkaError>);

/// A reader that can ask the group for whose member it reads. Topics are those of its table.
pub(crate) trait MemberReader: PortionedReader {
    /// Asks where the group has consumed a partition up to, whether the reader's table has that or not. What was asked about it
    /// before is not answered any more: that may have been of another owner's time.
    fn ask_place(&mut self, place: TopicPartition);

    /// No answer about the partition is wanted any more.
    fn withdraw_place(&mut self, place: TopicPartition);

    /// The next answer; `None`: there is none for now.
    fn place(&mut self) -> Option<PlaceAnswer>;
}
