//! `--html`: a comparison as a page for people. Pure.

use std::path::PathBuf;

use super::{
    comparison::{Outcome, Row},
    settings, table,
};
use crate::{
    bench::{
        page::{CURVES, curve, latencies, verdict_class},
        result::BenchResult,
    },
    html::{Change, Chart, Html, Line, Mood, Quantity, Table, forest, page},
    human,
};

/// One new side against the old one.
pub(super) struct Compared<'a> {
    pub(super) paths: &'a [PathBuf],
    pub(super) new: &'a [BenchResult],
    pub(super) rows: Vec<Row>,
}

/// The page of all comparisons with these runs. `least` is what counts as no change, as a part; `failures` are the
/// conditions of `--fail-on` that hold.
pub(super) fn of(
    (paths, old): (&[PathBuf], &[BenchResult]),
    comparisons: &[Compared<'_>],
    least: f64,
    failures: &[String],
) -> String {
    let mut body = Html::default();
    body.raw("<header>\n<h1>proofload compare</h1>\n<p class=\"soft\">old: ")
        .text(super::named(paths))
        .raw("; new: ");
    let new: Vec<_> = comparisons.iter().map(|one| super::named(one.paths)).collect();
    body.text(new.join(" and ")).raw("</p>\n");
    for failure in failures {
        body.raw("<p class=\"verdict bad\">FAILED: ").text(failure).raw("</p>\n");
    }
    body.raw("</header>\n<main>\n");
    for one in comparisons {
        compared(&mut body, old, one, least);
    }
    runs(&mut body, (paths, old), comparisons);
    body.raw("</main>\n<footer><p>Made by proofload ").text(env!("CARGO_PKG_VERSION")).raw(
        " compare. Old, new and change are those of the typical second: of the mean logarithm. Lines are where the change lies \
         with 95 %, all figures considered; neighbouring seconds are put together to batches, as they resemble each other. This page fetches nothing and runs nothing.</p></footer>\n",
    );
    page("proofload compare", &body)
}

fn compared(body: &mut Html, old: &[BenchResult], one: &Compared<'_>, least: f64) {
    body.raw("<section class=\"wide\"><h2>")
        .text(super::named(one.paths))
        .raw("</h2>\n<p class=\"verdict\">");
    body.text(super::verdict(&one.rows)).raw("</p>\n");
    let mut figures = Table::new(&["", "old", "new", "change", "with 95 %", "outcome"]);
    for row in &one.rows {
        figures.row(row.metric.name, table::cells(row));
    }
    body.add(&figures.end());
    if let Some(words) = super::one_run_says_little(old, one.new, least) {
        body.raw("<p class=\"soft\">").text(words).raw("</p>\n");
    }
    if let Some((old, new)) = old.first().zip(one.new.first()) {
        for difference in settings::differences(&old.proofload, &new.proofload) {
            body.raw("<p class=\"soft\">differs: ").text(difference).raw("</p>\n");
        }
    }
    body.raw("</section>\n");
    let changes: Vec<_> = one.rows.iter().map(change).collect();
    body.add(&forest("Changes", &changes, least));
    charts(body, old, one.new);
}

fn change(row: &Row) -> Change<'_> {
    let mood = match row.outcome {
        Outcome::Better => Mood::Good,
        Outcome::Worse => Mood::Bad,
        Outcome::NoDifference | Outcome::Small | Outcome::Unknown => Mood::Plain,
    };
    Change { name: row.metric.name, change: row.change, range: row.range, mood }
}

/// The first run of either side.
fn charts(body: &mut Html, old: &[BenchResult], new: &[BenchResult]) {
    let Some((old, new)) = old.first().zip(new.first()) else { return };
    let both = |of: &dyn Fn(&BenchResult, &str) -> Option<Line>| {
        [(old, "old"), (new, "new")].into_iter().filter_map(|(run, name)| of(run, name)).collect::<Vec<_>>()
    };
    for (number, latency) in CURVES.iter().enumerate() {
        let lines = both(&|run, name| curve(run, latency, name));
        let title = format!("Percentile curve: {}", latency.0);
        body.add(&Chart { title: &title, x: Quantity::Percentile, y: Quantity::LatencyUs, lines }.draw());
        // Of the publish latency also how it went.
        if number == 0 {
            let lines = both(&|run, name| {
                let publish = latencies(&run.proofload, |latency| latency.p99_us).into_iter().next()?;
                Some(Line::new(name, publish.points))
            });
            let title = "Publish latency over time: p99 of each second";
            body.add(&Chart { title, x: Quantity::ElapsedS, y: Quantity::LatencyUs, lines }.draw());
        }
    }
}

/// Every run with its verdict.
fn runs(body: &mut Html, old: (&[PathBuf], &[BenchResult]), comparisons: &[Compared<'_>]) {
    body.raw("<section class=\"wide words\"><h2>The runs</h2>\n<ul>\n");
    let sides = std::iter::once(old).chain(comparisons.iter().map(|one| (one.paths, one.new)));
    for (path, run) in sides.flat_map(|(paths, runs)| paths.iter().zip(runs)) {
        let run = &run.proofload;
        body.raw("<li>")
            .text(path.display().to_string())
            .raw(": <span class=\"")
            .raw(verdict_class(run))
            .raw("\">");
        body.text(&run.proof.summary)
            .raw("</span>; client ")
            .text(run.client.verdict.replace('-', " "))
            .raw(", ");
        body.text(format!("{}, version {}", human::moment(run.started_at_ms), run.version)).raw("</li>\n");
    }
    body.raw("</ul></section>\n");
}
