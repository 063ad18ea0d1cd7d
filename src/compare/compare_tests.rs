use std::path::Path;

use super::*;
use crate::{
    bench::result::{Latency, Sample, SampleLatency, tests::example},
    random::Random,
};

/// A run of a minute at 1,000 records a second, with latencies around `p50_us` that wander by a tenth.
fn result(random: &mut Random, p50_us: u32) -> BenchResult {
    let mut result = example();
    let mut drift = 0.0;
    let mut latency = || {
        let noise = |random: &mut Random| random.below(2_001) as f64 / 1_000.0 - 1.0;
        drift = 0.5 * drift + 0.05 * noise(random);
        let value = f64::from(p50_us) * (1.0 + drift);
        // Latencies here are positive, and below a minute.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rounded = |value: f64| value.round() as u64;
        let (p99_us, max_us) =
            (rounded(value * (3.0 + noise(random))), rounded(value * (6.0 + 3.0 * noise(random))));
        SampleLatency { count: 1_000, mean_us: value * 1.1, p50_us: rounded(value), p99_us, max_us }
    };
    let mut sample = |second: u32| Sample {
        at_s: f64::from(second),
        took_s: 1.0,
        acked_records: 1_000,
        publish: latency(),
        delay: SampleLatency { count: 1_000, ..SampleLatency::default() },
        busy_shares: vec![0.1, 0.1],
        ..Sample::default()
    };
    let proofload = &mut result.proofload;
    proofload.samples = (0..60).map(&mut sample).collect();
    let publish =
        Latency { count: 60_000, p50_us: p50_us.into(), p99_us: u64::from(p50_us) * 3, ..Latency::default() };
    proofload.latencies = crate::bench::result::LatencyReport { publish, ..Default::default() };
    proofload.totals.publish_records_per_s = 1_000.0;
    (proofload.totals.acked_records, proofload.client.cpu_s) = (60_000, 12.0);
    result
}

fn outcomes(rows: &[Row]) -> Vec<(&'static str, Outcome)> {
    rows.iter().map(|row| (row.metric.name, row.outcome)).collect()
}

#[test]
fn every_figure_is_one_that_the_flags_know() {
    let names: Vec<_> = metric::METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names, crate::config::FIGURES);
}

#[test]
fn runs_of_the_same_do_not_differ_and_a_linger_is_found() {
    let mut random = Random::from_seed(3);
    let (mut quiet, mut found) = (0, 0);
    for _ in 0..100 {
        let (one, two, slow) =
            (result(&mut random, 900), result(&mut random, 900), result(&mut random, 6_000));
        let rows = comparison::rows(std::slice::from_ref(&one), &[two], 0.1);
        let is_none = |row: &Row| matches!(row.outcome, Outcome::NoDifference | Outcome::Small);
        quiet += u32::from(rows.iter().all(is_none));
        for row in &rows {
            // What is told is what is shown.
            let leaves_out_0 = row.range.is_some_and(|(low, high)| low > 0.0 || high < 0.0);
            assert_eq!(leaves_out_0, row.outcome != Outcome::NoDifference, "{}", row.metric.name);
            assert!((row.new / row.old - 1.0 - row.change).abs() < 1e-9, "{}", row.metric.name);
        }
        let rows = comparison::rows(&[one], &[slow], 0.1);
        found += u32::from(outcomes(&rows).contains(&("p50", Outcome::Worse)));
    }
    assert!(quiet >= 95, "{quiet} of 100");
    assert_eq!(found, 100);
}

#[test]
fn better_and_worse_are_told_by_the_figure() {
    let mut random = Random::from_seed(4);
    let (old, mut new) = (result(&mut random, 900), result(&mut random, 450));
    for sample in &mut new.proofload.samples {
        sample.acked_records /= 2;
    }
    let rows = comparison::rows(std::slice::from_ref(&old), &[new], 0.1);
    let told = outcomes(&rows);
    for expected in [("rate", Outcome::Worse), ("p50", Outcome::Better), ("cpu", Outcome::Worse)] {
        assert!(told.contains(&expected), "{told:?}");
    }
    assert!(!told.iter().any(|(name, _)| name.starts_with("end-to-end")), "nobody read: {told:?}");
    let rate = &rows[0];
    assert!((rate.change + 0.5).abs() < 1e-9 && rate.p == Some(0.0), "{}", rate.change);
    let mut short = result(&mut random, 900);
    short.proofload.samples.truncate(3);
    let rows = comparison::rows(&[old], &[short], 0.1);
    assert!(rows.iter().all(|row| row.outcome == Outcome::Unknown));
}

#[test]
fn small_changes_count_only_where_they_are_asked_for() {
    let mut random = Random::from_seed(5);
    let (old, new) = (result(&mut random, 900), result(&mut random, 970));
    let p50 =
        |least| outcomes(&comparison::rows(std::slice::from_ref(&old), std::slice::from_ref(&new), least))[2];
    assert_eq!(p50(0.1), ("p50", Outcome::Small));
    assert_eq!(p50(0.01), ("p50", Outcome::Worse));
}

