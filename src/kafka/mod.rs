//! The seam to Kafka: what the rest of the program sees of a client, in plain types.
//!
//! `librdkafka` is the client that stands on the library of that name, [`wire`] our own, which nothing uses yet.

mod error;
mod known_brokers;
#[allow(unsafe_code)]
mod librdkafka;
pub mod wire;

pub(crate) use error::UNKNOWN_PROTOCOL;
pub use error::{ClientError, ErrorClass, KafkaError, LocalError, Reason, code};
pub use known_brokers::KnownBrokers;
pub use librdkafka::{
    Answers, Bell, BrokerChange, BrokerStates, ClientSettings, CommittedPlaces, Consumer, ConsumerSettings,
    Coordinator, Delivery, Echo, EchoProducer, EmbeddedCluster, End, Ended, Event, Fault, FaultKind,
    GroupConsumer, GroupDescription, GroupEvent, GroupMember, GroupSettings, GroupStart, Handover, HubBell,
    Isolation, Leaders, LogCut, Look, MemberState, Message, Observer, OffsetAndEpoch, OffsetQuery,
    OffsetSpec, Outcome, Producer, ProducerSettings, Record, Ringer, SendError, TopicError, TopicShape,
    TransactionSettings, Transactions, Trouble, Value, WakeHub, named, refused,
};
