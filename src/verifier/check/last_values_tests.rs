use super::*;
use crate::ledger::OffsetRun;

impl<'a> Log<'a> {
    /// All of one that nothing special is known of.
    pub(in crate::verifier) fn all(unreadable: &'a RangeSetBlaze<i64>) -> Self {
        Self {
            ledger: None,
            start: 0,
            end: 8,
            unreadable,
            may_be_truncated: false,
            may_hold_tombstones: false,
            is_transactional: false,
        }
    }
}

/// A record of the key, as it is shown.
fn shown(offset: i64, value: Option<&[u8]>) -> RecordView<'_> {
    RecordView {
        offset,
        leader_epoch: 0,
        first_header: None,
        second_header: None,
        sent_ms: None,
        has_sound_headers: true,
        key: Some(b"k"),
        value,
        batch: None,
    }
}

const LATEST: LatestValue = LatestValue::Numbered { offset: 7, value_bytes: 24 };

fn known(value: LatestValue) -> LatestValues {
    let mut latest = LatestValues::new(1);
    latest.set(0, "k".into(), value);
    latest
}

/// In a log that was compacted to one record a key, each record is held to the last value.
#[test]
fn every_record_must_hold_the_last_value() {
    let value = |offset| crate::record::numbered_value(offset);
    let verdict = |known_as: LatestValue, ledger: Option<&PartitionLedger>, offset, holds: Option<i64>| {
        let bytes = holds.map(value);
        let record = shown(offset, bytes.as_ref().map(|bytes| &bytes[..]));
        not_latest(&known(known_as), ledger, 0, &record).is_some()
    };
    assert!(!verdict(LATEST, None, 7, Some(7)), "the last one");
    assert!(verdict(LATEST, None, 3, Some(3)), "an older one, which compaction should have taken");
    assert!(verdict(LATEST, None, 7, Some(3)), "another value in its place");
    assert!(verdict(LATEST, None, 3, None), "an older tombstone");
    assert!(!verdict(LATEST, None, 9, Some(9)), "a newer one, whose outcome was unknown");
    assert!(verdict(LatestValue::Tombstone, None, 3, Some(3)));
    assert!(!verdict(LatestValue::Tombstone, None, 3, None));
    let other = || LatestValue::Other(b"abc"[..].into());
    assert!(verdict(other(), None, 3, Some(3)));
    let mut part = PartitionLedger::default();
    part.insert(OffsetRun { lower: 5, upper: 8 });
    assert!(verdict(LATEST, Some(&part), 5, Some(5)));
    assert!(!verdict(LATEST, Some(&part), 3, Some(3)), "nobody was promised that");
    assert!(
        !verdict(LatestValue::Tombstone, Some(&part), 9, Some(9)),
        "it may have come behind the tombstone"
    );
    let mut unknown = shown(3, Some(b"x"));
    unknown.key = Some(b"other");
    assert_eq!(not_latest(&known(LATEST), None, 0, &unknown), None, "no value was acked for this key");
}

/// What is stale after these records of the key, each with the offset that its value names.
fn stale_after(value: LatestValue, records: &[(i64, Option<i64>)]) -> Vec<Option<i64>> {
    stale_from(0, value, records)
}

/// The same in a log that starts here now.
fn stale_from(start: i64, value: LatestValue, records: &[(i64, Option<i64>)]) -> Vec<Option<i64>> {
    stale_in(start, false, value, records)
}

/// The same in a log that may have been truncated: the ledger lists what lies below 8.
fn stale_in(
    start: i64,
    may_be_truncated: bool,
    value: LatestValue,
    records: &[(i64, Option<i64>)],
) -> Vec<Option<i64>> {
    let readable = RangeSetBlaze::new();
    stale_as(&Log { start, may_be_truncated, ..Log::all(&readable) }, &[], value, records)
}

