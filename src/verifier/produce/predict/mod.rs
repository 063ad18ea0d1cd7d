//! Where records will land, and what their acks say of that: pure.

pub(crate) mod acks;
mod habits;
pub(crate) mod in_flight;
pub(crate) mod predicted_log;
pub(crate) mod timing;
