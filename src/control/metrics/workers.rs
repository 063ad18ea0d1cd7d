//! What shards count, as metrics: one line for each counter.

use std::{collections::BTreeMap, iter};

use super::family::{About, Families, Kind, Labels, Value};
use crate::stats::{ProducerStats, ReaderStats, WorkerStats};

/// A counter of a shard's, and the metric that it is.
pub(super) struct Metric<S> {
    about: About,
    value: fn(&S) -> u64,
    /// It is counted in µs, and told in seconds, as Prometheus wants times.
    is_us: bool,
}

const fn counter<S>(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&S) -> u64,
) -> Metric<S> {
    Metric { about: About { kind: Kind::Counter, name, unit, help }, value, is_us: false }
}

/// A counter of µs.
const fn time<S>(name: &'static str, help: &'static str, value: fn(&S) -> u64) -> Metric<S> {
    Metric { about: About { kind: Kind::Counter, name, unit: "seconds", help }, value, is_us: true }
}

const fn gauge<S>(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&S) -> u64,
) -> Metric<S> {
    Metric { about: About { kind: Kind::Gauge, name, unit, help }, value, is_us: false }
}

// A metric that several roles have says the same of all of them.
const ACKED: &str =
    "Records acked: a verifier's where they were expected, a repeater's tokens in committed transactions.";
const ACKED_BYTES: &str = "Value bytes of the acked records.";
const ACKED_TOMBSTONES: &str = "Null values acked.";
const FAILED: &str = "Records that were not acked.";
const ABORTED: &str = "Records of transactions that were aborted.";
const READ: &str = "Records read, whatever became of them.";
const READ_BYTES: &str = "Value bytes of the records read.";
const READ_TOMBSTONES: &str = "Null values read.";
const READ_ERRORS: &str = "Errors while reading that were survived.";
const LOST_OFFSETS: &str = "Offsets that are lost, where that is tolerated.";
const OVERDUE: &str = "Records that were due by the rate limit, and could not be sent then.";

const BLOCKED: &str = "Time of a benchmark in which a record was due, and brokers kept it from being sent.";

/// A verifier's producer.
pub(super) const PRODUCER: &[Metric<ProducerStats>] = &[
    counter("sent", "records", "Records handed to the client.", |stats| stats.sent.get()),
    counter("acked", "records", ACKED, |stats| stats.acked.get()),
    counter("acked", "bytes", ACKED_BYTES, |stats| stats.acked_bytes.get()),
    counter("acked", "tombstones", ACKED_TOMBSTONES, |stats| stats.tombstones.get()),
    counter("misplaced", "records", "Records acked elsewhere than expected.", |stats| {
        stats.bad_offsets.get()
    }),
    counter("producer", "restarts", "Times that the end offsets were asked for again.", |stats| {
        stats.restarts.get()
    }),
    counter("failed", "records", FAILED, |stats| stats.fails.get()),
    counter("failed", "transactions", "Transactions that failed, and were tried again.", |stats| {
        stats.failed_transactions.get()
    }),
    counter("aborted", "records", ABORTED, |stats| stats.aborted_records.get()),
    counter("lost", "offsets", LOST_OFFSETS, |stats| stats.lost_offsets.get()),
    counter("answered", "records", "Records that have an outcome, whatever it is.", |stats| {
        stats.deliveries.get()
    }),
    counter("delayed", "messages", "Messages to the control thread that found its queue full.", |stats| {
        stats.refused_messages.get()
    }),
    time("blocked", BLOCKED, |stats| stats.blocked_us.get()),
    gauge("overdue", "records", OVERDUE, |stats| stats.overdue.get()),
];

/// A reader of any kind.
pub(super) const READER: &[Metric<ReaderStats>] = &[
    counter("read", "records", READ, |stats| {
        stats.valid_reads.get() + stats.invalid_reads.get() + stats.out_of_scope_invalid_reads.get()
    }),
    counter("read", "bytes", READ_BYTES, |stats| stats.bytes.get()),
    counter("read", "tombstones", READ_TOMBSTONES, |stats| stats.tombstones_consumed.get()),
    counter("read", "errors", READ_ERRORS, |stats| stats.errors.get()),
    counter("valid", "records", "Records that name their own offset.", |stats| stats.valid_reads.get()),
    counter("invalid", "records", "Records in the ledger that do not name their offset.", |stats| {
        stats.invalid_reads.get()
    }),
    counter(
        "out_of_scope",
        "records",
        "Records outside the ledger that do not name their offset.",
        |stats| stats.out_of_scope_invalid_reads.get(),
    ),
    counter("offset", "gaps", "Jumps forward that nothing explains.", |stats| stats.offset_gaps.get()),
    counter("lost", "offsets", LOST_OFFSETS, |stats| stats.lost_offsets.sum()),
];

