use std::{
    sync::atomic::{AtomicI64, Ordering::SeqCst},
    thread,
    time::Duration,
};

use crate::ledger::{
    Entry, KeyAck, LatestValue, LatestValues, Ledger, LedgerError, LedgerStore, OffsetRun, files::whole_file,
};

fn acked(offset: i64) -> Entry {
    let runs = vec![OffsetRun { lower: offset, upper: offset + 1 }];
    Entry::Acked { partition: 0, runs, last_consumable: None }
}

const NOTHING: [i64; 0] = [];

/// The offsets that a process finds that starts now.
fn found(dir: &tempfile::TempDir) -> Vec<i64> {
    let ledger = LedgerStore::new(dir.path(), "t").load(1).unwrap();
    ledger.partitions()[0].acked().iter().collect()
}

/// A producer that has read a ledger with nothing in it.
fn started(dir: &tempfile::TempDir) -> LedgerStore {
    let store = LedgerStore::new(dir.path(), "t");
    if !store.path().exists() {
        store.save(&Ledger::new(1)).unwrap();
    }
    store.recover(&store.load(1).unwrap()).unwrap();
    store
}

fn ledger(entries: &[Entry]) -> Ledger {
    let mut ledger = Ledger::new(1);
    for entry in entries {
        entry.enter(&mut ledger);
    }
    ledger
}

#[test]
fn everything_is_there_at_every_step() {
    let dir = tempfile::tempdir().unwrap();
    let store = started(&dir);
    let truncation = Entry::Truncated { partition: 0, offset: 1 };
    store.append(&[acked(0), acked(1)]).unwrap();
    assert_eq!(found(&dir), [0, 1]);
    store.append(&[truncation.clone(), acked(2)]).unwrap();
    assert_eq!(found(&dir), [0, 2]);
    store.mark_journal();
    store.append(&[acked(3)]).unwrap();
    // The text that is put in the ledger's place lacks what came since it was begun.
    store.save(&ledger(&[acked(0), acked(1), truncation, acked(2)])).unwrap();
    assert_eq!(found(&dir), [0, 2, 3]);
    store.append(&[acked(4)]).unwrap();
    store.renew_journal().unwrap();
    assert_eq!(found(&dir), [0, 2, 3, 4]);
    store.append(&[acked(5)]).unwrap();
    assert_eq!(found(&dir), [0, 2, 3, 4, 5]);
    store.mark_journal();
    store.save(&ledger(&[0, 2, 3, 4, 5].map(acked))).unwrap();
    store.end_journal();
    store.append(&[acked(6)]).unwrap();
    assert_eq!(found(&dir), [0, 2, 3, 4, 5], "it has ended");
    assert!(!store.journal_path().exists());
}

#[test]
fn the_next_run_goes_on_from_what_a_killed_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let killed = started(&dir);
    killed.append(&[acked(0)]).unwrap();
    let text = std::fs::read(killed.journal_path()).unwrap();
    std::fs::write(killed.journal_path(), [&text[..], b"half of a li"].concat()).unwrap();
    let next = started(&dir);
    assert!(!next.journal_path().exists() && found(&dir) == [0], "the ledger has it all");
    next.append(&[acked(1)]).unwrap();
    assert_eq!(found(&dir), [0, 1]);
    // One whose ledger is short by now has no use for it.
    let store = started(&dir);
    store.save(&store.load(1).unwrap()).unwrap();
    assert_eq!(found(&dir), [0, 1], "beside a text that it does not go on from");
    store.end_journal();
    assert!(!store.journal_path().exists());
}

#[test]
fn a_ledger_that_was_replaced_or_removed_is_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = started(&dir);
    store.append(&[acked(0)]).unwrap();
    let ours = std::fs::read(store.path()).unwrap();
    std::fs::write(store.path(), [&ours[..], b" "].concat()).unwrap();
    assert_eq!(found(&dir), NOTHING);
    assert!(matches!(store.save(&Ledger::new(1)), Err(LedgerError::Shared { .. })), "and noticed");
    std::fs::remove_file(store.path()).unwrap();
    assert_eq!(found(&dir), NOTHING);
    let late = LedgerStore::new(dir.path(), "t");
    late.load(1).unwrap();
    late.append(&[acked(7)]).unwrap();
    assert_eq!(found(&dir), NOTHING, "there is no ledger that it could go on from");
}

#[test]
fn what_cannot_be_appended_is_never_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let store = started(&dir);
    let temporary = whole_file::temporary(store.journal_path());
    std::fs::create_dir(&temporary).unwrap();
    let error = store.append(&[acked(0)]).unwrap_err().to_string();
    assert!(error.contains("valid_offsets_t.jnl: cannot be written"), "{error}");
    std::fs::remove_dir(temporary).unwrap();
    store.append(&[acked(1)]).unwrap();
    assert!(!store.journal_path().exists() && found(&dir).is_empty());
}

