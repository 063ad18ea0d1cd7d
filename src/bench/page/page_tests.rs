use super::{
    super::result::{SearchReport, SearchStep, tests::example},
    *,
};

#[test]
fn a_page_shows_what_the_result_says() {
    let page = of(&example());
    for words in [
        "<h1>w</h1>",
        "PROVEN",
        "1970-01-01 00:00:00 UTC",
        "<figcaption>Throughput</figcaption>",
        "<figcaption>Percentile curves</figcaption>",
        "Latency over time: p99 of each second",
        "<th scope=\"row\">publish: due to acked</th><td>1k</td>",
        "--rate",
        "end to end: due to read",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("NaN") && !page.contains("The search for a rate"), "{page}");
}

#[test]
fn whatever_a_user_supplies_stays_text() {
    let evil = "<script>alert(1)</script><img src=x onerror=\"alert(2)\">'\"&";
    let mut result = example();
    result.open_messaging.workload = evil.into();
    let run = &mut result.proofload;
    run.settings.topics = vec![evil.into()];
    run.settings.readers = evil.into();
    run.settings.flags = [(evil.to_owned(), evil.into()), ("list".to_owned(), vec![evil].into())].into();
    (run.proof.summary, run.proof.verdict) = (evil.into(), evil.into());
    run.proof.not_vouched_for = vec![evil.into()];
    (run.client.verdict, run.client.reason) = (evil.into(), evil.into());
    (run.machine.processor, run.machine.kernel, run.version) = (evil.into(), evil.into(), evil.into());
    let step = SearchStep {
        kind: evil.into(),
        rate_records_per_s: 1.0,
        achieved_records_per_s: f64::NAN,
        measured_s: 1.0,
        latency_us: 1,
        overdue_records: 0,
        backlog_records: 0,
        throttled_ms: 1_500,
        held: false,
        gave_way: Some(evil.into()),
        why: Some(evil.into()),
    };
    run.search = Some(SearchReport {
        objective: evil.into(),
        objective_on: evil.into(),
        found_records_per_s: None,
        failed_records_per_s: Some(2.0),
        gave_way: Some(evil.into()),
        held_records_per_s: None,
        interrupted: false,
        steps: vec![step],
    });
    let page = of(&result);
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 18, "{page}");
}

#[test]
fn a_closed_loop_without_readers_has_no_goal_and_no_delay() {
    let mut result = example();
    result.proofload.settings.goal = Goal::ClosedLoop;
    result.proofload.latencies.end_to_end = None;
    let lines = latencies(&result.proofload, |latency| latency.p99_us);
    assert_eq!(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["publish"]);
    let page = of(&result);
    assert!(page.contains("as fast as acks came") && !page.contains("</svg>goal"), "{page}");
    assert!(curve(&result, &CURVES[2], "end to end").is_none());
}

#[test]
fn a_curve_ends_where_its_records_do() {
    let result = example();
    let line = curve(&result, &CURVES[0], "publish").unwrap();
    let (at, last) = *line.points.last().unwrap();
    assert!((at - 99.9).abs() < 1e-9, "of a thousand records: {at}");
    assert!((9_990.0..=10_010.0).contains(&last.unwrap()), "{last:?}");
}
