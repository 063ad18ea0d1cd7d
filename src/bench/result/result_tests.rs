use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::stats::LatencyHistogram;

/// The names in OpenMessaging Benchmark's result, by the stem of each group.
fn names() -> BTreeSet<String> {
    let plain = [
        "workload",
        "driver",
        "messageSize",
        "topics",
        "partitions",
        "producersPerTopic",
        "consumersPerTopic",
        "publishRate",
        "publishErrorRate",
        "consumeRate",
        "backlog",
        "aggregatedPublishLatencyQuantiles",
        "aggregatedPublishDelayLatencyQuantiles",
        "aggregatedEndToEndLatencyQuantiles",
    ];
    let stems = ["publishLatency", "publishDelayLatency", "endToEndLatency"].into_iter().flat_map(|stem| {
        let (first, rest) = stem.split_at(1);
        [stem.to_owned(), format!("aggregated{}{rest}", first.to_uppercase())]
    });
    let ends = ["Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "99999pct", "Max"];
    let grouped = stems.flat_map(|stem| ends.map(|end| format!("{stem}{end}")));
    plain.map(str::to_owned).into_iter().chain(grouped).collect()
}

pub(crate) fn example() -> BenchResult {
    let mut histogram = LatencyHistogram::fine();
    (1..=1_000).for_each(|latency_us| histogram.record(latency_us * 10));
    let mut open_messaging = OpenMessaging { workload: "w".into(), ..OpenMessaging::default() };
    open_messaging.add_publish(&histogram);
    open_messaging.add_delay(&histogram);
    open_messaging.add_end_to_end(&histogram);
    open_messaging.set_publish(&histogram);
    open_messaging.set_delay(&histogram);
    open_messaging.set_end_to_end(&histogram);
    let latency = Latency::of(&histogram);
    let latencies =
        LatencyReport { publish: latency, delay: latency, service: latency, end_to_end: Some(latency) };
    let settings = Settings {
        client: "wire".into(),
        topics: vec!["t".into()],
        partitions: 8,
        goal: Goal::OpenLoop { records_per_s: 1_000.0 },
        message_bytes: 128,
        key_and_header_bytes: 90,
        readers: "direct".into(),
        duration_s: 60.0,
        warmup_s: 10.0,
        flags: [("rate".to_owned(), Value::from("1000"))].into(),
    };
    let proof = ProofReport {
        verdict: "proven".into(),
        summary: "PROVEN".into(),
        complete: true,
        exit_code: 0,
        acked_records: 1_000,
        read_records: 1_000,
        proven_records: 1_000,
        not_vouched_for: Vec::new(),
    };
    let proofload = Proofload {
        format: FORMAT,
        version: "0".into(),
        proof,
        client: ClientReport { shards: vec![ShardReport::default()], ..ClientReport::default() },
        machine: Machine::default(),
        settings,
        started_at_ms: 1,
        measured_s: 60.0,
        totals: Totals::default(),
        latencies,
        samples: vec![Sample { end_to_end: Some(SampleLatency::of(&histogram)), ..Sample::default() }],
        search: None,
        backlog: None,
    };
    BenchResult { open_messaging, proofload }
}

#[test]
fn the_names_are_those_that_chart_scripts_know() {
    let Value::Object(document) = serde_json::to_value(example()).unwrap() else { panic!("no object") };
    let found: BTreeSet<String> = document.keys().filter(|name| *name != "proofload").cloned().collect();
    assert_eq!(found, names());
    assert_eq!(document["proofload"]["settings"]["goal"]["kind"], "open-loop");
}

#[test]
fn publish_is_in_ms_and_delay_in_us() {
    let OpenMessaging { publish_latency_50pct, publish_delay_latency_50pct, .. } = example().open_messaging;
    assert_eq!(publish_delay_latency_50pct, [5_003], "to three digits");
    assert!((publish_latency_50pct[0] - 5.003).abs() < 1e-9);
    let curve = example().open_messaging.aggregated_publish_latency_quantiles.0;
    assert!(curve.iter().all(|(percentile, _)| (0.0..=100.0).contains(percentile)), "{curve:?}");
    assert!(curve.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{curve:?}");
    assert!(curve.len() > 30 && curve.last().is_some_and(|last| last.1 >= 10.0), "{curve:?}");
}

#[test]
fn what_is_written_is_read_back() {
    let text = serde_json::to_string_pretty(&example()).unwrap();
    let read: BenchResult = serde_json::from_str(&text).unwrap();
    assert_eq!(read, example());
    let broken = text.replace("\"50.0\"", "\"half\"");
    assert!(serde_json::from_str::<BenchResult>(&broken).unwrap_err().to_string().contains("no percentile"));
}
