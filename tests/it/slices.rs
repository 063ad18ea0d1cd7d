//! Several processes that produce to one topic, each a slice of its partitions, and readers of what they leave.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Cluster, EXIT_LIMIT, Finished, Run, Running, Topic, Workdir, ledger::LedgerFile, schema::Schema,
        wait_for,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(three_slices_prove_what_one_process_would),
        Real(slices_create_a_topic_and_write_transactions_side_by_side),
    ]
}

const PARTITIONS: usize = 7;
const RECORDS: u64 = 6_000;
/// Bytes a second of all slices together.
const FAST: u64 = 300_000;
const SLOW: u64 = 150;
/// Of each slice, by its partitions.
const SHARES: [u64; 3] = [2_571, 1_714, 1_715];

fn ledger_of(folder: &Path, topic: &Topic, index: usize) -> PathBuf {
    folder.join(format!("valid_offsets_{}.slice-{index}-of-3.json", topic.name()))
}

/// Offsets that a slice's ledger lists, in all partitions.
fn listed(folder: &Path, topic: &Topic, index: usize) -> Vec<i64> {
    let stem = format!("{}.slice-{index}-of-3", topic.name());
    let Some(ledger) = LedgerFile::find(folder, &stem) else { return vec![0; PARTITIONS] };
    let count = |ranges: &Vec<(i64, i64)>| ranges.iter().map(|(lower, upper)| upper - lower).sum();
    ledger.ranges().iter().map(count).collect()
}

struct Scene<'a> {
    topic: &'a Topic,
    folder: &'a Workdir,
}

impl Scene<'_> {
    /// Each process in a working directory of its own: the ledgers' folder is what they have in common.
    fn run(&self, work: &str) -> Run {
        let run =
            Run::verifier().args(self.topic.flags()).args(work).args("--report report.json --msg_size 100");
        run.args(format!("--ledger-dir {}", self.folder.path().display()))
    }

    /// A producer of a slice, where all of them together are to write so many bytes a second.
    fn slice(&self, index: usize, bytes_per_s: u64) -> Run {
        let work = format!("--produce_msgs {RECORDS} --produce-throughput-bps {bytes_per_s}");
        match index {
            // As in a pod.
            2 => self.run(&work).args("--slice auto/3").env("JOB_COMPLETION_INDEX", "2"),
            _ => self.run(&work).args(format!("--slice {index}/3")),
        }
        .with_control()
    }

    /// Kills a slice at a moment when its ledger lists all that is in its logs, so that nothing of it is without a proof.
    fn kill_between_writes(&self, run: Running, index: usize) -> i64 {
        let all_is_listed = || {
            let (listed, ends) = (listed(self.folder.path(), self.topic, index), self.topic.ends());
            let is_listed = |partition: usize| listed[partition] == ends[partition];
            let count = listed.iter().sum::<i64>();
            (count > 0 && (index..PARTITIONS).step_by(3).all(is_listed)).then_some(count)
        };
        let count = wait_for("a ledger that lists all that was written", || {
            all_is_listed()?;
            run.signal(Signal::SIGSTOP);
            let count = all_is_listed();
            if count.is_none() {
                run.signal(Signal::SIGCONT);
            }
            count
        });
        run.signal(Signal::SIGKILL);
        run.finish().expect_killed();
        count
    }
}

#[track_caller]
fn expect_proven(finished: Finished, records: i64) {
    let finished = finished.expect_code(0).expect_output(&["PROVEN: "]);
    let report = finished.workdir.report();
    Schema::of_reports().expect_valid(&report);
    assert_eq!(report["ledger"]["missing_slices"], serde_json::json!([]));
    assert_eq!(report["ledger"]["vouched_records"], records);
}

fn three_slices_prove_what_one_process_would(cluster: &Cluster) {
    let (topic, folder) = (&cluster.topic(PARTITIONS), &Workdir::new());
    let scene = Scene { topic, folder };
    // Readers that are there before anybody has written anything.
    let beside = scene.run("--seq_read --continuous --require-complete --remote").with_control().start();
    let looping = scene.run("--rand_read_msgs 20 --loop --remote").with_control().start();
    // One is so slow that there are moments in which all that it has written is listed.
    let [first, second, third] =
        [(0, FAST), (1, SLOW), (2, FAST)].map(|(index, rate)| scene.slice(index, rate).start());
    second.harness().until("a first ack", |workers| workers[0].producer().acked > 0);
    let metrics = second.http().get("/metrics").expect("metrics").body;
    assert!(metrics.contains(",slice=\"1/3\"} 1\n"), "{metrics}");
    expect_partitions_are_taken(&scene);
    let killed = scene.kill_between_writes(second, 1);
    let again = scene.slice(1, FAST).start();
    for (run, share) in [(first, SHARES[0]), (again, SHARES[1]), (third, SHARES[2])] {
        let acked = format!("{} of {0} records acked where predicted", indexed(share));
        let finished = run.finish().expect_code(0).expect_output(&[&acked, "CONSISTENT: "]);
        let report = finished.workdir.report();
        assert_eq!(report["workers"][0]["asked_records"], share);
        assert!(
            report["phases"][0]["limit_bytes_per_s"].as_u64().is_some_and(|limit| limit < 150_000),
            "{report:#}"
        );
    }
    assert_eq!(SHARES.iter().sum::<u64>(), RECORDS);
    let records = topic.ends().iter().sum::<i64>();
    assert_eq!(
        records,
        i64::try_from(RECORDS).expect("few") + killed,
        "those of one process, and what was killed"
    );
    for reader in [beside, looping] {
        reader.http().order("/last_pass");
        reader.harness().until_done();
        reader.http().order("/shutdown");
        let finished = reader.finish_within(EXIT_LIMIT).expect_code(0).expect_nothing_wrong();
        if finished.stdout.contains("sequential") {
            expect_proven(finished, records);
        }
    }
    let read = "--seq_read --rand_read_msgs 30 --consumer_group_readers 2 --require-complete";
    expect_proven(scene.run(read).finish(), records);
    readers_of_slices_read_all_together(&scene, records);
    merged_slices_are_an_ordinary_ledger(&scene, records);
    a_missing_slice_is_named(&scene);
}

