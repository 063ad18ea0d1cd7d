//! A task of Trogdor's, as its agents hand it to an external command: one line of JSON, `{"id": …, "workload": {…}}`. The
//! workload is that of a `ProduceBenchSpec`, with Trogdor's names, and becomes flags of the verifier; whatever of it the
//! verifier cannot do is refused by name.

use std::{collections::BTreeMap, ffi::OsString};

use clap::CommandFactory;
use serde::Deserialize;
use thiserror::Error;

use super::{
    Program,
    go_flags::{self, Normalised},
    values::go_bool,
    verifier::VerifierArgs,
};

/// What a workload says it is, where it says so.
const CLASS: &str = "org.apache.kafka.trogdor.workload.ProduceBenchSpec";

/// Why a line is no task.
#[derive(Debug, Error)]
pub(crate) enum TaskError {
    /// No JSON, a field that nobody knows, one that is missing, or one of another kind.
    #[error("the task on standard input: {0}")]
    Json(#[from] serde_json::Error),
    /// The workload is another one.
    #[error("the task's class: accepts {CLASS}, not {0}")]
    Class(String),
    /// A verifier has one topic.
    #[error("the task's activeTopics: accepts one topic, not {0}")]
    Topics(usize),
    /// The limit is kept by counting value bytes.
    #[error("the task's targetMessagesPerSec: needs values of at least one byte: valueGenerator has size 0")]
    RateOfNothing,
}

#[derive(Debug, Deserialize)]
struct Task {
    workload: Workload,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Workload {
    class: Option<String>,
    bootstrap_servers: String,
    /// 0: as fast as acks come.
    #[serde(default)]
    target_messages_per_sec: u64,
    max_messages: u64,
    active_topics: BTreeMap<String, Partitions>,
    #[serde(default)]
    value_generator: Values,
    transaction_generator: Option<Transactions>,
    /// 0: until all messages are acked.
    #[serde(default)]
    duration_ms: u64,
}

/// How a topic is made that is missing. Trogdor's defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Partitions {
    #[serde(default = "one")]
    num_partitions: u64,
    #[serde(default = "one")]
    replication_factor: u64,
    #[serde(default)]
    configs: BTreeMap<String, String>,
}

fn one() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "camelCase")]
enum Values {
    Constant { size: u64 },
    UniformRandom { size: u64 },
}

