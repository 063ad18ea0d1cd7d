//! The client that stands on librdkafka, and everything that knows about it.
//!
//! It is the only place with `unsafe` code: each client here owns its handles, keeps them on the thread that made it,
//! and hands out no pointer.

mod admin;
pub(super) mod admission;
mod bearer;
mod client;
mod codes;
mod complaint;
mod consumer;
mod early_clock;
mod embedded;
mod factory;
mod fault;
mod group;
mod guard;
mod malformed;
mod message;
mod partitions;
mod producer;
mod reader;
mod settings;
mod signals;
mod transactions;
mod trial;
mod wake;
mod wake_mux;

pub(crate) use admin::client::AdminClient;
#[cfg(test)]
pub(crate) use admin::groups::GroupMember;
pub(crate) use admin::groups::{CommittedPlaces, GroupDescription};
pub(crate) use embedded::EmbeddedCluster;
pub(crate) use factory::{Librdkafka, LibrdkafkaWorker, LibrdkafkaWorkers};
pub(super) use group::Presence;
