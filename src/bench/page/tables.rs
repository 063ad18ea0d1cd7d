//! The tables of a result: latencies, proof, search, machine, settings.

use serde_json::Value;

use super::super::result::{Latency, Proofload, SearchReport};
use crate::{
    html::{Html, Table, latency, rate, share, short},
    human,
};

pub(super) fn add(body: &mut Html, run: &Proofload) {
    section(body, "wide", "Latencies", &latencies(run));
    if let Some(search) = &run.search {
        section(body, "wide", "The search for a rate", &steps(search));
    }
    section(body, "words", "What was proven", &proof(run));
    section(body, "words", "The client", &client(run));
    section(body, "words", "The machine", &machine(run));
    section(body, "words wide long", "Settings", &settings(run));
}

fn section(body: &mut Html, class: &'static str, title: &str, content: &Html) {
    body.raw("<section class=\"").raw(class).raw("\"><h2>").text(title).raw("</h2>\n").add(content);
    body.raw("</section>\n");
}

fn latencies(run: &Proofload) -> Html {
    let titles =
        ["", "records", "mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "p99.999", "max"];
    let mut table = Table::new(&titles);
    let of = &run.latencies;
    let rows = [
        ("publish: due to acked", Some(of.publish)),
        ("delay: due to sent", Some(of.delay)),
        ("service: sent to acked", Some(of.service)),
        ("end to end: due to read", of.end_to_end),
    ];
    for (name, latencies) in rows {
        let Some(latencies) = latencies else { continue };
        let Latency { count, mean_us, p50_us, p75_us, p90_us, p95_us, p99_us, .. } = latencies;
        let Latency { p999_us, p9999_us, p99999_us, max_us, .. } = latencies;
        let percentiles = [p50_us, p75_us, p90_us, p95_us, p99_us, p999_us, p9999_us, p99999_us, max_us]
            .map(|us| us as f64);
        let figures = std::iter::once(mean_us).chain(percentiles).map(latency);
        table.row(name, std::iter::once(short(count as f64)).chain(figures));
    }
    table.end()
}

fn steps(search: &SearchReport) -> Html {
    let mut html = Html::default();
    html.raw("<p>Found: ").text(search.in_words(rate)).raw(".</p>\n");
    let mut table = Table::new(&[
        "step",
        "rate",
        "acked",
        "latency",
        "not sent",
        "not read",
        "throttled",
        "measured",
        "outcome",
    ]);
    for step in &search.steps {
        let outcome = step.gave_way_in_words().unwrap_or_else(|| "holds".to_owned());
        let figures = [
            rate(step.rate_records_per_s),
            rate(step.achieved_records_per_s),
            latency(step.latency_us as f64),
            short(step.overdue_records as f64),
            short(step.backlog_records as f64),
            if step.throttled_ms == 0 { "no".to_owned() } else { latency(step.throttled_ms as f64 * 1e3) },
            format!("{:.0} s", step.measured_s),
            outcome,
        ];
        table.row(&step.kind, figures);
    }
    html.add(&table.end());
    html
}

fn proof(run: &Proofload) -> Html {
    let (proof, mut table) = (&run.proof, Table::new(&[]));
    let counts = [
        ("acked where they were predicted", proof.acked_records),
        ("read by all readers", proof.read_records),
        ("proven: listed as acked, and read as sent", proof.proven_records),
    ];
    table.row("verdict", [proof.verdict.clone()]);
    for (name, count) in counts {
        table.row(name, [human::count(count, "record")]);
    }
    table.row("all was done that was asked for", [if proof.complete { "yes" } else { "no" }.to_owned()]);
    let mut html = table.end();
    for what in &proof.not_vouched_for {
        html.raw("<p>").text(what).raw("</p>\n");
    }
    html
}

fn client(run: &Proofload) -> Html {
    let (client, mut table) = (&run.client, Table::new(&[]));
    table.row("verdict", [client.verdict.replace('-', " ")]);
    table.row("why", [client.reason.clone()]);
    table.row("records waited for a slot", [share(client.slot_wait_share) + " of the time"]);
    table.row("due and not sent at the end", [human::count(client.overdue_records, "record")]);
    table.row("CPU time", [format!("{:.1} s of {:.1} s", client.cpu_s, run.measured_s)]);
    table.row("memory at its highest", [format!("{} MiB", client.max_memory_bytes >> 20)]);
    for (number, shard) in client.shards.iter().enumerate() {
        let starved = if shard.starved_share >= 0.01 {
            format!(", {} ready while others had it", share(shard.starved_share))
        } else {
            String::new()
        };
        let busy = format!("core {}: busy {}{starved}", shard.core, share(shard.busy_share));
        table.row(&format!("shard {number}"), [busy]);
    }
    table.end()
}

fn machine(run: &Proofload) -> Html {
    let (machine, mut table) = (&run.machine, Table::new(&[]));
    table.row("processor", [machine.processor.clone()]);
    table.row("cores for this process", [machine.cores.to_string()]);
    table.row("memory", [format!("{:.1} GiB", machine.memory_bytes as f64 / f64::from(1 << 30))]);
    table.row("kernel", [format!("Linux {}, {}", machine.kernel, machine.architecture)]);
    table.row("proofload", [format!("{}, client {}", run.version, run.settings.client)]);
    table.end()
}

fn settings(run: &Proofload) -> Html {
    let (settings, mut table) = (&run.settings, Table::new(&[]));
    let record = format!(
        "{} B of value, at most {} B of key and headers",
        settings.message_bytes, settings.key_and_header_bytes
    );
    table.row("record", [record]);
    table.row("measured", [format!("{} s, after a warm-up of {} s", settings.duration_s, settings.warmup_s)]);
    table.row("readers", [settings.readers.clone()]);
    for (flag, value) in &settings.flags {
        let value = match value.as_array() {
            Some(all) => all.iter().map(words).collect::<Vec<_>>().join(", "),
            None => words(value),
        };
        if value.is_empty() {
            continue;
        }
        table.row(&format!("--{flag}"), [value]);
    }
    table.end()
}

/// Texts without quotes.
fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
