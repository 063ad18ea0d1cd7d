//! Whoever looks at a cluster and sends no data: it finds the topic, makes it, asks where logs start and end, and watches the
//! brokers come and go. Either client can answer its questions ([`Admin`]); those about groups are librdkafka's.

mod admin;
mod broker_states;
mod leaders;
#[expect(clippy::module_inception, reason = "it has the folder's name because the folder is about it")]
mod observer;
mod topic_error;

pub(crate) use admin::{Admin, AdminLook, Described, DescribedPartition, NamedBroker, NotCreated, Resource};
pub(crate) use broker_states::Seen;
pub(crate) use broker_states::{BrokerChange, BrokerStates};
pub(crate) use leaders::{Coordinator, Trouble, named};
pub(crate) use observer::{Look, Observer, Refusal, TopicShape};
pub(crate) use topic_error::TopicError;
