//! A client that is made anew is as good as the first: it knows the brokers that the cluster has named since, and the old
//! one stays until the new one has an answer.

use crate::{
    Test,
    dsl::{Cluster, Run, Running, Workdir, poll},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![OwnNodes(3, &[], clients_made_anew_need_no_bootstrap_list)]
}

#[track_caller]
fn wait_for_log(run: &Running, words: &str) {
    let told = || run.stderr().contains(words).then_some(());
    poll(told).unwrap_or_else(|| panic!("not told: '{words}'\n{}", run.transcript()));
}

fn reads(run: &Running) -> u64 {
    run.harness().first()[0].reader().validator.valid_reads
}

/// What it reads from now on.
#[track_caller]
fn expect_progress(run: &Running) {
    let before = reads(run);
    run.harness().until("reads", |workers| workers[0].reader().validator.valid_reads > before + 500);
}

/// The only broker that the readers were told of goes, and then the two that have the topic go and come back.
fn clients_made_anew_need_no_bootstrap_list(cluster: &Cluster) {
    let (topic, workdir) = (cluster.topic_on(&[1, 2], 4, &[]), Workdir::new());
    let first = cluster.bootstrap().split(',').next().expect("a broker").to_owned();
    let run = |brokers: &str, work: &str| {
        let run =
            Run::verifier().in_dir(&workdir).args(format!("--brokers {brokers} --topic {}", topic.name()));
        run.args(work).with_control().start()
    };
    run(cluster.bootstrap(), "--produce_msgs 2000 --msg_size 100").finish().expect_code(0);
    // What was on its way into the group when its coordinator was killed is in the way of the others for a session.
    let group = "--consumer_group_readers 2 --consumer-group-session-timeout-s 6s --loop";
    let readers = ["--seq_read --loop", "--rand_read_msgs 2000 --loop", group];
    let readers: Vec<Running> = readers.iter().map(|work| run(&first, &format!("{work} --debug"))).collect();
    readers.iter().for_each(expect_progress);
    cluster.stop(0);
    for reader in &readers {
        // It was stopped cleanly: the cluster names it no more.
        wait_for_log(reader, &format!("broker {first}/0 is gone (2 of 3 up)"));
        // Members of a group are made anew in each pass.
        expect_progress(reader);
    }
    cluster.kill(1);
    cluster.kill(2);
    for reader in &readers {
        wait_for_log(reader, "is gone (0 of 3 up)");
    }
    wait_for_log(&readers[0], "a reader starts a new client");
    cluster.restart(1);
    cluster.restart(2);
    for reader in &readers {
        expect_progress(reader);
        reader.http().order("/last_pass");
    }
    for reader in readers {
        let finished = reader.finish().expect_code(0);
        finished.expect_no_output(&["VIOLATION", "panicked"]);
    }
}
