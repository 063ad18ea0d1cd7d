//! `--html`: a result as a page for people. Pure: what stands in it is what stands in the JSON document.

mod charts;
mod tables;

use super::{
    result::{BenchResult, Goal, Proofload},
    summary::MIB,
};
use crate::{
    html::{Html, latency, page, rate, share, short},
    human,
};

pub(crate) use charts::{CURVES, curve, latencies};

/// The page.
pub(crate) fn of(result: &BenchResult) -> String {
    let (run, mut body) = (&result.proofload, Html::default());
    head(&mut body, result);
    body.raw("<main>\n");
    tiles(&mut body, run);
    charts::add(&mut body, result);
    tables::add(&mut body, run);
    body.raw("</main>\n<footer><p>Made by proofload ").text(&run.version);
    body.raw(" bench. Latencies are from the time at which a record was due. This page fetches nothing and runs nothing.</p></footer>\n");
    page(&format!("{} · proofload bench", result.open_messaging.workload), &body)
}

fn head(body: &mut Html, result: &BenchResult) {
    let run = &result.proofload;
    body.raw("<header>\n<h1>")
        .text(&result.open_messaging.workload)
        .raw("</h1>\n<p class=\"soft\">proofload bench, ");
    body.text(human::moment(run.started_at_ms))
        .raw(", topics: ")
        .text(run.settings.topics.join(", "))
        .raw("</p>\n");
    body.raw("<p class=\"verdict ").raw(verdict_class(run)).raw("\">").text(&run.proof.summary).raw("</p>\n");
    body.raw("</header>\n");
}

/// How a verdict is shown.
pub(crate) fn verdict_class(run: &Proofload) -> &'static str {
    match run.proof.verdict.as_str() {
        "proven" => "good",
        "consistent" => "",
        _ => "bad",
    }
}

/// What one wants to know first.
fn tiles(body: &mut Html, run: &Proofload) {
    let (totals, latencies) = (&run.totals, &run.latencies);
    let goal = match run.settings.goal {
        Goal::OpenLoop { records_per_s } => format!("of {}", rate(records_per_s)),
        Goal::ClosedLoop => "as fast as acks came".to_owned(),
    };
    let bytes = format!("{}, {:.1} MiB/s", goal, totals.publish_bytes_per_s / MIB);
    let of = |latency_us: u64| latency(latency_us as f64);
    let mut tiles = vec![
        ("records acked", rate(totals.publish_records_per_s), bytes),
        ("publish p50", of(latencies.publish.p50_us), format!("mean {}", latency(latencies.publish.mean_us))),
        ("publish p99", of(latencies.publish.p99_us), format!("p99.9 {}", of(latencies.publish.p999_us))),
    ];
    if let Some(end_to_end) = latencies.end_to_end {
        let more = format!("p50 {}", of(end_to_end.p50_us));
        tiles.push(("end to end p99", of(end_to_end.p99_us), more));
    }
    let proven = format!("of {} acked, warm-up included", short(run.proof.acked_records as f64));
    tiles.push(("records proven", short(run.proof.proven_records as f64), proven));
    let busiest = run.client.shards.iter().map(|shard| shard.busy_share).fold(0.0, f64::max);
    let busy = format!("busiest shard {}", share(busiest));
    tiles.push(("client", run.client.verdict.replace('-', " "), busy));
    body.raw("<section class=\"wide\"><dl class=\"tiles\">\n");
    for (name, figure, more) in tiles {
        body.raw("<div><dt>").text(name).raw("</dt><dd>").text(figure).raw("<small>").text(more);
        body.raw("</small></dd></div>\n");
    }
    body.raw("</dl></section>\n");
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
