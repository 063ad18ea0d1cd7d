//! The readers: sequential, random, and the members of a group.

pub(crate) mod budget;
pub(crate) mod checker;
pub(crate) mod closing;
pub(crate) mod end_to_end;
mod false_words;
pub(crate) mod group;
pub(crate) mod partition_reader;
pub(crate) mod progress;
pub(crate) mod random_reader;
pub(crate) mod sequential;
pub(crate) mod stall;
