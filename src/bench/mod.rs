//! The benchmark: a load at a rate, read while it is written, and proven like any other run.
//!
//! Producers and readers are the verifier's, on the same shards at the same time. What is measured, and how a rate is looked
//! for, is the main thread's.

mod client_verdict;
mod finding;
mod ground;
mod groups;
mod interval_log;
mod machine;
mod meter;
mod outcome;
pub(crate) mod page;
mod progress;
pub(crate) mod result;
mod run;
mod search;
mod shards;
mod summary;
mod why;
mod window;

pub(crate) use run::run;
