//! Questions to a cluster, and orders.

pub(crate) mod client;
pub(crate) mod groups;
pub(crate) mod offsets;
pub(crate) mod opinion;
mod options;
mod topics;
