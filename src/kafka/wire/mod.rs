//! A Kafka client of our own.
//!
//! librdkafka hides what a verifier wants to see (checksums, control records, producer ids and sequences, the extent of
//! a batch that cannot be read), and costs several times the CPU of what the work itself takes. This folder is to take
//! its place for records: [`protocol`] has the messages in each version that is spoken, [`batch`] the record batches,
//! [`core`] the client's state, and [`shell`] its sockets. Only the last one does any I/O; the others know nothing of
//! clocks, executors or sockets. Nothing outside of it uses it yet.

pub mod batch;
pub mod core;
pub mod protocol;
mod reader;
pub mod settings;
pub mod shell;

pub use self::reader::Reader;
