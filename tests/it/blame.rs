//! Who is to blame when nothing comes: what the Kafka client complains of, and what brokers do on purpose, is named, and is
//! no stall of a broker.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Test,
    bearer::token,
    dsl::{
        Cluster, EXIT_LIMIT, Finished, Run, Secured, Workdir,
        run::spoken,
        secured::{Door, PASSWORD, PROVER},
        wait_until,
        wire::{Operation, Resource, Wire},
    },
    tests,
};

/// Records of 120 MB, and room for them on the way in; few connections from one address, on the one that a test asks
/// for it.
const HUGE: &[&str] = &["socket.request.max.bytes=200000000", "replica.fetch.max.bytes=130000000"];
const FEW_CONNECTIONS: &[&str] = &["max.connections.per.ip=12"];

pub fn tests() -> Vec<(String, Test)> {
    // Our own client reads certificates once for all clients of a kind: one is for librdkafka's alone.
    let theirs = tests![
        SecuredTheirs(who_is_not_let_in_any_more_is_told_and_ends),
        SecuredTheirs(a_certificate_that_is_refused_later_is_told_and_ends),
    ];
    let theirs = theirs.into_iter().map(|(name, test)| (format!("{name}_by_librdkafka"), test));
    let all = tests![
        Secured(who_is_not_let_in_any_more_is_told_and_ends),
        OwnReal(HUGE, records_of_120_mb_are_proven_by_all_readers),
        OwnReal(FEW_CONNECTIONS, a_broker_that_hangs_up_holds_no_shard_up),
        Real(a_quota_is_named_and_is_no_stall),
        Real(a_producer_s_quota_is_named_and_is_no_stall),
        Real(a_repeater_s_quota_is_named_and_is_no_stall),
        Real(descriptors_that_run_out_are_named_with_their_number),
        Secured(an_advertised_name_that_does_not_resolve_is_named),
    ];
    all.into_iter().chain(theirs).collect()
}

fn records_of_120_mb_are_proven_by_all_readers(cluster: &Cluster) {
    let topic = cluster.topic_with(1, &[("max.message.bytes", "130000000")]);
    let workdir = Workdir::new();
    let run = |work: &str| Run::verifier().in_dir(&workdir).args(topic.flags()).args(work);
    let produce = "--produce_msgs 2 --msg_size 120000000 --batch_max_bytes 130000000";
    run(produce).finish().expect_code(0);
    let readers = "--rand_read_msgs 2 --seq_read --consumer_group_readers 1";
    let finished = run(readers).finish().expect_code(0);
    finished
        .expect_output(&[
            "PROVEN",
            "random      2 records proven valid",
            "sequential  2 records proven valid",
            "group       2 records proven valid",
        ])
        .expect_no_output(&["stalled"]);
    a_limit_of_the_user_s_own_is_to_blame(&run("--seq_read"));
}

/// The broker sends what it has; it is the client that does not take it.
fn a_limit_of_the_user_s_own_is_to_blame(run: &Run) {
    let run =
        run.clone().args("-X receive.message.max.bytes=100000000 --stall-after 2s --report report.json");
    let run = run.start();
    run.wait_for_log("stalled: ");
    run.wait_for_log("it need not be the broker: ");
    run.signal(Signal::SIGINT);
    let finished = run.finish_within(EXIT_LIMIT).expect_code(0);
    let report = finished.workdir.report();
    let explanation = report["stalls"][0]["explanation"].as_str().unwrap_or_default();
    assert!(explanation.contains("raise -X receive.message.max.bytes"), "{report}");
    assert_eq!(report["complaints"][0]["kind"], "too-large", "{report}");
    finished.expect_output(&["STALLED: ", "does not take an answer of broker "]);
}

/// Some 15 s of work at this rate, with the first seconds free.
fn a_quota_is_named_and_is_no_stall(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(2), Workdir::new());
    let run = |work: &str| {
        let run = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work);
        run.args(format!("--client-name {}", topic.name())).args("--report report.json")
    };
    // Smaller than the quota lets through: a larger batch would never come.
    run("--produce_msgs 120 --msg_size 5000 --batch_max_bytes 20000").finish().expect_code(0);
    Wire::to(cluster.bootstrap()).limit_consumers(topic.name(), 25_000.0);
    let finished = run("--consumer_group_readers 1 --stall-after 2s").finish().expect_code(0);
    let throttling = &finished.workdir.report()["throttling"][0];
    assert_eq!(throttling["side"], "consumers", "{throttling}");
    assert!(throttling["total_ms"].as_u64() >= Some(1_000), "{throttling}");
    finished
        .expect_output(&[
            "PROVEN",
            "throttled by quota, ",
            "consumer_byte_rate",
            "s throttled by the brokers' quotas",
        ])
        .expect_no_output(&["stalled"]);
}

