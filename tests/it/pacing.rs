//! Rates that are not kept, and those below one a second.

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{EXIT_LIMIT, Mock, Run, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(a_rate_that_acks_do_not_keep_up_with_is_said_once),
        Alone(a_rate_below_one_a_second_is_no_zero),
        Alone(timestamps_that_begin_at_zero_are_refused),
    ]
}

fn a_rate_that_acks_do_not_keep_up_with_is_said_once() {
    let mock = Mock::start();
    let topic = mock.topic(2);
    // One record in flight: nobody keeps up with a gigabyte a second like that.
    let work = "--produce_msgs 10000000000 --msg_size 100 --max-buffered-records 1 \
                --produce-throughput-bps 1000000000 --report report.json";
    let run = Run::verifier().args(topic.flags()).args(work).start();
    let words = "it is behind its schedule of 1000000000 B/s (--produce-throughput-bps)";
    wait_until("a word on it", || run.stderr().contains(words));
    std::thread::sleep(std::time::Duration::from_secs(1));
    run.signal(Signal::SIGINT);
    let finished = run.finish_within(EXIT_LIMIT).expect_code(0);
    assert_eq!(finished.stderr.matches("behind its schedule").count(), 1, "{}", finished.transcript());
    let finished = finished.expect_output(&["due by the rate limit and not sent: latencies omit them"]);
    let report = finished.workdir.report();
    assert!(report["causes"].to_string().contains("behind its schedule"), "{report}");
}

fn a_rate_below_one_a_second_is_no_zero() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let work = "--produce_msgs 3 --msg_size 1000 --produce-throughput-bps 700";
    let run = Run::verifier().args(topic.flags()).args(work).finish().expect_code(0);
    run.expect_output(&["3 of 3 records acked"]).expect_no_output(&[": 0/s"]);
}

fn timestamps_that_begin_at_zero_are_refused() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    let refused = Run::verifier().args(topic.flags()).args("--produce_msgs 5 --fake-timestamp-ms 0").finish();
    refused.expect_code(2).expect_one_error(&["--fake-timestamp-ms 0", "1 or more", "takes 0 for"]);
    assert_eq!(topic.ends(), [0], "nothing was produced");
    let work = "--produce_msgs 5 --msg_size 100 --fake-timestamp-ms 1 --fake-timestamp-step-ms 0";
    Run::verifier().args(topic.flags()).args(work).finish().expect_code(0);
    let times: Vec<_> = topic.records().iter().map(|record| record.timestamp_ms).collect();
    assert_eq!(times, [Some(1); 5]);
}