/// The same in any log, with corrupt records.
fn stale_as(
    log: &Log<'_>,
    corrupt: &[i64],
    value: LatestValue,
    records: &[(i64, Option<i64>)],
) -> Vec<Option<i64>> {
    let latest = known(value);
    let mut seen = SeenKeys::default();
    seen.corrupt.extend(corrupt.iter().copied());
    for (offset, number) in records {
        let text = number.map(crate::record::numbered_value);
        let record = shown(*offset, text.as_ref().map(|text| &text[..]));
        seen.note(&latest, 0, &record, false);
    }
    let mut ledger = PartitionLedger::default();
    ledger.insert(OffsetRun { lower: 0, upper: 8 });
    let log = Log { ledger: Some(&ledger), ..*log };
    let stale = seen.stale(latest.keys(0).unwrap(), &log);
    stale.into_iter().map(|stale| stale.offset).collect()
}

#[test]
fn only_the_last_record_of_a_key_counts() {
    assert_eq!(stale_after(LATEST, &[(3, Some(3)), (7, Some(7))]), []);
    assert_eq!(stale_after(LATEST, &[(3, Some(3)), (5, Some(5))]), [Some(5)], "an older one was kept");
    assert_eq!(stale_after(LATEST, &[]), [None], "the key is gone");
    assert_eq!(stale_after(LATEST, &[(7, Some(6))]), [Some(7)], "another value in its place");
    assert_eq!(stale_after(LATEST, &[(5, None)]), [Some(5)]);
}

#[test]
fn in_its_place_a_value_is_the_one_that_was_acked() {
    let latest = known(LATEST);
    let mut record = shown(7, Some(b"value-000000000000000007"));
    assert_eq!(altered_in_place(&latest, 0, &record), None);
    record.value = Some(b"value-000000000000000006");
    let (expected, found) = altered_in_place(&latest, 0, &record).unwrap();
    assert!(expected.contains("0007") && found.contains("0006"), "{expected}, {found}");
    record.offset = 6;
    assert_eq!(altered_in_place(&latest, 0, &record), None, "an older one, which may still be there");
}

#[test]
fn a_send_with_an_unknown_outcome_may_supersede_it() {
    assert_eq!(stale_after(LATEST, &[(7, Some(7)), (9, Some(9))]), []);
}

#[test]
fn a_tombstone_may_be_there_or_not() {
    assert_eq!(stale_after(LatestValue::Tombstone, &[]), []);
    assert_eq!(stale_after(LatestValue::Tombstone, &[(3, Some(3)), (4, None)]), []);
    assert_eq!(stale_after(LatestValue::Tombstone, &[(3, Some(3))]), [Some(3)]);
}

#[test]
fn what_was_written_without_being_written_down_says_nothing_of_a_tombstone() {
    let latest = known(LatestValue::Tombstone);
    let mut seen = SeenKeys::default();
    let record = shown(7, Some(b"anything"));
    seen.note(&latest, 0, &record, false);
    let unreadable = RangeSetBlaze::new();
    assert_eq!(seen.stale(latest.keys(0).unwrap(), &Log::all(&unreadable)), []);
}

#[test]
fn what_the_ledger_does_not_list_may_have_come_behind_a_tombstone() {
    assert_eq!(stale_after(LatestValue::Tombstone, &[(3, None), (8, Some(8))]), []);
    assert_eq!(stale_after(LatestValue::Tombstone, &[(8, Some(8)), (9, None), (7, Some(7))]), [Some(7)]);
}

#[test]
fn what_retention_has_taken_is_not_stale() {
    let other = || LatestValue::Other(b"0123"[..].into());
    for (value, records) in [
        (LATEST, &[][..]),
        (LATEST, &[(5, Some(5))]),
        (other(), &[]),
        (other(), &[(5, Some(5))]),
        (LatestValue::Tombstone, &[(3, Some(3))]),
    ] {
        assert_ne!(stale_from(0, value.clone(), records), [] as [Option<i64>; 0], "{value:?}, {records:?}");
        assert_eq!(stale_from(8, value.clone(), records), [], "{value:?}, {records:?}");
    }
    assert_eq!(stale_from(7, LATEST, &[]), [None], "the log begins with it");
    assert_eq!(stale_from(4, other(), &[(5, Some(5))]), [Some(5)], "it must lie behind");
}

