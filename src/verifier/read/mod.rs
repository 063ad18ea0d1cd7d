//! The readers: sequential, random, and the members of a group.

pub mod budget;
pub(crate) mod ends;
pub(crate) mod group;
mod prober;
pub(crate) mod random_reader;
pub(crate) mod renewal;
mod seq_search;
pub(crate) mod sequential;
mod skip;
pub mod stall;
pub(crate) mod track;
mod unreadable;
pub(crate) mod witness;
