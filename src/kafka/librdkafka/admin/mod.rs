//! Questions to a cluster, and orders.

pub(crate) mod groups;
pub(crate) mod leaders;
pub(crate) mod observer;
pub(crate) mod offsets;
mod topics;
