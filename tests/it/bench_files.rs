//! What a benchmark leaves: an interval log for HdrHistogram's tools, pages for people, and what it shows while it runs.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    Test,
    dsl::{Browser, Cluster, EXIT_LIMIT, Mock, Run, Workdir, source, topic::unique_name, wait_until},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(java_reads_the_interval_log_of_a_run),
        If(Browser::is_there, a_browser_shows_a_benchmark_and_its_pages),
        Alone(files_that_cannot_be_written_are_refused_before_the_run),
    ]
}

/// By HdrHistogram's own reader, which is among Kafka's jars, from Maven Central.
fn java_reads_the_interval_log_of_a_run(cluster: &Cluster) {
    let work = format!(
        "bench --brokers {} --topic {} --partitions 3 --msg_size 200 --rate 1k --duration 3s --warmup 1s \
         --output result.json --hdr run.hdr",
        cluster.bootstrap(),
        unique_name()
    );
    let run = Run::proofload().args(work).finish().expect_code(0).expect_output(&["PROVEN", "run.hdr"]);
    let result = run.workdir.json("result.json");
    let java = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", Cluster::jars())])
        .args([source("tests/it/java/ReadIntervalLog.java"), run.workdir.path().join("run.hdr")])
        .output()
        .expect("java");
    let said = String::from_utf8_lossy(&java.stderr);
    assert!(java.status.success(), "{said}");
    let tags: Value = serde_json::from_slice(&java.stdout).expect("JSON");
    let latencies = &result["proofload"]["latencies"];
    for (tag, name) in [("publish", "publish"), ("delay", "delay"), ("end-to-end", "end_to_end")] {
        let (read, written) = (&tags[tag], &latencies[name]);
        // To the value: both have the same buckets.
        for figure in ["count", "p50_us", "max_us"] {
            assert_eq!(read[figure], written[figure], "{tag}: {tags} for {latencies}");
        }
        // One for each second, and where records were acked or read later, one for those.
        assert!((3..=4).contains(&read["intervals"].as_u64().expect("a number")), "{tags}");
        let began_ms = read["first_ms"].as_i64().expect("a time")
            - result["proofload"]["started_at_ms"].as_i64().expect("a time");
        assert!((1_000..60_000).contains(&began_ms), "behind the warm-up: {began_ms} ms");
        let took_ms = read["last_ms"].as_i64().expect("a time") - read["first_ms"].as_i64().expect("a time");
        assert!((2_900..30_000).contains(&took_ms), "{took_ms} ms");
    }
}

/// While it runs, on the page of its control port and in its metrics; and when it is over, in files.
fn a_browser_shows_a_benchmark_and_its_pages() {
    let mock = Mock::start();
    let (topic, workdir) = (mock.topic(2), Workdir::new());
    let work = format!(
        "bench {} --msg_size 100 --rate 500 --duration 4s --warmup 1s --output a.json --html run.html --remote",
        topic.flags()
    );
    let run = Run::proofload().in_dir(&workdir).args(work).with_control().start();
    let http = run.http();
    http.first_code();
    let browser = Browser::open(&format!("http://{}/", http.address()), (390, 844));
    browser.wait_until("!document.getElementById('bench').hidden");
    browser.wait_until("samples.some((one) => one.publish > 0) && samples.some((one) => one.delay > 0)");
    browser.wait_until("document.getElementById('goal').innerText.endsWith(' of 500 records/s')");
    browser.wait_until("samples.some((one) => one.verdicts > 0)");
    browser.wait_until("document.getElementById('e2e').innerText.endsWith('s')");
    browser.expect_fits();
    browser.shoot("live");
    let metrics = http.get("/metrics").expect("metrics").body;
    let series = |name: &str| metrics.lines().any(|line| line.starts_with(name));
    for name in
        ["publish_latency_seconds_bucket", "delay_latency_seconds_count", "end_to_end_latency_seconds_sum"]
    {
        assert!(series(&format!("proofload_{name}{{topic=\"{}\"", topic.name())), "{name}: {metrics}");
    }
    assert!(series("proofload_goal_records_per_second") && series("proofload_backlog_records"), "{metrics}");
    wait_until("its result", || workdir.path().join("run.html").exists());
    let latencies = &workdir.json("a.json")["proofload"]["latencies"];
    // To whoever looks on until the end, and to whoever comes then.
    for _ in 0..2 {
        browser.wait_until("!window.was && last !== null && last.state === 'done'");
        for (tile, name) in
            [("publish", "publish"), ("delay", "delay"), ("verdicts", "end_to_end"), ("e2e", "end_to_end")]
        {
            let p99_us = &latencies[name]["p99_us"];
            browser.wait_until(&format!("document.getElementById('{tile}').innerText === latency({p99_us})"));
        }
        browser.expect_fits();
        browser.shoot("live-done");
        browser.value("window.was = true; location.reload()");
    }
    http.order("/shutdown");
    run.finish_within(EXIT_LIMIT).expect_code(0).expect_output(&["PROVEN"]);
    // Another one, of which everything is as it was: no file name may become markup.
    fs::copy(workdir.path().join("a.json"), workdir.path().join("<b>b.json")).expect("a copy");
    let compared = Run::proofload().in_dir(&workdir).args("compare a.json <b>b.json --html both.html");
    compared.finish_bare().expect_code(0).expect_output(&["too short to tell"]);
    for (file, charts) in [("run.html", 8), ("both.html", 5)] {
        look_at(&workdir.path().join(file), charts);
    }
}

