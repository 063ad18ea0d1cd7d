//! The repeater: a fixed number of tokens that travel through topics for ever.
//!
//! Every worker is a member of one consumer group, and echoes what it consumes. A
//! token that is consumed is sent again by whoever consumed it, so that the load
//! follows the cluster's own pace, and what it does not give back is noticed.

mod body;
mod context;
mod deliveries;
#[cfg(test)]
mod played;
mod run;
mod sender;
mod stall;
mod start;
mod tokens;
mod trial;
mod worker;

pub(crate) use run::run;
