//! The Kafka client: librdkafka, and everything that knows about it.
//!
//! The rest of the program sees producers, consumers, offsets and errors in plain
//! types, so that another client can take librdkafka's place behind the same
//! names. It is also the only place with `unsafe` code: each client here owns its
//! handles, keeps them on the thread that made it, and hands out no pointer.

mod client;
mod consumer;
mod embedded;
mod error;
mod observer;
mod offsets;
mod producer;
mod settings;
mod wake;

pub use consumer::{Consumer, Event, Fault, FaultKind};
pub use embedded::EmbeddedCluster;
pub use error::{ClientError, KafkaError};
pub use observer::{BrokerChange, BrokerStates, Observer, TopicError, TopicShape};
pub use offsets::{Isolation, OffsetSpec};
pub use producer::{Delivery, Outcome, Producer, Record, SendError};
pub use settings::{ClientSettings, ConsumerSettings, ProducerSettings};
