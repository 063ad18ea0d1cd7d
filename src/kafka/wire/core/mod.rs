//! The client without I/O: bytes and times go in, bytes and events come out. It knows no clock, no socket, no executor, and
//! has no randomness of its own, so that a simulator can drive it as the shell does.

pub mod admin;
pub mod asking;
pub mod client;
pub mod cluster;
pub mod code;
pub mod connection;
pub mod consumer;
pub mod idempotence;
pub(in crate::kafka::wire) mod inbox;
pub mod login;
pub mod machine;
pub mod network;
pub mod notice;
pub mod partition;
pub mod producer;
pub mod questions;
pub mod sink;
pub mod source;
pub mod transacting;
pub mod transaction;
pub mod values;
pub mod verdict;
