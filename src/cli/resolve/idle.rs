//! Flags that have no effect without another one. Harnesses pass those of the old tools freely: they are told, not refused.

use std::{env, time::Duration};

use super::super::{
    PASSWORD_VARIABLE,
    bench::BenchArgs,
    common::{SecurityArgs, TransactionArgs},
    repeater::RepeaterArgs,
    verifier::VerifierArgs,
};

/// Of transactions, where no flag says anything else.
const USUAL_TIMEOUT: Duration = Duration::from_mins(2);

/// A flag that was given, whether it has an effect, its name, and what it needs.
type Row = (bool, bool, &'static str, &'static str);

/// What to tell of a verifier's flags, one line each.
pub(super) fn verifier(args: &VerifierArgs) -> Vec<String> {
    let (work, records, reader, group) = (&args.work, &args.producer, &args.reader, &args.group);
    let (has_producer, in_group) = (work.produce_msgs > 0, work.consumer_group_readers > 0);
    let (in_order, at_random) = (work.seq_read || in_group, work.rand_read_msgs > 0);
    let reads = in_order || at_random;
    let (a_producer, a_group) = ("--produce_msgs", "--consumer_group_readers");
    let rows: [Row; 19] = [
        (records.produce_throughput_bps.0.is_some(), has_producer, "produce-throughput-bps", a_producer),
        (records.key_set_cardinality.0.is_some(), has_producer, "key-set-cardinality", a_producer),
        (records.msgs_per_producer_id.0.is_some(), has_producer, "msgs-per-producer-id", a_producer),
        (records.fake_timestamp_ms.0.is_some(), has_producer, "fake-timestamp-ms", a_producer),
        (records.tolerate_failed_produce, has_producer, "tolerate-failed-produce", a_producer),
        (records.produce_random_bytes, has_producer, "produce-random-bytes", a_producer),
        (args.batch.tombstone_probability > 0.0, has_producer, "tombstone-probability", a_producer),
        (
            records.fake_timestamp_step_ms != 1,
            records.fake_timestamp_ms.0.is_some(),
            "fake-timestamp-step-ms",
            "--fake-timestamp-ms",
        ),
        (work.looping, reads, "loop", "a reader"),
        (work.continuous, in_order, "continuous", "--seq_read or --consumer_group_readers"),
        (args.proof.compacted, reads, "compacted", "a reader"),
        (reader.parallel != 1, at_random, "parallel", "--rand_read_msgs"),
        (reader.seq_read_msgs.0.is_some(), in_order, "seq_read_msgs", "--seq_read"),
        (reader.consume_throughput_mb.0.is_some(), in_order, "consume-throughput-mb", "--seq_read"),
        (!group.consumer_group_name.is_empty(), in_group, "consumer_group_name", a_group),
        (group.max_uncommitted.0.is_some(), in_group, "max-uncommitted", a_group),
        (
            group.consumer_group_session_timeout_s.is_some(),
            in_group,
            "consumer-group-session-timeout-s",
            a_group,
        ),
        (
            group.consumer_group_rebalance_timeout_s.is_some(),
            in_group,
            "consumer-group-rebalance-timeout-s",
            a_group,
        ),
        (group.group_consume_exactly_once, in_group, "group-consume-exactly-once", a_group),
    ];
    let mut list = told(&rows);
    list.extend(password(&args.security));
    list.extend(transactions(&args.transaction));
    if args.proof.validate_latest_values && records.key_set_cardinality.0.is_none() && has_producer {
        list.push(
            "--validate-latest-values without --key-set-cardinality: each record has a key of its own, so that each value \
             is its key's last"
                .to_owned(),
        );
    }
    list
}

/// What to tell of a repeater's flags, one line each.
pub(super) fn repeater(args: &RepeaterArgs) -> Vec<String> {
    password(&args.security).into_iter().chain(transactions(&args.transaction)).collect()
}

/// What to tell of a benchmark's flags, one line each.
pub(super) fn bench(args: &BenchArgs) -> Vec<String> {
    password(&args.security).into_iter().chain(transactions(&args.transaction)).collect()
}

/// A password alone: without a name no SASL is spoken, and who gave one takes the connection for secured. One that was given
/// by the flag has moved to the environment by now, so that no process list shows it.
fn password(args: &SecurityArgs) -> Option<String> {
    let by_variable = || env::var_os(PASSWORD_VARIABLE).is_some_and(|password| !password.is_empty());
    let given = !args.password.is_empty() || by_variable();
    (given && args.username.is_empty()).then(|| {
        format!("--password (or {PASSWORD_VARIABLE}) has no effect without --username: no SASL is spoken")
    })
}

fn transactions(args: &TransactionArgs) -> Vec<String> {
    let (given, needs) = (args.use_transactions, "--use-transactions");
    told(&[
        (args.transaction_abort_rate > 0.0, given, "transaction-abort-rate", needs),
        (args.msgs_per_transaction != 1, given, "msgs-per-transaction", needs),
        (args.transaction_timeout_ms != USUAL_TIMEOUT, given, "transaction-timeout-ms", needs),
    ])
}

fn told(rows: &[Row]) -> Vec<String> {
    let idle = rows.iter().filter(|(given, has_effect, ..)| *given && !has_effect);
    idle.map(|(.., flag, needs)| format!("--{flag} has no effect without {needs}")).collect()
}
