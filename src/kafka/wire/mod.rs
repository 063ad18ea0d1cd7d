//! A Kafka client of our own.
//!
//! librdkafka hides what a verifier wants to see (checksums, control records, producer ids and sequences, the extent of
//! a batch that cannot be read), and costs several times the CPU of what the work itself takes. This folder is to take
//! its place for records: [`protocol`] has the messages in each version that is spoken, [`batch`] the record batches,
//! [`core`] the client's state, and [`shell`] its sockets. Only the last one does any I/O; the others know nothing of
//! clocks, executors or sockets. [`Wire`] makes the clients that the rest of the program sees.

mod admin;
mod asked;
pub(crate) mod batch;
mod bearer;
mod complaint;
pub(crate) mod core;
mod factory;
mod leaders;
mod ordered;
pub(crate) mod protocol;
mod reader;
mod seats;
pub(crate) mod security;
pub(crate) mod settings;
pub(crate) mod shell;
#[cfg(test)]
mod sim;
mod trust;
mod writer;

pub(crate) use admin::AdminClient;
pub(crate) use factory::Wire;
pub(crate) use reader::Reader as WireReader;
pub(crate) use settings::{lacking, try_writer};
pub(crate) use writer::Writer as WireWriter;