fn indexed(count: u64) -> String {
    format!("{},{:03}", count / 1_000, count % 1_000)
}

/// While slices are at work nobody else may begin on their partitions.
fn expect_partitions_are_taken(scene: &Scene<'_>) {
    let work = "--produce_msgs 100";
    for (slice, words) in [
        ("--slice 1/3", "slice-1-of-3.json: another process produces to its partitions"),
        ("--slice 1/4", "of slices of 4 and of 3"),
        ("", "partitions have two ledgers"),
    ] {
        let refused = scene.run(work).args(slice).finish().expect_code(3);
        refused.expect_one_error(&[words]);
    }
}

/// A slice reads its partitions only, and may be one of another number than that of the producers.
fn readers_of_slices_read_all_together(scene: &Scene<'_>, records: i64) {
    let read = |index: usize| {
        let work = format!("--seq_read --rand_read_msgs 10 --require-complete --slice {index}/2");
        let finished = scene.run(&work).finish().expect_code(0).expect_output(&["PROVEN: "]);
        let log = format!("slice {index}/2 with {} of 7 partitions", 4 - index);
        finished.expect_output(&[&log]).workdir.report()["ledger"]["vouched_records"]
            .as_i64()
            .expect("a count")
    };
    assert_eq!(read(0) + read(1), records);
}

fn merged_slices_are_an_ordinary_ledger(scene: &Scene<'_>, records: i64) {
    let merged = Workdir::new();
    let mut run =
        Run::proofload().args("ledger merge --ledger-dir").arg(merged.path().to_str().expect("a path"));
    for index in 0..3 {
        run = run.arg(ledger_of(scene.folder.path(), scene.topic, index).to_str().expect("a path"));
    }
    run.finish_bare().expect_code(0).expect_output(&["acked offsets in 7 partitions, of 3 slices"]);
    LedgerFile::read(merged.path(), scene.topic.name()).expect_all_up_to(&scene.topic.ends());
    let read =
        Run::verifier().args(scene.topic.flags()).args("--seq_read --require-complete --report report.json");
    expect_proven(read.args("--ledger-dir").arg(merged.path().to_str().expect("a path")).finish(), records);
}

fn a_missing_slice_is_named(scene: &Scene<'_>) {
    std::fs::remove_file(ledger_of(scene.folder.path(), scene.topic, 2)).expect("a ledger");
    for (flags, code) in [("", 0), ("--require-complete", 1)] {
        let finished = scene.run("--seq_read").args(flags).finish().expect_code(code);
        let finished = finished.expect_output(&[
            "CONSISTENT: ",
            "slice 2/3 has no ledger (",
            "slice-2-of-3.json): nothing is proven of partitions 2 and 5",
        ]);
        let report = finished.workdir.report();
        Schema::of_reports().expect_valid(&report);
        assert_eq!(report["ledger"]["missing_slices"], serde_json::json!(["2/3"]));
    }
    // Whoever reads other partitions does not miss it.
    let read = scene.run("--seq_read --require-complete --slice 0/3").finish();
    read.expect_code(0).expect_output(&["PROVEN: "]);
}

fn slices_create_a_topic_and_write_transactions_side_by_side(cluster: &Cluster) {
    let (topic, folder) = (&Topic::missing(cluster.bootstrap()), &Workdir::new());
    let scene = Scene { topic, folder };
    let work = "--create-topic --partitions 4 --produce_msgs 400 --seq_read --use-transactions --msgs-per-transaction 10";
    let slices = [0, 1].map(|index| scene.run(work).args(format!("--slice {index}/2")).start());
    for run in slices {
        run.finish().expect_code(0).expect_output(&["PROVEN: ", "sequential  200 records proven valid"]);
    }
    let read = scene.run("--seq_read --use-transactions --require-complete").finish();
    read.expect_code(0).expect_output(&["PROVEN: ", "sequential  400 records proven valid"]);
}
