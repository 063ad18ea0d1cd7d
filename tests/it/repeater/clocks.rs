//! Hosts whose clocks differ, and a rate that tokens do not keep up with.

use super::process::{Repeater, repeater};
use crate::{
    Test,
    dsl::{Cluster, wait_until},
    preload::{faked, libfaketime_is_there},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        RealIf(libfaketime_is_there, clocks_that_differ_are_named),
        Real(a_rate_that_tokens_do_not_keep_up_with_is_said_once),
    ]
}

/// The second is ten minutes ahead: what it sends comes to the first before it was sent.
fn clocks_that_differ_are_named(cluster: &Cluster) {
    let topic = cluster.topic(8);
    let words = "--workers 2 --payload-size 1000 --initial-data-mb 1 --remote";
    let right = Repeater::start(&topic, words);
    let ahead = Repeater::of(faked(repeater(&topic, words), "+600").start());
    for repeater in [&right, &ahead] {
        repeater.sees_members(4);
    }
    for repeater in [&right, &ahead] {
        repeater.http().order("/activate");
    }
    wait_until("a record that came too early", || right.sum_in_full("before_sent_records") > 0);
    right.grows("consumed", 500);
    let (right, ahead) = (right.finish(), ahead.finish());
    right.expect_once("WARN the repeater: a record came before it was sent");
    let lead = ["clocks differ by at least 59", "clocks differ by at least 600"];
    assert!(lead.iter().any(|words| right.finished.stdout.contains(words)), "{}", right.finished.stdout);
    // Were they counted as nothing, this would be 0.
    let report = right.finished.workdir.report();
    let latencies = report["workers"].as_array().expect("workers").iter();
    let highest = latencies.filter_map(|worker| worker["end_to_end_latency"]["p50_us"].as_u64()).max();
    assert!(highest > Some(50), "{report:#}");
    assert_eq!(ahead.sum("before_sent_records"), 0);
    ahead.finished.expect_no_output(&["came before"]);
}

fn a_rate_that_tokens_do_not_keep_up_with_is_said_once(cluster: &Cluster) {
    let words = "--workers 1 --payload-size 500000 --initial-data-mb 1 --rate-limit-bps 2000000000";
    let repeater = Repeater::start(&cluster.topic(2), words);
    repeater.wait_for_log("it is behind its schedule of 2000000000 B/s (--rate-limit-bps)");
    repeater.grows("consumed", 20);
    let rest = repeater.finish();
    rest.expect_once("WARN the repeater: it is behind its schedule");
    assert!(rest.sum("overdue_records") > 0);
    rest.finished.expect_output(&[" records that were due by the rate limit and not sent"]);
}
