//! Hosts whose clocks differ, and a rate that tokens do not keep up with.

use std::path::Path;

use crate::{
    broker::Broker,
    process::{Outcome, PATIENCE, Repeater, ensure, number_before, wait_for},
};

/// Where Debian's package has it, by architecture.
const FAKETIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// The second is ten minutes ahead: what it sends comes to the first before it was sent.
pub fn clocks_that_differ_are_named(broker: &Broker) -> Outcome {
    let Some(library) = FAKETIME.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("\n*** skipped: libfaketime is not installed (package faketime) ***\n");
        return Ok(());
    };
    broker.create("clocks", 8);
    let words = "--topic clocks --group clocks --workers 2 --payload-size 1000 --initial-data-mb 1 --remote";
    let preload = format!("LD_PRELOAD={library}");
    let ahead = ["env", preload.as_str(), "FAKETIME=+600", "DONT_FAKE_MONOTONIC=1"];
    let mut right = Repeater::start(broker, words);
    let mut ahead = Repeater::start_under(&ahead, broker, words);
    for repeater in [&right, &ahead] {
        wait_for(PATIENCE * 2, || repeater.log().contains("Stable, 4 members"))
            .map_err(|error| format!("{error}\n{}", repeater.log()))?;
    }
    for repeater in [&right, &ahead] {
        repeater.get("activate")?;
    }
    wait_for(PATIENCE, || right.log().contains("a record came before it was sent"))
        .map_err(|error| format!("{error}\n{}", right.log()))?;
    right.grows("consumed", 500, PATIENCE)?;
    let (right, ahead) = (right.finish()?.text, ahead.finish()?.text);
    ensure(right.matches("WARN the repeater: a record came before").count() == 1, || right.clone())?;
    ensure(
        right.contains("clocks differ by at least 59") || right.contains("clocks differ by at least 600"),
        || right.clone(),
    )?;
    let apart = number_before(&right, " records came before they were sent")?;
    let p50 = right.split("  end to end  p50 ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("");
    // Were they counted as nothing, this would be 0.
    ensure(apart > 0 && p50.parse().is_ok_and(|p50_ms: f64| p50_ms > 0.05), || right.clone())?;
    ensure(!ahead.contains("came before"), || ahead.clone())
}

pub fn a_rate_that_tokens_do_not_keep_up_with_is_said_once(broker: &Broker) -> Outcome {
    broker.create("behind", 2);
    let words = "--topic behind --group behind --workers 1 --payload-size 500000 --initial-data-mb 1 \
                 --rate-limit-bps 2000000000";
    let mut repeater = Repeater::start(broker, words);
    let line = "it is behind its schedule of 2000000000 B/s (--rate-limit-bps)";
    wait_for(PATIENCE, || repeater.log().contains(line))
        .map_err(|error| format!("{error}\n{}", repeater.log()))?;
    repeater.grows("consumed", 20, PATIENCE)?;
    let text = repeater.finish()?.text;
    ensure(text.matches("WARN the repeater: it is behind its schedule").count() == 1, || text.clone())?;
    ensure(number_before(&text, " records that were due by the rate limit and not sent")? > 0, || {
        text.clone()
    })
}
