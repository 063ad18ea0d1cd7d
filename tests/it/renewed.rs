//! A client that is made anew is as good as the first: it knows the brokers that the cluster has named since, and the old
//! one stays until the new one has an answer.

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{Cluster, Run, Running, Topic, Workdir},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![OwnNodes(3, &[], clients_made_anew_need_no_bootstrap_list)]
}

fn reads(run: &Running) -> u64 {
    run.harness().first()[0].reader().validator.valid_reads
}

/// What it reads from now on.
#[track_caller]
fn expect_progress(run: &Running) {
    let before = reads(run);
    run.harness().until("reads", |workers| workers[0].reader().validator.valid_reads > before + 50);
}

/// What a reader that reads as much as this, and a MiB a second of it, is in the middle of while all else happens: between
/// two passes nobody reads, and no client is missed.
const LONG_PASS: &str = "--produce_msgs 8000 --msg_size 16000";
/// Half of it may go by without an answer before a reader starts a new client.
const SOON: &str = "--stall-after 6s --debug";

/// The only broker that the readers were told of goes, and then the two that have the topics go and come back.
fn clients_made_anew_need_no_bootstrap_list(cluster: &Cluster) {
    let workdir = Workdir::new();
    let topics = [4, 4].map(|partitions| cluster.topic_on(&[1, 2], partitions, &[]));
    let first = cluster.bootstrap().split(',').next().expect("a broker").to_owned();
    let run = |brokers: &str, topic: &Topic, work: &str| {
        let run =
            Run::verifier().in_dir(&workdir).args(format!("--brokers {brokers} --topic {}", topic.name()));
        run.args(work).with_control().start()
    };
    let [long, short] = &topics;
    run(cluster.bootstrap(), long, LONG_PASS).finish().expect_code(0);
    run(cluster.bootstrap(), short, "--produce_msgs 2000 --msg_size 100").finish().expect_code(0);
    // What was on its way into the group when its coordinator was killed is in the way of the others for a session.
    let group = "--consumer_group_readers 2 --consumer-group-session-timeout-s 6s --loop";
    let readers = [
        // What its client has read ahead is shown for as long as that lasts, brokers or not.
        (
            long,
            "--client librdkafka --seq_read --consume-throughput-mb 1 --loop -X queued.max.messages.kbytes=256",
        ),
        (short, "--rand_read_msgs 2000 --loop"),
        (short, group),
    ];
    let readers: Vec<Running> =
        readers.iter().map(|(topic, work)| run(&first, topic, &format!("{work} {SOON}"))).collect();
    readers.iter().for_each(expect_progress);
    cluster.stop(0);
    for reader in &readers {
        // It was stopped cleanly: the cluster names it no more.
        reader.wait_for_log(&format!("broker {first}/0 is gone (2 of 3 up)"));
        // Members of a group are made anew in each pass.
        expect_progress(reader);
    }
    cluster.kill(1);
    cluster.kill(2);
    for reader in &readers {
        reader.wait_for_log("is gone (0 of 3 up)");
    }
    readers[0].wait_for_log("a reader starts a new client");
    cluster.restart(1);
    cluster.restart(2);
    for reader in &readers {
        expect_progress(reader);
    }
    // The long pass is not waited for.
    readers[0].signal(Signal::SIGTERM);
    readers[1..].iter().for_each(|reader| _ = reader.http().order("/last_pass"));
    for reader in readers {
        let finished = reader.finish().expect_code(0);
        finished.expect_no_output(&["VIOLATION", "panicked"]);
    }
}
