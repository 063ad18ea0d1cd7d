use super::*;

fn heard(kind: ComplaintKind, broker: &str) -> Heard {
    let (words, remedy) = (format!("{kind:?} at {broker}"), "do something".to_owned());
    Heard { kind, broker: broker.to_owned(), words, remedy, is_denied: false, count: 1 }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_reason_that_says_most_explains() {
    use ComplaintKind::{Descriptors, HungUp, Resolution, Unreachable};
    let (mut inner, now) = (Inner::default(), Instant::now());
    assert_eq!(inner.explanation(&[Side::Consumers], now), None);
    inner.note(heard(Unreachable, "b:1"), now);
    assert_eq!(inner.latest(now).unwrap().kind, Unreachable);
    assert_eq!(
        inner.explanation(&[Side::Consumers], now),
        None,
        "a broker that is away explains no stall of another"
    );
    inner.note(heard(Resolution, "b:1"), now);
    inner.note(heard(Descriptors, ""), now);
    inner.note(heard(HungUp, "b:1"), now);
    let words = inner.explanation(&[Side::Producers], now).unwrap();
    assert!(words.starts_with("Descriptors at "), "{words}");
    assert_eq!(inner.explanation(&[Side::Producers], now + RECENT + SECOND), None, "it is long ago");
}

#[test]
fn a_client_is_refused_again_and_again_when_that_lasts_and_comes_often() {
    let refusal = |count| Heard { is_denied: true, count, ..heard(ComplaintKind::Authentication, "b:1") };
    let at = |second: u64, start: Instant| start + SECOND * u32::try_from(second).unwrap();
    let refused = |times: &[(u64, u64)]| {
        let (mut inner, start) = (Inner::default(), Instant::now());
        for (second, count) in times {
            inner.note(refusal(*count), at(*second, start));
        }
        let last = times.last().map_or(0, |(second, _)| *second);
        inner.refused(at(last + 1, start)).map(|(since, _)| since.duration_since(start).as_secs())
    };
    assert_eq!(refused(&[(0, 1), (30, 29)]), Some(0));
    assert_eq!(refused(&[(0, 1), (20, 19)]), None, "not for long enough");
    assert_eq!(refused(&[(0, 1), (30, 1)]), None, "twice may be two passing troubles");
    assert_eq!(refused(&[(0, 9), (60, 9)]), None, "it was let in between");
    assert_eq!(refused(&[(0, 1), (60, 9), (90, 30)]), Some(60));
    let (mut inner, start) = (Inner::default(), Instant::now());
    for second in [0, 30] {
        inner.note(heard(ComplaintKind::Trust, "b:1"), at(second, start));
        inner.note(Heard { count: 9, ..heard(ComplaintKind::Trust, "b:1") }, at(second, start));
    }
    assert_eq!(inner.refused(at(31, start)), None, "a handshake that broke off is no refusal");
    inner.note(refusal(1), at(40, start));
    inner.note(refusal(30), at(70, start));
    assert!(inner.refused(at(71, start)).is_some());
    inner.is_up("b:1");
    assert_eq!(inner.refused(at(71, start)), None, "it lets us in again");
}

#[test]
fn a_broker_that_can_be_talked_to_ends_what_kept_us_from_it() {
    let (mut inner, now) = (Inner::default(), Instant::now());
    for kind in [ComplaintKind::Unreachable, ComplaintKind::Resolution, ComplaintKind::Authentication] {
        inner.note(heard(kind, "b:1"), now);
        inner.note(heard(kind, "c:1"), now);
    }
    inner.is_up("b:1/7");
    let current: Vec<_> = inner.current(now).map(|complaint| complaint.words.clone()).collect();
    let expected = ["Unreachable at c:1", "Resolution at c:1", "Authentication at c:1"];
    assert_eq!(current, expected);
    inner.note(heard(ComplaintKind::Unreachable, "b:1"), now);
    assert_eq!(inner.current(now).count(), 4, "it has begun again");
}

#[test]
fn connections_are_closed_again_and_again_when_that_comes_often() {
    let (mut inner, now) = (Inner::default(), Instant::now());
    for _ in 1..CLOSED_OFTEN {
        inner.note(heard(ComplaintKind::HungUp, "b:1"), now);
        assert_eq!(inner.latest(now), None);
        assert_eq!(inner.last_words(now).as_deref(), Some("HungUp at b:1: do something"), "a run ends of it");
    }
    assert_eq!(inner.last_words(now + RECENT + SECOND), None);
    inner.note(heard(ComplaintKind::Unreachable, "b:1"), now);
    inner.note(heard(ComplaintKind::HungUp, "b:1"), now);
    assert_ne!(inner.latest(now).unwrap().kind, ComplaintKind::HungUp, "the broker was going");
    let later = now + CLOSED_WITHIN + SECOND;
    let often = Heard { count: CLOSED_OFTEN, ..heard(ComplaintKind::HungUp, "b:1") };
    inner.note(often, later);
    assert_eq!(inner.latest(later).unwrap().kind, ComplaintKind::HungUp);
}

#[test]
fn each_is_news_once() {
    let (mut inner, now) = (Inner::default(), Instant::now());
    inner.note(heard(ComplaintKind::TooLarge, "b:1"), now);
    inner.note(heard(ComplaintKind::Unreachable, "b:1"), now);
    inner.throttled(Side::Consumers, "b:1", 1_234, now);
    let news = inner.news(now);
    assert_eq!(news.len(), 2, "{news:?}");
    assert!(news[1].starts_with("throttled by quota, 1234 ms at a time: broker b:1"), "{news:?}");
    inner.note(heard(ComplaintKind::TooLarge, "b:1"), now);
    assert_eq!(inner.news(now), [] as [&str; 0]);
    assert_eq!(inner.complaints[0].complaint.count, 2);
}

#[test]
fn a_quota_explains_while_it_holds_us_back_and_a_little_longer() {
    let (mut inner, now) = (Inner::default(), Instant::now());
    let explains = |inner: &Inner, side, at| inner.explanation(&[side], at).is_some();
    inner.throttled(Side::Consumers, "b:1", THROTTLED_MS / 2, now);
    assert!(!explains(&inner, Side::Consumers, now), "too little to be of any weight");
    inner.throttled(Side::Consumers, "b:1", 10_000, now);
    assert!(explains(&inner, Side::Consumers, now) && !explains(&inner, Side::Producers, now));
    assert!(explains(&inner, Side::Consumers, now + 14 * SECOND));
    assert!(!explains(&inner, Side::Consumers, now + 16 * SECOND));
    inner.throttled(Side::Consumers, "b:1", 100, now + 60 * SECOND);
    assert!(!explains(&inner, Side::Consumers, now + 60 * SECOND), "what was long ago has no weight");
    assert_eq!(inner.throttlings[0].throttling.total_ms, 10_000 + THROTTLED_MS / 2 + 100);
}