impl Default for Values {
    fn default() -> Self {
        Self::Constant { size: 512 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Transactions {
    Uniform { messages_per_transaction: u64 },
}

/// Whether a command line takes its work from Trogdor. One with a mistake does not: whoever parses it says what is wrong.
pub(crate) fn takes_task(program: Program, words: &[OsString]) -> bool {
    let mut words = words.iter().filter(|word| !word.is_empty()).peekable();
    match program {
        Program::Verifier => {}
        Program::Proofload if words.next_if(|word| *word == "verifier").is_some() => {}
        Program::Proofload | Program::Repeater => return false,
    }
    let flags = go_flags::normalise(&VerifierArgs::command(), words.cloned());
    let is_asked = |flag: &String| flag.strip_prefix("--trogdor=").map(go_bool) == Some(Ok(true));
    matches!(flags, Ok(Normalised::Words(flags)) if flags.iter().any(is_asked))
}

/// The verifier's flags for a task, to stand behind those of the command line.
///
/// # Errors
/// The line is no task, or one that a verifier cannot do.
pub(crate) fn flags(line: &str) -> Result<Vec<OsString>, TaskError> {
    let Task { workload } = serde_json::from_str(line)?;
    if let Some(class) = workload.class.filter(|class| class != CLASS) {
        return Err(TaskError::Class(class));
    }
    let count = workload.active_topics.len();
    let (1, Some((topic, shape))) = (count, workload.active_topics.into_iter().next()) else {
        return Err(TaskError::Topics(count));
    };
    let mut flags = vec![
        format!("--brokers={}", workload.bootstrap_servers),
        format!("--topic={topic}"),
        format!("--produce_msgs={}", workload.max_messages),
        "--create-topic".to_owned(),
        format!("--partitions={}", shape.num_partitions),
        format!("--replication-factor={}", shape.replication_factor),
    ];
    flags.extend(shape.configs.iter().map(|(key, value)| format!("--topic-config={key}={value}")));
    let (value_bytes, fill) = match workload.value_generator {
        Values::Constant { size } => (size, "--compressible-payload"),
        Values::UniformRandom { size } => (size, "--produce-random-bytes"),
    };
    flags.extend([format!("--msg_size={value_bytes}"), fill.to_owned()]);
    if workload.target_messages_per_sec > 0 {
        if value_bytes == 0 {
            return Err(TaskError::RateOfNothing);
        }
        let bytes_per_s = workload.target_messages_per_sec.saturating_mul(value_bytes);
        flags.push(format!("--produce-throughput-bps={bytes_per_s}"));
    }
    if let Some(Transactions::Uniform { messages_per_transaction }) = workload.transaction_generator {
        flags.extend([
            "--use-transactions".to_owned(),
            format!("--msgs-per-transaction={messages_per_transaction}"),
        ]);
    }
    if workload.duration_ms > 0 {
        flags.push(format!("--duration={}ms", workload.duration_ms));
    }
    Ok(flags.into_iter().map(OsString::from).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A task of the fewest words, with something put into its workload.
    fn task(change: impl FnOnce(&mut Value)) -> String {
        let mut workload = json!({
            "bootstrapServers": "b:9092",
            "maxMessages": 100,
            "activeTopics": { "t": {} },
        });
        change(&mut workload);
        json!({ "id": "node0-1", "workload": workload }).to_string()
    }

    fn words(line: &str) -> String {
        let flags = flags(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        flags.iter().map(|flag| flag.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    fn refusal(line: &str) -> String {
        flags(line).expect_err(line).to_string()
    }

    #[test]
    fn the_fewest_words_are_with_trogdors_defaults() {
        assert_eq!(
            words(&task(|_| ())),
            "--brokers=b:9092 --topic=t --produce_msgs=100 --create-topic --partitions=1 --replication-factor=1 \
             --msg_size=512 --compressible-payload"
        );
    }

    #[test]
    fn every_field_becomes_a_flag() {
        let line = task(|workload| {
            workload["class"] = CLASS.into();
            workload["targetMessagesPerSec"] = 1_000.into();
            workload["durationMs"] = 30_000.into();
            workload["activeTopics"]["t"] = json!({ "numPartitions": 3, "replicationFactor": 2, "configs": { "cleanup.policy": "delete" } });
            workload["valueGenerator"] = json!({ "type": "uniformRandom", "size": 100 });
            workload["transactionGenerator"] = json!({ "type": "uniform", "messagesPerTransaction": 7 });
        });
        assert_eq!(
            words(&line),
            "--brokers=b:9092 --topic=t --produce_msgs=100 --create-topic --partitions=3 --replication-factor=2 \
             --topic-config=cleanup.policy=delete --msg_size=100 --produce-random-bytes \
             --produce-throughput-bps=100000 --use-transactions --msgs-per-transaction=7 --duration=30000ms"
        );
    }

    #[test]
    fn fields_that_nobody_knows_are_named() {
        let of = |change: fn(&mut Value)| refusal(&task(change));
        for (said, field) in [
            (of(|workload| workload["keyGenerator"] = json!({})), "keyGenerator"),
            (of(|workload| workload["maxMesages"] = 1.into()), "maxMesages"),
            (of(|workload| workload["activeTopics"]["t"]["partitions"] = 1.into()), "partitions"),
            (
                of(|workload| {
                    workload["valueGenerator"] = json!({ "type": "constant", "size": 1, "seed": 5 });
                }),
                "seed",
            ),
            (
                of(|workload| {
                    workload["transactionGenerator"] =
                        json!({ "type": "uniform", "messagesPerTransaction": 1, "intervalMs": 5 });
                }),
                "intervalMs",
            ),
        ] {
            assert!(said.starts_with("the task on standard input: "), "{said}");
            assert!(said.contains(&format!("unknown field `{field}`, expected")), "{said}");
        }
    }

    #[test]
    fn what_a_verifier_cannot_do_is_refused() {
        let of = |change: fn(&mut Value)| refusal(&task(change));
        assert_eq!(
            of(|workload| workload["activeTopics"]["u"] = json!({})),
            "the task's activeTopics: accepts one topic, not 2"
        );
        assert_eq!(
            of(|workload| workload["activeTopics"] = json!({})),
            "the task's activeTopics: accepts one topic, not 0"
        );
        let class = of(|workload| workload["class"] = "ConsumeBenchSpec".into());
        assert_eq!(class, format!("the task's class: accepts {CLASS}, not ConsumeBenchSpec"));
        let rate = of(|workload| {
            workload["targetMessagesPerSec"] = 5.into();
            workload["valueGenerator"] = json!({ "type": "constant", "size": 0 });
        });
        assert!(rate.contains("targetMessagesPerSec"), "{rate}");
        let generator =
            of(|workload| workload["valueGenerator"] = json!({ "type": "sequential", "size": 8 }));
        assert!(generator.contains("unknown variant `sequential`"), "{generator}");
        let negative = of(|workload| workload["maxMessages"] = json!(-1));
        assert!(negative.contains("invalid value: integer `-1`"), "{negative}");
    }

    #[test]
    fn what_is_no_task_is_refused() {
        for (line, why) in [
            ("", "EOF"),
            ("{", "EOF"),
            ("[]", "invalid length 0"),
            ("{\"id\": \"1\"}", "missing field `workload`"),
            ("{\"id\": \"1\", \"workload\": null}", "invalid type: null"),
            ("{\"id\": \"1\", \"workload\": {}}", "missing field `bootstrapServers`"),
        ] {
            let said = refusal(line);
            assert!(said.starts_with("the task on standard input: ") && said.contains(why), "{line}: {said}");
        }
    }

    #[test]
    fn tasks_are_for_verifiers_that_ask_for_one() {
        let takes = |program, line: &str| {
            takes_task(program, &line.split(' ').map(OsString::from).collect::<Vec<_>>())
        };
        assert!(takes(Program::Verifier, "--trogdor") && takes(Program::Verifier, "-seq_read -trogdor=1"));
        assert!(takes(Program::Proofload, "verifier --trogdor"));
        assert!(
            !takes(Program::Verifier, "--trogdor=false") && !takes(Program::Verifier, "--topic --trogdor")
        );
        assert!(!takes(Program::Proofload, "bench --trogdor") && !takes(Program::Repeater, "--trogdor"));
        assert!(!takes(Program::Verifier, "--trogdor --frobnicate"), "that is said first");
    }
}