/// Whether a page has so many charts, which are drawn, on a phone and a screen, in the light, in the dark and on paper.
fn look_at(page: &Path, charts: usize) {
    let name = page.file_stem().expect("a name").to_string_lossy().into_owned();
    let browser = Browser::open(&format!("file://{}", page.display()), (390, 844));
    browser.wait_until("document.readyState === 'complete' && document.querySelector('footer') !== null");
    assert_eq!(browser.value("document.querySelectorAll('figure > svg').length"), charts, "{name}");
    // Each stays within its picture. One line of a chart at least has a length: a second in which nothing came is a gap.
    let lost = "[...document.querySelectorAll('figure:has(> svg .line)')].map((figure) => { \
        const lines = [...figure.querySelectorAll(':scope > svg .line')], boxes = lines.map((line) => line.getBBox()); \
        const ends = [Math.min(...boxes.map((box) => box.x)), Math.max(...boxes.map((box) => box.x + box.width))]; \
        return [figure.innerText.split('\\n')[0], Math.max(...lines.map((line) => line.getTotalLength())), ...ends]; \
        }).filter(([, length, from, to]) => !(length > 50 && from >= 50 && to <= 470))";
    assert_eq!(browser.value(lost), serde_json::json!([]), "{name}");
    assert_eq!(
        browser.value("performance.getEntriesByType('resource').length"),
        0,
        "{name} fetches something"
    );
    assert_eq!(browser.value("document.scripts.length + document.images.length"), 0, "{name}");
    browser.expect_fits();
    browser.shoot(&format!("{name}-phone"));
    let colour = |browser: &Browser| browser.value("getComputedStyle(document.body).backgroundColor");
    let mut seen = Vec::new();
    // A4 within its margins is that wide.
    let looks = [
        ("light", (1_280, 900), "screen", "light"),
        ("dark", (1_280, 900), "screen", "dark"),
        ("paper", (703, 1_000), "print", "dark"),
    ];
    for (look, size, media, scheme) in looks {
        browser.emulate(size, media, scheme);
        browser.expect_fits();
        browser.shoot(&format!("{name}-{look}"));
        seen.push(colour(&browser));
    }
    assert_eq!(seen[2], "rgb(255, 255, 255)", "no ink is wasted on a background");
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
    assert_eq!(browser.complaints(), [""; 0], "{name}");
}

fn files_that_cannot_be_written_are_refused_before_the_run() {
    let workdir = Workdir::new();
    let bench = |files: &str| {
        let run = Run::proofload().in_dir(&workdir).args("bench --brokers localhost:1").args(files).finish();
        run.expect_no_output(&["control port"])
    };
    for flag in ["output", "hdr", "html", "report"] {
        let files = format!("--{flag} no/such/folder/file");
        let words = format!("--{flag} no/such/folder/file: it cannot be written: ");
        bench(&files).expect_code(3).expect_output(&[&words]);
    }
    for (one, other) in [("output", "hdr"), ("hdr", "html"), ("output", "html"), ("html", "report")] {
        let files = format!("--{one} same.file --{other} ./same.file");
        bench(&files).expect_code(2).expect_output(&["is the same file as that of --"]);
    }
    workdir.write("a.json", "{}");
    let compare = |files: &str| {
        Run::proofload().in_dir(&workdir).args("compare a.json a.json").args(files).finish_bare()
    };
    for flag in ["output", "html"] {
        let run = compare(&format!("--{flag} no/such/folder/file")).expect_code(3);
        run.expect_output(&[&format!("--{flag} no/such/folder/file: it cannot be written: ")]);
        let run = compare(&format!("--{flag} ./a.json")).expect_code(2);
        run.expect_output(&["is the same file as a.json, which is to be read"]);
    }
    compare("--output b --html b").expect_code(2).expect_output(&["is the same file as that of --output"]);
    assert_eq!(workdir.contents().len(), 1, "{:?}", workdir.contents().keys());
}