/// That runs of the same thing differ, they only show together.
#[test]
fn of_several_runs_each_is_one_value() {
    let mut random = Random::from_seed(6);
    let mut side = |medians: [u32; 3]| medians.map(|median| result(&mut random, median));
    let (old, new) = (side([700, 900, 1_200]), side([800, 1_100, 1_300]));
    let p50 = |old: &[BenchResult], new: &[BenchResult]| outcomes(&comparison::rows(old, new, 0.1))[2].1;
    assert_eq!(p50(&old, &new), Outcome::NoDifference);
    assert_eq!(p50(&old[..1], &new[1..2]), Outcome::Worse, "alone they seem to differ");
    let apart = side([20_700, 21_900, 23_200]);
    assert_eq!(p50(&old, &apart), Outcome::Worse);
}

fn write(path: &Path, result: &BenchResult) {
    fs::write(path, serde_json::to_vec(result).unwrap()).unwrap();
}

#[test]
fn a_gate_decides_the_exit_code_and_is_written_down() {
    let (dir, mut random) = (tempfile::tempdir().unwrap(), Random::from_seed(8));
    let [old, new, output, html] =
        ["old.json", "new.json", "out.json", "<out>.html"].map(|name| dir.path().join(name));
    let mut evil = result(&mut random, 900);
    evil.proofload.proof.summary = "<script>alert(1)</script>".into();
    evil.proofload.settings.flags.insert("<img src=x>".into(), "<b>".into());
    write(&old, &evil);
    write(&new, &result(&mut random, 1_800));
    let config = |gate: &str| CompareConfig {
        old: vec![old.clone()],
        new: vec![vec![new.clone()]],
        gates: vec![gate.parse().unwrap()],
        least_change: 0.1,
        output: Some(output.clone()),
        html: Some(html.clone()),
    };
    assert_eq!(run(&config("p50>+10%")), 1);
    let written: Value = serde_json::from_str(&fs::read_to_string(&output).unwrap()).unwrap();
    assert!(written["failed_on"][0].as_str().unwrap().ends_with("new.json: p50>+10%"), "{written}");
    assert_eq!(written["comparisons"][0]["figures"][2]["outcome"], "worse");
    let page = fs::read_to_string(&html).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;") && page.contains("--&lt;img src=x&gt;"), "{page}");
    assert!(page.contains("FAILED: ") && page.contains("new.json: p50&gt;+10%"), "{page}");
    assert!(page.contains("<th scope=\"row\">p50</th>") && page.contains("<td>worse</td>"), "{page}");
    assert!(page.contains("Percentile curve: publish") && !page.contains("NaN"), "{page}");
    assert_eq!(run(&config("p50>+200%")), 0);
    assert_eq!(run(&config("end-to-end-p50>+10%")), 3, "nobody read");
    let blocked =
        CompareConfig { output: Some(dir.path().join("no/such/folder.json")), ..config("p50>+900%") };
    assert_eq!(run(&blocked), 3);
    // Nothing is read, and nothing is said, where the comparison has no place of its own.
    for same in [&old, &new, &html] {
        let before = fs::read(same).unwrap();
        assert_eq!(
            run(&CompareConfig { output: Some(same.clone()), ..config("p50>+900%") }),
            2,
            "{}",
            same.display()
        );
        assert_eq!(fs::read(same).unwrap(), before);
    }
}

#[test]
fn what_is_no_result_or_another_s_is_told_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let told = |name: &str| read(&path(name)).unwrap_err().to_string();
    assert!(told("missing.json").contains("missing.json: cannot be read: "));
    fs::write(path("text.json"), "rate: 5").unwrap();
    assert!(
        told("text.json").contains("text.json: is no result of proofload bench"),
        "{}",
        told("text.json")
    );
    fs::write(path("omb.json"), r#"{"workload": "w", "publishRate": [1.0]}"#).unwrap();
    assert!(told("omb.json").contains("is no result of proofload bench"), "{}", told("omb.json"));
    let mut other = serde_json::to_value(example()).unwrap();
    other["proofload"]["format"] = 7.into();
    fs::write(path("other.json"), other.to_string()).unwrap();
    assert!(
        told("other.json").contains("is a result of format 7, and this program compares those of format 1")
    );
    write(&path("ours.json"), &example());
    let two_formats = CompareConfig {
        old: vec![path("ours.json")],
        new: vec![vec![path("other.json")]],
        gates: Vec::new(),
        least_change: 0.1,
        output: None,
        html: None,
    };
    assert_eq!(run(&two_formats), 3);
}

#[test]
fn what_was_not_the_same_is_told() {
    let (old, mut new) = (example().proofload, example().proofload);
    assert_eq!(settings::differences(&old, &new), [""; 0]);
    new.settings.flags.insert("linger".to_owned(), "5ms".into());
    new.settings.flags.insert("output".to_owned(), "there.json".into());
    new.machine.cores = 64;
    let told = settings::differences(&old, &new);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("machine: 0 cores") && told[0].contains(" before, 64 cores"), "{told:?}");
    assert_eq!(told[1], "--linger: not set before, 5ms now");
}