/// A repeater's workers.
pub(super) const REPEATER: &[Metric<WorkerStats>] = &[
    counter("acked", "records", ACKED, |stats| stats.produced.get()),
    counter("acked", "bytes", ACKED_BYTES, |stats| stats.produced_bytes.get()),
    counter("acked", "tombstones", ACKED_TOMBSTONES, |stats| stats.tombstones.get()),
    counter("failed", "tombstones", "Null values that failed, or may have.", |stats| {
        stats.failed_tombstones.get()
    }),
    counter("failed", "records", FAILED, |stats| stats.failed_in_transactions.get()),
    counter("read", "records", READ, |stats| stats.consumed.get()),
    counter("read", "bytes", READ_BYTES, |stats| stats.consumed_bytes.get()),
    counter("read", "tombstones", READ_TOMBSTONES, |stats| stats.tombstones_consumed.get()),
    counter("read", "errors", READ_ERRORS, |stats| stats.faults.get()),
    counter("lost", "tokens", "Tokens whose record failed for certain.", |stats| stats.lost_failed.get()),
    counter("unknown", "tokens", "Tokens whose record is in the log, or not: they count as lost.", |stats| {
        stats.lost_unknown.get()
    }),
    counter("bad_body", "records", "Records whose value is no repeater's.", |stats| stats.bad_bodies.get()),
    counter("aborted_read", "records", "Records of aborted transactions that were read.", |stats| {
        stats.aborted_reads.get()
    }),
    counter("aborted", "records", ABORTED, |stats| stats.aborted_records.get()),
    counter("aborted", "transactions", "Transactions that were aborted.", |stats| {
        stats.aborted_transactions.get()
    }),
    counter("committed", "transactions", "Transactions that were committed.", |stats| {
        stats.committed_transactions.get()
    }),
    counter("before_sent", "records", "Records that came before they were sent, by two clocks.", |stats| {
        stats.before_sent.get()
    }),
    counter("group", "rebalances", "Rebalances of the group that the workers took part in.", |stats| {
        stats.rebalances.get()
    }),
    gauge("replayed", "records", "Records read again after a rebalance, at most.", |stats| {
        stats.replayed.get()
    }),
    gauge("overdue", "records", OVERDUE, |stats| stats.overdue.get()),
    gauge("held", "tokens", "Tokens that wait here, or were sent and have no outcome.", |stats| {
        stats.enqueued.get()
    }),
    gauge("owned", "partitions", "Partitions that the group has given to the workers.", |stats| {
        stats.partitions.get()
    }),
    gauge("settled", "workers", "Workers whose partitions all have a committed offset.", |stats| {
        stats.settled.get()
    }),
    gauge("starting", "workers", "Workers whose transactional id was not let in yet.", |stats| {
        stats.starting.get()
    }),
];

/// Who has counted: a role, and a shard where it belongs to one.
pub(super) type Place = (&'static str, Option<usize>);

/// Adds these metrics, one sample for each role on each shard, however many workers it has there.
pub(super) fn add<'a, S: 'a>(
    families: &mut Families,
    topic: &str,
    metrics: &[Metric<S>],
    workers: impl Iterator<Item = (Place, &'a S)>,
) {
    let mut sums: BTreeMap<Place, Vec<u64>> = BTreeMap::new();
    for (place, stats) in workers {
        let sums = sums.entry(place).or_insert_with(|| vec![0; metrics.len()]);
        for (sum, metric) in iter::zip(sums, metrics) {
            *sum = sum.wrapping_add((metric.value)(stats));
        }
    }
    for ((role, shard), sums) in sums {
        for (sum, metric) in iter::zip(sums, metrics) {
            let mut labels = role_labels(topic, role);
            labels.extend(shard.map(|shard| ("shard", shard.to_string())));
            let value = if metric.is_us { Value::Seconds(sum as f64 / 1e6) } else { Value::Whole(sum) };
            families.add(metric.about, labels, value);
        }
    }
}

/// Labels of what a role has as a whole.
pub(super) fn role_labels(topic: &str, role: &str) -> Labels {
    vec![("topic", topic.to_owned()), ("role", role.to_owned())]
}
