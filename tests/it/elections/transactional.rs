//! The same where records come in transactions: markers, and what was aborted, are nobody's loss.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{SEQUENTIAL, SOON, Scene, consumed, replicas_in_sync};
use crate::dsl::{Cluster, Running, Topic, ledger::LedgerFile, wait_for, wait_until};

const IN_TRANSACTIONS: &str = "--use-transactions --msgs-per-transaction 10";

/// A topic that will be truncated, and who reads it.
pub(super) struct Transactional {
    pub(super) scene: Scene,
    reader: Running,
}

impl Transactional {
    /// Both replicas have so much.
    pub(super) fn begin(cluster: &Cluster) -> Self {
        let mut scene = Scene::empty(cluster);
        produce(&scene, "--produce_msgs 400");
        wait_until("both replicas in sync", || replicas_in_sync(&scene.topic, 2));
        scene.kept = settled_ends(&scene.topic);
        let reader = scene.start(&format!("{SEQUENTIAL} --use-transactions"));
        Self { scene, reader }
    }

    /// Only the leader has this, and the reader sees it.
    pub(super) fn outgrow(&mut self) {
        produce(&self.scene, "--produce_msgs 300");
        self.scene.full = settled_ends(&self.scene.topic);
        let listed: Vec<_> =
            listed(&self.scene).iter().map(|ranges| ranges.last().map_or(0, |run| run.1)).collect();
        self.reader.harness().until("all that was committed", |workers| consumed(workers) == listed);
    }

    /// The reader notices it, who comes later names each range of it, and written again the log proves itself.
    pub(super) fn expect_the_loss_named(self) {
        let Self { scene, reader } = self;
        scene.expect_named(&reader.finish_within(SOON).expect_code(1), &["truncation"]);
        let wanted: Vec<Value> = (0..)
            .zip(listed(&scene).iter().zip(&scene.kept))
            .map(|(partition, (ranges, kept)): (i32, _)| {
                let lost = ranges.iter().filter(|(_, upper)| upper > kept);
                let lost: Vec<_> = lost.map(|(lower, upper)| [*lower.max(kept), upper - 1]).collect();
                assert!(!lost.is_empty(), "nothing was committed behind {kept} of partition {partition}");
                json!(["lost-write", partition, lost])
            })
            .collect();
        assert_eq!(scene.losses("--use-transactions"), wanted);
        produce(&scene, "--produce_msgs 800 --tolerate-data-loss");
        let read = scene.run("--seq_read --use-transactions").finish().expect_code(0);
        read.expect_nothing_wrong().expect_no_output(&["ERROR"]);
    }
}

/// The ranges of each partition that are in its ledger.
fn listed(scene: &Scene) -> Vec<Vec<(i64, i64)>> {
    LedgerFile::read(scene.workdir.path(), scene.topic.name()).ranges()
}

fn produce(scene: &Scene, work: &str) {
    let work = format!("{work} --msg_size 100 --transaction-abort-rate 0.3 {IN_TRANSACTIONS}");
    scene.run(&work).finish().expect_code(0).expect_no_output(&["VIOLATION", "ERROR"]);
}

/// The last markers come after the answer to who ends a transaction.
fn settled_ends(topic: &Topic) -> Vec<i64> {
    wait_for("markers", || {
        let before = topic.ends();
        thread::sleep(Duration::from_secs(1));
        (topic.ends() == before).then_some(before)
    })
}
