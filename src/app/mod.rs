//! The frame around a run, the same for every program: how it ended, and who is told.

pub mod broker;
mod cost;
pub mod ending;
pub mod error;
pub(crate) mod facts;
pub(crate) mod frame;
pub(crate) mod logging;
pub mod report;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod title;
pub mod verdict;

pub(crate) use cost::Cost;
