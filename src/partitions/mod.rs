//! Which partitions somebody works with, of whichever topics.
//!
//! What a shard, a client or a ledger knows of a partition lies in lists. A partition's place in them is its slot in a table,
//! so that its topic and its number are needed only where something is named, or written down.

mod slice;
mod slot;
mod table;

pub(crate) use slice::Slice;
pub use slot::PartitionSlot;
pub use table::{PartitionTable, TopicPartition};
