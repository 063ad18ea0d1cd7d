//! The seam to Kafka: what the rest of the program sees of a client, in plain types.
//!
//! Loops are generic over [`LogReader`], [`LogWriter`] and [`ClientFactory`]. `librdkafka` is the client that stands on the
//! library of that name, [`wire`] our own (`--client wire`), and `fake` the one that tests play.

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
mod wake_event;
pub(crate) mod wire;

pub use client_factory::ClientFactory;
pub(crate) use client_factory::SpotFactory;
pub(crate) use ends::{DOUBT_S, Ends, Inquiry, Reply, ends};
pub(crate) use error::UNKNOWN_PROTOCOL;
pub use error::{ClientError, KafkaError};
pub(crate) use error::{ErrorClass, LocalError, Reason, code};
pub(crate) use false_abort::FalseAbort;
pub(crate) use group::{
    COMMIT_EVERY, COMMIT_PATIENCE, CommitNumber, CommitWord, Expected, GroupFactory, GroupReader, GroupStart,
    GroupVisitor, GroupWord, Handover, Joined, MemberReader, MemberSettings, MemberState, Membership,
    PlaceAnswer,
};
pub(crate) use joint::JointWorker;
pub(crate) use known_brokers::KnownBrokers;
#[cfg(test)]
pub(crate) use librdkafka::GroupMember;
pub(crate) use librdkafka::{
    CommittedPlaces, EmbeddedCluster, GroupDescription, Librdkafka, LibrdkafkaWorkers,
};
pub(crate) use log_reader::PortionedReader;
pub use log_reader::{LogEvent, LogReader, LogVisitor, ReadFrom};
pub use log_writer::{Delivery, LogWriter, Outcome, Record, SendError};
pub(crate) use log_writer::{HeaderField, MOST_HEADERS, SlotWriter, Value};
pub(crate) use observer::Described;
#[cfg(test)]
pub(crate) use observer::DescribedPartition;
pub(crate) use observer::{
    BrokerChange, BrokerStates, Coordinator, Look, Observer, Refusal, TopicError, TopicShape, Trouble, named,
};
pub use offsets::{Answers, Isolation, OffsetSpec, QuestionId};
pub(crate) use offsets::{OffsetAndEpoch, TopicAnswers};
pub(crate) use settings::{ClientSettings, TransactionSettings};
pub use settings::{ReaderSettings, WriterSettings};
pub(crate) use slots::Slots;
pub(crate) use transactions::{End, Ended, Transactions};