#[test]
fn what_was_cut_off_with_permission_is_not_stale() {
    let lost = || LatestValue::Numbered { offset: 8, value_bytes: 24 };
    for records in [&[][..], &[(5, Some(5))]] {
        assert_ne!(stale_in(0, false, lost(), records), []);
        assert_eq!(stale_in(0, true, lost(), records), []);
        assert_ne!(stale_in(0, true, LATEST, records), [], "it is listed");
    }
}

#[test]
fn what_nobody_can_read_is_not_missed() {
    let other = LatestValue::Other(b"0123"[..].into());
    let none = RangeSetBlaze::new();
    // 8 is not listed: it may be a later record of any key.
    for (value, records, hidden, shown) in [
        (LATEST, &[][..], &[7, 8][..], &[6][..]),
        (LATEST, &[(5, Some(5))], &[7, 8], &[6, 4]),
        (other.clone(), &[], &[0, 7], &[]),
        (other, &[(5, Some(5))], &[6], &[4]),
        (LatestValue::Tombstone, &[(5, Some(5))], &[6], &[4]),
    ] {
        let as_corrupt =
            |offset: i64| stale_as(&Log::all(&none), &[offset], value.clone(), records).is_empty();
        let as_passed_over = |offset: i64| {
            let unreadable = [offset].into_iter().collect();
            stale_as(&Log::all(&unreadable), &[], value.clone(), records).is_empty()
        };
        for offset in hidden {
            assert!(as_corrupt(*offset) && as_passed_over(*offset), "{value:?}, {records:?}, {offset}");
        }
        for offset in shown {
            assert!(!as_corrupt(*offset) && !as_passed_over(*offset), "{value:?}, {records:?}, {offset}");
        }
    }
}

#[test]
fn a_key_may_be_gone_by_a_tombstone_that_nobody_knows_of() {
    let none = RangeSetBlaze::new();
    let listed = Log { may_hold_tombstones: true, ..Log::all(&none) };
    let longer = Log { end: 9, ..listed };
    for value in [LATEST, LatestValue::Other(b"0123"[..].into())] {
        let stale = |log: &Log<'_>, records| stale_as(log, &[], value.clone(), records);
        assert_eq!(stale(&listed, &[]), [None], "the ledger lists all of the log");
        assert_eq!(stale(&longer, &[]), [], "8 may have been one");
        assert_eq!(stale(&Log { may_hold_tombstones: false, ..longer }, &[]), [None]);
        assert_eq!(stale(&longer, &[(5, Some(5))]), [Some(5)], "it would have gone first");
    }
}

#[test]
fn what_other_readers_have_seen_counts_by_its_place() {
    let latest = known(LATEST);
    let view = |offset: i64, value: &'static [u8]| shown(offset, Some(value));
    let (mut first, mut second) = (SeenKeys::default(), SeenKeys::default());
    first.note(&latest, 0, &view(7, b"value-000000000000000007"), false);
    second.note(&latest, 0, &view(5, b"value-000000000000000005"), false);
    let readable = RangeSetBlaze::new();
    let log = Log::all(&readable);
    // The last one of all is not held to what it holds.
    second.note(&latest, 0, &view(8, b"value-000000000000000005"), true);
    first.merge(second.clone());
    assert!(first.corrupt.contains(8) && !first.seen.values().any(|seen| seen.offset == 8));
    assert_eq!(first.stale(latest.keys(0).unwrap(), &log), []);
    second.merge(first);
    assert_eq!(second.stale(latest.keys(0).unwrap(), &log), []);
}
