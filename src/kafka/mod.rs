//! The Kafka client: librdkafka, and everything that knows about it.
//!
//! The rest of the program sees producers, consumers, offsets and errors in plain
//! types, so that another client can take librdkafka's place behind the same
//! names. It is also the only place with `unsafe` code: each client here owns its
//! handles, keeps them on the thread that made it, and hands out no pointer.

mod admission;
mod bearer;
mod chatter;
mod client;
mod complaint;
mod consumer;
mod early_clock;
mod echo;
mod embedded;
mod error;
mod fault;
mod group;
mod group_event;
mod groups;
mod guard;
mod handover;
mod headers;
mod hub;
mod known_brokers;
mod leaders;
mod malformed;
mod membership;
mod message;
mod observer;
mod offsets;
mod partitions;
mod place;
mod producer;
mod settings;
mod signals;
mod topics;
mod transactions;
mod trial;
mod wake;
pub mod wire;

pub use admission::refused;
pub use consumer::{Consumer, Event};
pub use echo::{Echo, EchoProducer};
pub use embedded::EmbeddedCluster;
pub use error::{ClientError, ErrorClass, KafkaError, Reason};
pub use fault::{Fault, FaultKind, LogCut};
pub use group::{GroupConsumer, MemberState};
pub use group_event::GroupEvent;
pub use groups::{CommittedPlaces, GroupDescription, GroupMember};
pub use handover::Handover;
pub use hub::{Bell, HubBell, Ringer, WakeHub};
pub use known_brokers::KnownBrokers;
pub use leaders::{Coordinator, Leaders, Trouble, named};
pub use message::Message;
pub use observer::{BrokerChange, BrokerStates, Look, Observer, TopicError, TopicShape};
pub use offsets::{Answers, Isolation, OffsetAndEpoch, OffsetQuery, OffsetSpec};
pub use producer::{Delivery, Outcome, Producer, Record, SendError, Value};
pub use settings::{
    ClientSettings, ConsumerSettings, GroupSettings, GroupStart, ProducerSettings, TransactionSettings,
};
pub use transactions::{End, Ended, Transactions};
