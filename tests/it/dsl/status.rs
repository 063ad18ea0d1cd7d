//! `/status` as an old harness takes it: exactly these fields, none more and none less.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

type Offsets = BTreeMap<String, i64>;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Worker {
    Producer(Producer),
    Reader(Reader),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    pub topic: String,
    pub sent: u64,
    pub acked: u64,
    pub bad_offsets: u64,
    pub max_offsets_produced: Offsets,
    pub restarts: u64,
    pub fails: u64,
    pub tombstones_produced: u64,
    pub failed_transactions: u64,
    pub aborted_transaction_msgs: u64,
    pub latency: Latency,
    pub active: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    pub topic: String,
    pub validator: Validator,
    pub active: bool,
    pub errors: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    pub name: String,
    pub valid_reads: u64,
    pub invalid_reads: u64,
    pub offset_gaps: u64,
    pub out_of_scope_invalid_reads: u64,
    pub max_offsets_consumed: Offsets,
    #[serde(deserialize_with = "present")]
    pub lost_offsets: Option<Offsets>,
    pub tombstones_consumed: u64,
}

/// `null` is fine, a missing field is not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Offsets>, D::Error> {
    Option::deserialize(deserializer)
}

impl Worker {
    pub fn is_active(&self) -> bool {
        match self {
            Self::Producer(producer) => producer.active,
            Self::Reader(reader) => reader.active,
        }
    }

    #[track_caller]
    pub fn producer(&self) -> &Producer {
        match self {
            Self::Producer(producer) => producer,
            Self::Reader(_) => panic!("no producer: {self:?}"),
        }
    }

    #[track_caller]
    pub fn reader(&self) -> &Reader {
        match self {
            Self::Reader(reader) => reader,
            Self::Producer(_) => panic!("no reader: {self:?}"),
        }
    }
}

/// Whether none of them works any more.
pub fn all_done(workers: &[Worker]) -> bool {
    !workers.iter().any(Worker::is_active)
}