fn a_producer_s_quota_is_named_and_is_no_stall(cluster: &Cluster) {
    let topic = cluster.topic(2);
    Wire::to(cluster.bootstrap()).limit_producers(topic.name(), 25_000.0);
    let work =
        "--produce_msgs 120 --msg_size 5000 --batch_max_bytes 20000 --stall-after 2s --report report.json";
    let run = Run::verifier().args(topic.flags()).args(work).args(format!("--client-name {}", topic.name()));
    expect_throttled(&run.finish().expect_code(0), "producers", "producer_byte_rate");
}

/// Its tokens come back as slowly as the quota lets them through, and none is lost.
fn a_repeater_s_quota_is_named_and_is_no_stall(cluster: &Cluster) {
    let topic = cluster.topic(2);
    Wire::to(cluster.bootstrap()).limit_producers(topic.name(), 25_000.0);
    let work = "--payload-size 5000 --initial-data-mb 1 --stall-after 2s --report report.json";
    let run = Run::repeater().args(topic.flags()).args(work).args(format!("--group {}", topic.name()));
    let run = run.args(format!("-X client.id={} -X batch.size=20000", topic.name())).start();
    run.wait_for_log("throttled by quota, ");
    // As long as three stalls would take.
    thread::sleep(Duration::from_secs(6));
    run.signal(Signal::SIGINT);
    expect_throttled(&run.finish().expect_code(0), "producers", "producer_byte_rate");
}

#[track_caller]
fn expect_throttled(finished: &Finished, side: &str, quota: &str) {
    let report = finished.workdir.report();
    let throttling = &report["throttling"][0];
    assert_eq!(throttling["side"], side, "{}", finished.transcript());
    assert!(throttling["total_ms"].as_u64() >= Some(1_000), "{throttling}");
    assert_eq!(report["stalls"].as_array().map(Vec::len), Some(0), "{}", finished.transcript());
    assert!(
        finished.stderr.contains(quota) && !finished.stderr.contains("stalled"),
        "{}",
        finished.transcript()
    );
}

/// Whoever watches the brokers keeps its connection; only clients that are made later show the certificate that the broker
/// does not trust.
fn a_certificate_that_is_refused_later_is_told_and_ends(secured: &Secured) {
    let (topic, workdir) = (secured.topic(1), Workdir::new());
    let own = |name: &str| workdir.path().join(name);
    let put = |(certificate, key): (String, String)| {
        fs::copy(certificate, own("client.crt")).expect("a certificate");
        fs::copy(key, own("client.key")).expect("a key");
    };
    put(secured.pki.client());
    let files = format!(
        "--tls-ca {} --tls-cert {} --tls-key {}",
        secured.pki.ca(),
        own("client.crt").display(),
        own("client.key").display()
    );
    let work =
        "--produce_msgs 1000000 --msg_size 100 --produce-throughput-bps 10000 --msgs-per-producer-id 400";
    let run = secured.verifier(Door::MutualTls, &topic).in_dir(&workdir).args(files).args(work);
    let run = run.args("--report report.json").with_control().start();
    run.harness().until("acks", |workers| workers[0].producer().acked > 10);
    put(secured.pki.impostor());
    run.wait_for_log("and this client do not accept each other");
    let told = Instant::now();
    let finished = run.finish().expect_code(3);
    assert!(told.elapsed() < Duration::from_mins(1), "{:?}", told.elapsed());
    assert!(finished.elapsed > Duration::from_secs(30), "{:?}", finished.elapsed);
    let finished = finished.expect_no_output(&[" is gone ("]);
    assert_eq!(finished.workdir.report()["complaints"][0]["kind"], "trust", "{}", finished.transcript());
    finished.expect_one_error(&["a client has not been let in for 30 s", "--tls-cert"]);
}