#[test]
fn two_producers_are_still_told() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (started(&dir), started(&dir));
    ours.append(&[acked(0)]).unwrap();
    theirs.append(&[acked(1)]).unwrap();
    ours.append(&[acked(2)]).unwrap();
    assert_eq!(found(&dir), [1], "each has a file of its own");
    ours.mark_journal();
    ours.save(&ledger(&[acked(0), acked(2)])).unwrap();
    ours.renew_journal().unwrap();
    assert!(matches!(theirs.save(&ledger(&[acked(1)])), Err(LedgerError::Shared { .. })));
    assert_eq!(found(&dir), [0, 2]);
}

/// A record of the only key.
fn latest(offset: i64) -> Entry {
    Entry::Latest(vec![(0, KeyAck { key_index: Some(0), offset, value_bytes: 24, tombstone: false })])
}

/// A tombstone of the only key.
fn tombstone(offset: i64) -> Entry {
    Entry::Latest(vec![(0, KeyAck { key_index: Some(0), offset, value_bytes: 0, tombstone: true })])
}

fn values(entries: &[Entry]) -> LatestValues {
    let mut values = LatestValues::new(1);
    for entry in entries {
        entry.enter_latest(&mut values);
    }
    values
}

/// The last value of the only key that a process finds that starts now.
fn last(dir: &tempfile::TempDir) -> LatestValue {
    let values = LedgerStore::new(dir.path(), "t").require_latest(1).unwrap();
    values.get(0, b"key-0").unwrap().clone()
}

fn numbered(offset: i64) -> LatestValue {
    LatestValue::Numbered { offset, value_bytes: 24 }
}

/// A producer that was killed, with a tombstone in the file of the last values, and what it appended.
fn killed(appended: &[Entry]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = started(&dir);
    store.save_with_latest(&ledger(&[acked(0)]), &values(&[tombstone(0)])).unwrap();
    store.renew_journal().unwrap();
    store.append(appended).unwrap();
    dir
}

#[test]
fn a_run_without_last_values_keeps_those_of_a_killed_one() {
    let dir = killed(&[latest(7), acked(7)]);
    assert_eq!((last(&dir), found(&dir)), (numbered(7), vec![0, 7]));
    let store = started(&dir);
    store.append(&[acked(8)]).unwrap();
    store.mark_journal();
    store.save(&ledger(&[0, 7, 8].map(acked))).unwrap();
    store.end_journal();
    assert_eq!((last(&dir), found(&dir)), (numbered(7), vec![0, 7, 8]));
}

#[test]
fn what_a_killed_run_left_stays_until_it_is_written_whole() {
    let dir = killed(&[latest(7), acked(7)]);
    for path in ["valid_offsets_t.json", "latest_value_t.json"] {
        let temporary = whole_file::temporary(&dir.path().join(path));
        std::fs::create_dir(&temporary).unwrap();
        let store = LedgerStore::new(dir.path(), "t");
        let error = store.recover(&store.load(1).unwrap()).unwrap_err().to_string();
        assert!(error.contains(path), "{error}");
        std::fs::remove_dir(temporary).unwrap();
        assert_eq!((last(&dir), found(&dir)), (numbered(7), vec![0, 7]));
    }
}

/// A producer whose journal cannot be written any more, with a key's last value there that it knows a newer one than.
fn broken() -> (tempfile::TempDir, LedgerStore) {
    let dir = killed(&[latest(5), acked(5)]);
    let store = LedgerStore::new(dir.path(), "t");
    store.load(1).unwrap();
    std::fs::create_dir(whole_file::temporary(store.journal_path())).unwrap();
    assert!(store.append(&[tombstone(9), acked(9)]).is_err());
    (dir, store)
}

#[test]
fn a_broken_journal_takes_no_last_values_back() {
    let (dir, store) = broken();
    let (all, newer) = (ledger(&[0, 5, 9].map(acked)), values(&[tombstone(9)]));
    // The new ledger cannot be put in its place, as if the process were killed before.
    let aside = dir.path().join("aside");
    std::fs::rename(store.path(), &aside).unwrap();
    std::fs::create_dir(store.path()).unwrap();
    store.save_with_latest(&all, &newer).unwrap_err();
    std::fs::remove_dir(store.path()).unwrap();
    std::fs::rename(&aside, store.path()).unwrap();
    assert_eq!((last(&dir), found(&dir)), (LatestValue::Tombstone, vec![0]));
    store.save_with_latest(&all, &newer).unwrap();
    assert_eq!((last(&dir), found(&dir)), (LatestValue::Tombstone, vec![0, 5, 9]));
}

