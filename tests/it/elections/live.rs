//! Producers that write while the log is truncated under them.

use std::{fs, thread, time::Duration};

use nix::sys::signal::Signal;

use super::{
    FOLLOWER, LOOPING, PARTITIONS, PRODUCE, SEQUENTIAL, SOON, Scene, TOLERANT, consumed, expect_sound,
    validator,
};
use crate::dsl::{Cluster, Running, Topic, Worker, ledger::LedgerFile, wait_for, wait_until};

/// A producer that tolerates nothing.
pub(super) struct Producing {
    pub(super) scene: Scene,
    producer: Running,
}

impl Producing {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let scene = Scene::empty(cluster);
        let producer = scene.start(&format!("{PRODUCE} --remote"));
        Self { scene, producer }
    }

    pub(super) fn wait_for_more(&self) {
        wait_for_more_acks(&self.producer);
    }

    /// The new leader refuses what does not follow what it has, and the log ends below what was acked.
    pub(super) fn expect_the_cut_named(mut self) {
        let finished = self.producer.finish_within(SOON).expect_code(1);
        self.scene.kept = self.scene.topic.ends();
        self.scene.expect_named(&finished, &["truncation"]);
        finished.expect_output(&["the highest offset that was acked"]);
    }
}

/// A producer that writes all the while, and readers of what it writes.
pub(super) struct Live {
    pub(super) scene: Scene,
    producer: Running,
    continuous: Running,
    looping: Running,
}

impl Live {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let scene = Scene::empty(cluster);
        // The new leader refuses what is in flight, because the records before it are not there.
        let work = format!("{PRODUCE} --tolerate-failed-produce {TOLERANT}");
        let producer = scene.start(&work);
        wait_until("a ledger", || LedgerFile::find(scene.workdir.path(), scene.topic.name()).is_some());
        let continuous = scene.start(&format!("{SEQUENTIAL} {TOLERANT}"));
        let looping = scene.start(&format!("{LOOPING} {TOLERANT}"));
        Self { scene, producer, continuous, looping }
    }

    pub(super) fn wait_for_more(&self) {
        wait_for_more_acks(&self.producer);
    }

    /// Nobody leads: the reader has what it has.
    pub(super) fn note_what_was_read(&mut self) {
        thread::sleep(Duration::from_secs(1));
        self.scene.full = consumed(&self.continuous.harness().first());
    }

    pub(super) fn finish(mut self, cluster: &Cluster) {
        self.wait_for_more();
        self.scene.kept =
            (0..).take(PARTITIONS).map(|id| last_epoch_start(cluster, &self.scene.topic, id)).collect();
        let lost = self.scene.lost();
        assert!(lost.values().all(|count| *count > 0), "{lost:?}");
        self.producer.signal(Signal::SIGINT);
        self.producer.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
        for run in [&self.continuous, &self.looping] {
            run.http().order("/last_pass");
        }
        let workers = self.continuous.harness().until_done();
        assert_eq!(validator(&workers).lost_offsets, Some(lost), "{}", self.continuous.transcript());
        self.looping.harness().until_done();
        for run in [self.continuous, self.looping] {
            run.http().order("/shutdown");
            run.finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR", "panicked"]);
        }
        expect_sound(&self.scene);
    }
}

fn wait_for_more_acks(producer: &Running) {
    let acked = |workers: &[Worker]| workers[0].producer().acked;
    let before = acked(&producer.harness().first());
    producer.harness().until("more acks", |workers| acked(workers) > before + 500);
}

/// Where the newest leader began to write, by the follower's own record of epochs.
fn last_epoch_start(cluster: &Cluster, topic: &Topic, partition: i32) -> i64 {
    let file = cluster.partition_folder_of(FOLLOWER, topic, partition).join("leader-epoch-checkpoint");
    wait_for("an epoch that began", || {
        let text = fs::read_to_string(&file).ok()?;
        text.lines().last()?.split_ascii_whitespace().nth(1)?.parse().ok()
    })
}
