//! A cluster that is simulated: logs with producer state, epochs and high watermarks, transactions with markers, quotas and
//! fetch sessions. Bytes and time go in, bytes come out; nothing waits, and nothing is left to chance.
//!
//! [`run`] plays a producer and a consumer in it, over a network that is as bad as a seed says, and holds what comes out of it
//! against what was told. [`transacting`] does so with transactions, and [`grouping`] with the members of a group.
//!
//! It is what the wire client is proven against, so it must not share that client's beliefs: the probes that real brokers
//! answer (`tests/probes`) are asked of it, too, and its answers have to be equal. Requests are read and answers written by
//! the `kafka-protocol` crate, for the same reason.

mod acks;
mod admission;
mod asking;
mod code;
mod coordinator;
mod dealing;
mod ear;
mod epochs;
mod faults;
mod fetching;
mod grouping;
mod groups;
mod harming;
mod judge;
mod lines;
mod log;
mod logins;
mod looking;
mod member;
mod past;
mod plan;
mod probed;
mod producers;
mod producing;
mod questions;
mod quirks;
mod read;
mod reading;
mod run;
mod server;
mod sessions;
mod sockets;
mod throttle;
mod topic;
mod topics;
mod transacting;
mod transactions;
mod versions;
mod worlds;
mod writing;

#[path = "../../../../tests/probes/mod.rs"]
mod probes;

/// Which broker it behaves like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Apache Kafka 2.4, the oldest that is spoken with.
    Kafka24,
    /// Apache Kafka 3.9.
    Kafka39,
    /// Apache Kafka 4.1.
    Kafka41,
    /// Redpanda, as far as its versions of requests go.
    Redpanda,
}