#[test]
fn last_values_stay_behind_a_ledger_that_cannot_be_written() {
    let (dir, store) = broken();
    std::fs::create_dir(whole_file::temporary(store.path())).unwrap();
    store.save_with_latest(&ledger(&[0, 5, 9].map(acked)), &values(&[tombstone(9)])).unwrap_err();
    assert_eq!((last(&dir), found(&dir)), (numbered(5), vec![0, 5]));
}

#[test]
fn a_text_that_comes_again_is_not_gone_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = started(&dir);
    store.append(&[acked(0)]).unwrap();
    let text = std::fs::read(store.path()).unwrap();
    std::fs::remove_file(store.path()).unwrap();
    // A clock ticks a few hundred times in a second.
    thread::sleep(Duration::from_millis(20));
    std::fs::write(store.path(), text).unwrap();
    assert_eq!(found(&dir), NOTHING, "a topic that was made anew");
    assert!(!started(&dir).journal_path().exists());
}

#[test]
fn a_topic_whose_name_leaves_room_for_its_ledger_has_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::new(dir.path(), &"t".repeat(236));
    store.probe().unwrap();
    store.save(&Ledger::new(1)).unwrap();
    store.load(1).unwrap();
    store.append(&[acked(0)]).unwrap();
    let longer = LedgerStore::new(dir.path(), &"t".repeat(237));
    let error = longer.probe().unwrap_err();
    assert!(error.to_string().contains("more than 236 characters"), "{error}");
    assert!(longer.load(1).is_ok(), "who only reads goes on without one");
}

#[test]
fn the_last_values_know_what_the_ledger_lists() {
    let dir = tempfile::tempdir().unwrap();
    let store = started(&dir);
    let mut values = LatestValues::new(1);
    store.save_with_latest(&Ledger::new(1), &values).unwrap();
    store.load(1).unwrap();
    store.append(&[latest(0), acked(0)]).unwrap();
    assert_eq!((last(&dir), found(&dir)), (numbered(0), vec![0]));
    store.append(&[latest(1), acked(1)]).unwrap();
    store.mark_journal();
    latest(1).enter_latest(&mut values);
    store.append(&[latest(2), acked(2)]).unwrap();
    store.save_with_latest(&ledger(&[acked(0), acked(1)]), &values).unwrap();
    assert_eq!((last(&dir), found(&dir)), (numbered(2), vec![0, 1, 2]));
    store.renew_journal().unwrap();
    assert_eq!((last(&dir), found(&dir)), (numbered(2), vec![0, 1, 2]));
    // Last values without a ledger are alone, too.
    std::fs::remove_file(store.path()).unwrap();
    assert_eq!(last(&dir), numbered(1));
}

/// Whoever reads meanwhile finds all that was safe when they began, and in the values all that is in the ledger.
#[test]
fn readers_need_not_wait_for_the_writer() {
    const ROUNDS: i64 = 25;
    let dir = tempfile::tempdir().unwrap();
    let store = started(&dir);
    store.save_with_latest(&Ledger::new(1), &LatestValues::new(1)).unwrap();
    store.load(1).unwrap();
    let safe = AtomicI64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut values = LatestValues::new(1);
            for round in 0..ROUNDS {
                let append = |offset| {
                    store.append(&[latest(offset), acked(offset)]).unwrap();
                    safe.store(offset + 1, SeqCst);
                };
                append(3 * round);
                store.mark_journal();
                append(3 * round + 1);
                let all: Vec<_> = (0..=3 * round).map(acked).collect();
                latest(3 * round).enter_latest(&mut values);
                store.save_with_latest(&ledger(&all), &values).unwrap();
                append(3 * round + 2);
                store.renew_journal().unwrap();
                thread::sleep(Duration::from_millis(10));
            }
        });
        while safe.load(SeqCst) < 3 * ROUNDS {
            let expected = safe.load(SeqCst);
            let reader = LedgerStore::new(dir.path(), "t");
            let listed = reader.load(1).unwrap().acked_count().cast_signed();
            assert!(listed >= expected, "{expected} are safe, and {listed} listed");
            let values = reader.require_latest(1).unwrap();
            let last = match values.get(0, b"key-0") {
                Some(LatestValue::Numbered { offset, .. }) => *offset,
                _ => -1,
            };
            assert!(last + 1 >= listed, "{listed} are listed, and {last} is the last value");
        }
    });
}