/// Somebody takes them away in mid-work: the next client, or the ledger, finds none.
fn descriptors_that_run_out_are_named_with_their_number(cluster: &Cluster) {
    let topic = cluster.topic(1);
    let work =
        "--produce_msgs 1000000 --msg_size 100 --produce-throughput-bps 20000 --msgs-per-producer-id 200";
    // Ours has fewer of them, and does without new ones.
    let run =
        Run::verifier().args(topic.flags()).args(work).args("--client librdkafka").with_control().start();
    run.harness().until("acks", |workers| workers[0].producer().acked > 10);
    // Files that are open keep their numbers.
    let limited =
        Command::new("prlimit").args(["--pid", &run.pid().to_string(), "--nofile=24:4096"]).status();
    assert!(limited.expect("prlimit").success());
    let finished = run.finish().expect_code(3).expect_no_output(&[" is gone (", "stalled", "takes files"]);
    finished.expect_one_error(&["Too many open files", "of which this process may have 24 (ulimit -n)"]);
}

/// The broker asks who we are every 3 s, with this mechanism.
fn who_is_not_let_in_any_more_is_told_and_ends(secured: &Secured) {
    let topic = secured.topic(2);
    // Its token expires, and there is no other.
    let expiring = Workdir::new();
    expiring.write("token", token(PROVER, 0, 8));
    let expired = secured.verifier(Door::Sasl, &secured.topic(1)).args("--sasl-mechanism OAUTHBEARER");
    let expired =
        expired.args(format!("--username {PROVER} --password-file {}/token", expiring.path().display()));
    let expired =
        expired.args("--produce_msgs 1000000 --msg_size 100 --produce-throughput-bps 10000").start();
    // Each is deleted once.
    let user = if spoken() == Some("librdkafka") { "nell" } else { "nora" };
    for operation in [Operation::Write, Operation::Read] {
        secured.grant(user, Resource::Topic(topic.name()), operation);
    }
    let work = "--produce_msgs 1000000 --msg_size 100 --produce-throughput-bps 10000 --report report.json";
    let run = secured.verifier_of(user, &topic).args("--sasl-mechanism SCRAM-SHA-512").args(work);
    let run = run.with_control().start();
    run.harness().until("acks", |workers| workers[0].producer().acked > 10);
    Wire::to(secured.cluster().bootstrap()).delete_scram_user(user);
    run.wait_for_log("and this client do not accept each other");
    let finished = run.finish().expect_code(3).expect_no_output(&[PASSWORD, " is gone ("]);
    // Who ends it is whoever notices first: the producer, or who watches the brokers.
    let finished = finished.expect_output(&["check user, password"]).expect_one_error(&[]);
    assert!(finished.elapsed > Duration::from_secs(30), "{:?}", finished.elapsed);
    // Lines about what is waited for may give it as their reason.
    let told = finished.stderr.matches("WARN broker ").count();
    assert_eq!(told, 1, "{}", finished.transcript());
    assert_eq!(finished.workdir.report()["complaints"][0]["kind"], "authentication");
    expired.finish().expect_code(3).expect_one_error(&[]);
}

fn an_advertised_name_that_does_not_resolve_is_named(secured: &Secured) {
    let topic = secured.topic(1);
    let run = secured.verifier(Door::Lost, &topic).args("--seq_read").start();
    let name =
        format!("broker 0 is advertised as {}, a name that does not resolve here", secured.lost_address());
    run.wait_for_log(&name);
    run.wait_for_log("mend the broker's advertised.listeners");
    assert!(!run.stderr().contains(" is gone ("), "{}", run.transcript());
}

/// Forty clients, as librdkafka has one for each reader, of which the broker lets in a dozen: no shard waits with them, and a signal ends the run as ever.
fn a_broker_that_hangs_up_holds_no_shard_up(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic(4), Workdir::new());
    let run = |work: &str| Run::verifier().in_dir(&workdir).args(topic.flags()).args(work);
    run("--produce_msgs 200 --msg_size 100").finish().expect_code(0);
    let work = "--parallel 40 --rand_read_msgs 50 --loop --report report.json --client librdkafka";
    let run = run(work).with_control().start();
    run.wait_for_log("closes connections again and again before they are of use");
    // A shard that does not come round is told after five seconds.
    thread::sleep(Duration::from_secs(7));
    run.signal(Signal::SIGINT);
    let finished = run.finish_within(EXIT_LIMIT).expect_code(0);
    let finished = finished.expect_output(&["max.connections.per.ip", "random "]);
    let report = finished.workdir.report();
    let kinds: Vec<&Value> =
        report["complaints"].as_array().expect("a list").iter().map(|c| &c["kind"]).collect();
    assert!(kinds.iter().any(|kind| *kind == "hung-up"), "{report}");
    finished.expect_no_output(&["has missed its heartbeats", "did not end in time"]);
    wait_until("connections again", || topic.partitions().is_some());
}
