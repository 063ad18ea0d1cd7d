//! The client without I/O: bytes and times go in, bytes and events come out. It knows no clock, no socket, no executor, and
//! has no randomness of its own, so that a simulator can drive it as the shell does.

pub(crate) mod admin;
pub(crate) mod asking;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod code;
pub(crate) mod connection;
pub(crate) mod consumer;
pub(crate) mod group_places;
pub(crate) mod idempotence;
pub(in crate::kafka::wire) mod inbox;
pub(crate) mod login;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod notice;
pub(crate) mod partition;
pub(crate) mod placing;
pub(crate) mod producer;
pub(crate) mod questions;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod transacting;
pub(crate) mod transaction;
pub(crate) mod values;
pub(crate) mod verdict;
mod way;
