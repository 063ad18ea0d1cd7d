//! The seam to Kafka: what the rest of the program sees of a client, in plain types.
//!
//! Loops are generic over [`LogReader`], [`LogWriter`] and [`ClientFactory`]. `librdkafka` is the client that stands on the
//! library of that name, [`wire`] our own (`--client wire`), and `fake` the one that tests play.

mod bell;
mod blame;
mod chatter;
mod client_factory;
mod ends;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod false_abort;
mod group;
mod joint;
mod known_brokers;
#[allow(unsafe_code)]
mod librdkafka;
mod log_reader;
mod log_writer;
mod observer;
mod offsets;
mod settings;
mod slots;
mod token;
mod transactions;
pub mod wire;

pub use client_factory::{ClientFactory, SpotFactory};
pub use ends::{Ends, Inquiry, Reply, ends};
pub(crate) use error::UNKNOWN_PROTOCOL;
pub use error::{ClientError, ErrorClass, KafkaError, LocalError, Reason, code};
pub use false_abort::FalseAbort;
pub use group::{
    CommitNumber, CommitWord, Expected, GroupFactory, GroupReader, GroupStart, GroupVisitor, GroupWord,
    Handover, Joined, MemberSettings, MemberState, Membership,
};
pub use joint::JointWorker;
pub use known_brokers::KnownBrokers;
#[cfg(test)]
pub use librdkafka::GroupMember;
pub use librdkafka::{CommittedPlaces, EmbeddedCluster, GroupDescription, Librdkafka, LibrdkafkaHub};
pub use log_reader::{LogEvent, LogReader, LogVisitor, PortionedReader, ReadFrom};
pub use log_writer::{
    Delivery, HeaderField, LogWriter, MOST_HEADERS, Outcome, Record, SendError, SlotWriter, Value,
};
pub(crate) use observer::Described;
#[cfg(test)]
pub(crate) use observer::DescribedPartition;
pub use observer::{
    BrokerChange, BrokerStates, Coordinator, Look, Observer, Refusal, TopicError, TopicShape, Trouble, named,
};
pub use offsets::{Answers, Isolation, OffsetAndEpoch, OffsetSpec, QuestionId, TopicAnswers};
pub use settings::{ClientSettings, ReaderSettings, TransactionSettings, WriterSettings};
pub use slots::Slots;
pub use transactions::{End, Ended, Transactions};
