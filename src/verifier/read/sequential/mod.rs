//! Every record of a shard's partitions, in order.

mod seq_audit;
pub(crate) mod seq_pass;
pub(crate) mod seq_reader;
