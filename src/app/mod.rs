//! The frame around a run, the same for every program: how it ended, and who is told.

pub(crate) mod broker;
mod cost;
pub(crate) mod ending;
pub(crate) mod error;
pub(crate) mod exit;
pub(crate) mod facts;
pub(crate) mod frame;
mod lifecycle;
pub(crate) mod logging;
pub(crate) mod outputs;
pub mod panic;
pub(crate) mod repeater_summary;
pub(crate) mod report;
mod shared;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod title;
pub(crate) mod trogdor;
pub(crate) mod verdict;

pub(crate) use cost::Cost;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use shared::WatchedTopics;
pub(crate) use shared::{BrokerCount, Shared};
