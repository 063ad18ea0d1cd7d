//! The client without I/O: bytes and times go in, bytes and events come out. It knows no clock, no socket, no executor, and
//! has no randomness of its own, so that a simulator can drive it as the shell does.

pub mod asking;
pub mod cluster;
pub mod code;
pub mod connection;
pub mod consumer;
mod inbox;
pub mod machine;
pub mod network;
pub mod questions;
pub mod source;
