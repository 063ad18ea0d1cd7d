//! A thread-per-core Kafka load generator that proves, record by record, that
//! the cluster lost, moved, repeated, reordered and altered nothing.
//!
//! `docs/ARCHITECTURE.md` draws the threads and the way data takes through them.
#![deny(unsafe_code)]

pub mod config;
pub mod runtime;
