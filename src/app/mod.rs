//! The frame around a run, the same for every program: how it ended, and who is told.

mod cost;
pub mod ending;
pub(crate) mod facts;
pub(crate) mod frame;
pub mod report;
pub(crate) mod status;
pub mod verdict;

pub(crate) use cost::Cost;
