//! The JSON of `/status`: exactly the contract's fields, in its order.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{LatencySummary, ProducerTotals, ReaderTotals};
use crate::config::StatusSchema;

/// One worker's object.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum WorkerStatus {
    /// The verifier's producer.
    Producer(ProducerStatus),
    /// A reader of any kind.
    Reader(ReaderStatus),
}

/// The producer's object.
#[derive(Debug, Serialize)]
pub struct ProducerStatus {
    topic: String,
    sent: u64,
    acked: u64,
    bad_offsets: u64,
    max_offsets_produced: BTreeMap<i32, i64>,
    restarts: u64,
    fails: u64,
    tombstones_produced: u64,
    failed_transactions: u64,
    aborted_transaction_msgs: u64,
    latency: LatencySummary,
    active: bool,
}

impl ProducerStatus {
    /// The object of a producer that has done this much.
    #[must_use]
    pub fn new(topic: &str, totals: &ProducerTotals, latency: LatencySummary, active: bool) -> Self {
        Self {
            topic: topic.to_owned(),
            sent: totals.sent,
            acked: totals.acked,
            bad_offsets: totals.bad_offsets,
            max_offsets_produced: totals.max_offsets.clone(),
            restarts: totals.restarts,
            fails: totals.fails,
            tombstones_produced: totals.tombstones,
            failed_transactions: totals.failed_transactions,
            aborted_transaction_msgs: totals.aborted_records,
            latency,
            active,
        }
    }
}

/// A reader's object.
#[derive(Debug, Serialize)]
pub struct ReaderStatus {
    topic: String,
    validator: ValidatorStatus,
    active: bool,
    errors: u64,
}

#[derive(Debug, Serialize)]
struct ValidatorStatus {
    name: &'static str,
    valid_reads: u64,
    invalid_reads: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset_gaps: Option<u64>,
    out_of_scope_invalid_reads: u64,
    max_offsets_consumed: BTreeMap<i32, i64>,
    /// `null` until something is lost.
    lost_offsets: Option<BTreeMap<i32, i64>>,
    tombstones_consumed: u64,
}

impl ReaderStatus {
    /// The object of a reader that has seen this much.
    #[must_use]
    pub fn new(topic: &str, totals: &ReaderTotals, schema: StatusSchema, active: bool) -> Self {
        let lost: BTreeMap<_, _> = totals
            .lost_offsets
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(id, count)| (*id, *count))
            .collect();
        let validator = ValidatorStatus {
            name: "",
            valid_reads: totals.valid_reads,
            invalid_reads: totals.invalid_reads,
            offset_gaps: (schema == StatusSchema::V2).then_some(totals.offset_gaps),
            out_of_scope_invalid_reads: totals.out_of_scope_invalid_reads,
            max_offsets_consumed: totals.max_offsets.clone(),
            lost_offsets: (!lost.is_empty()).then_some(lost),
            tombstones_consumed: totals.tombstones_consumed,
        };
        Self { topic: topic.to_owned(), validator, active, errors: totals.errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producer_s_text_is_the_contract_s() {
        let totals = ProducerTotals { max_offsets: BTreeMap::from([(0, 41)]), ..ProducerTotals::default() };
        let status = ProducerStatus::new("t", &totals, LatencySummary::default(), true);
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
        let status = ReaderStatus::new("t", &totals, StatusSchema::V2, true);
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
        let text = serde_json::to_string(&ReaderStatus::new("t", &totals, StatusSchema::V1, false)).unwrap();
        assert!(!text.contains("offset_gaps"), "{text}");
        assert!(text.contains(r#""lost_offsets":{"3":7}"#), "{text}");
    }
}
