//! The JSON of `/status`: exactly the contract's fields, in its order.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{LatencySummary, ProducerTotals, ReaderTotals};
use crate::config::StatusSchema;

/// One worker's object.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum WorkerStatus {
    /// The verifier's producer.
    Producer(ProducerStatus),
    /// A reader of any kind.
    Reader(ReaderStatus),
}

/// The producer's object: its counters are shown as their table has them.
#[derive(Debug)]
pub(crate) struct ProducerStatus {
    topic: String,
    totals: ProducerTotals,
    latency: LatencySummary,
    active: bool,
}

impl ProducerStatus {
    /// The object of a producer that has done this much.
    #[must_use]
    pub(crate) fn new(topic: &str, totals: ProducerTotals, latency: LatencySummary, active: bool) -> Self {
        Self { topic: topic.to_owned(), totals, latency, active }
    }
}

impl Serialize for ProducerStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("topic", &self.topic)?;
        self.totals.show(&mut object, StatusSchema::default())?;
        object.serialize_entry("latency", &self.latency)?;
        object.serialize_entry("active", &self.active)?;
        object.end()
    }
}

/// A reader's object.
#[derive(Debug, Serialize)]
pub(crate) struct ReaderStatus {
    topic: String,
    validator: ValidatorStatus,
    active: bool,
    errors: u64,
}

/// A reader's counters, as their table has them.
#[derive(Debug)]
struct ValidatorStatus {
    totals: ReaderTotals,
    schema: StatusSchema,
}

impl Serialize for ValidatorStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("name", "")?;
        self.totals.show(&mut object, self.schema)?;
        object.end()
    }
}

impl ReaderStatus {
    /// The object of a reader that has seen this much.
    #[must_use]
    pub(crate) fn new(topic: &str, totals: ReaderTotals, schema: StatusSchema, active: bool) -> Self {
        let errors = totals.errors;
        Self { topic: topic.to_owned(), validator: ValidatorStatus { totals, schema }, active, errors }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn producer_s_text_is_the_contract_s() {
        let totals = ProducerTotals { max_offsets: BTreeMap::from([(0, 41)]), ..ProducerTotals::default() };
        let status = ProducerStatus::new("t", totals, LatencySummary::default(), true);
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            concat!(
                r#"{"topic":"t","sent":0,"acked":0,"bad_offsets":0,"max_offsets_produced":{"0":41},"#,
                r#""restarts":0,"fails":0,"tombstones_produced":0,"failed_transactions":0,"#,
                r#""aborted_transaction_msgs":0,"latency":{"p50":0,"p90":0,"p99":0},"active":true}"#
            )
        );
    }

    #[test]
    fn reader_s_text_is_the_contract_s() {
        let totals = ReaderTotals { max_offsets: BTreeMap::from([(0, 41)]), ..ReaderTotals::default() };
        let status = ReaderStatus::new("t", totals, StatusSchema::V2, true);
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            concat!(
                r#"{"topic":"t","validator":{"name":"","valid_reads":0,"invalid_reads":0,"offset_gaps":0,"#,
                r#""out_of_scope_invalid_reads":0,"max_offsets_consumed":{"0":41},"lost_offsets":null,"#,
                r#""tombstones_consumed":0},"active":true,"errors":0}"#
            )
        );
    }

    #[test]
    fn old_schema_has_no_gaps_and_losses_show_once_there_are_any() {
        let totals =
            ReaderTotals { lost_offsets: BTreeMap::from([(0, 0), (3, 7)]), ..ReaderTotals::default() };
        let text = serde_json::to_string(&ReaderStatus::new("t", totals, StatusSchema::V1, false)).unwrap();
        assert!(!text.contains("offset_gaps"), "{text}");
        assert!(text.contains(r#""lost_offsets":{"3":7}"#), "{text}");
    }
}
