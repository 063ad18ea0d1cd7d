//! Members of a group that read a topic together, and pass after pass.

pub(crate) mod ground;
pub(crate) mod group_inbox;
pub(crate) mod group_name;
pub(crate) mod group_partition;
pub(crate) mod group_pass;
pub(crate) mod group_reader;
pub(crate) mod group_refusal;
mod sharing;
pub(crate) mod together;
pub(crate) mod watched;
