use super::*;
use crate::ledger::{LatestValue, OffsetRun};

fn slice(index: usize, of: usize) -> Slice {
    Slice::new(index, of).unwrap()
}

/// A folder in which slices of topic `t` have acked so many records in each of their four partitions.
fn folder_with(slices: &[(Slice, i64)]) -> (tempfile::TempDir, LedgerFolder) {
    let dir = tempfile::tempdir().unwrap();
    for (slice, acked) in slices {
        save(dir.path(), "t", Some(*slice), *acked);
    }
    let folder = LedgerFolder::new(dir.path(), "t");
    (dir, folder)
}

fn save(dir: &Path, topic: &str, slice: Option<Slice>, acked: i64) {
    let mut ledger = Ledger::new(4);
    for partition in (0..4).filter(|partition| slice.is_none_or(|slice| slice.owns(*partition))) {
        ledger.partition_mut(partition).unwrap().insert(OffsetRun { lower: 0, upper: acked });
    }
    LedgerStore::of(dir, topic, slice).save(&ledger).unwrap();
}

fn counts(loaded: &Loaded) -> Vec<u64> {
    loaded.ledger.partitions().iter().map(crate::ledger::PartitionLedger::acked_count).collect()
}

/// Why nothing can be read there, or begun.
fn refusal(folder: &LedgerFolder) -> String {
    let error = folder.load(4).unwrap_err().to_string();
    assert_eq!(folder.inspect(LatestNeed::Ignored).unwrap_err().to_string(), error);
    error
}

#[test]
fn a_folder_without_slices_is_as_it_ever_was() {
    let (dir, folder) = folder_with(&[]);
    assert!(!folder.has_any());
    let loaded = folder.load(4).unwrap();
    assert_eq!((counts(&loaded), loaded.slices, loaded.missing.len()), (vec![0; 4], 0, 0));
    save(dir.path(), "t", None, 7);
    // Those of other topics, and of their slices, are none of ours.
    save(dir.path(), "u", None, 1);
    save(dir.path(), "u", Some(slice(0, 2)), 1);
    assert_eq!((counts(&folder.load(5).unwrap()), folder.has_any()), (vec![7, 7, 7, 7, 0], true));
    assert_eq!(folder.inspect(LatestNeed::Ignored).unwrap(), 4);
    assert!(folder.claim(None).unwrap().is_none());
    let gone = LedgerFolder::new(&dir.path().join("gone"), "t");
    assert_eq!((counts(&gone.load(1).unwrap()), gone.has_any()), (vec![0], false));
    let error = gone.claim(Some(slice(0, 2))).unwrap_err().to_string();
    assert!(
        error.contains("slice-0-of-2.json: cannot be written") && error.contains("--ledger-dir"),
        "{error}"
    );
}

#[test]
fn slices_are_read_together_and_missing_ones_are_named() {
    let (dir, folder) = folder_with(&[(slice(2, 3), 5), (slice(0, 3), 3)]);
    let loaded = folder.load(4).unwrap();
    assert_eq!((counts(&loaded), loaded.slices), (vec![3, 0, 5, 3], 3));
    assert_eq!(loaded.missing, [slice(1, 3)]);
    assert_eq!((folder.inspect(LatestNeed::Ignored).unwrap(), folder.has_any()), (4, true));
    // The next look sees what has come since.
    save(dir.path(), "t", Some(slice(1, 3)), 9);
    let loaded = folder.load(6).unwrap();
    assert_eq!((counts(&loaded), loaded.missing.len()), (vec![3, 9, 5, 3, 0, 0], 0));
    let error = folder.load(3).unwrap_err().to_string();
    assert!(error.contains("lists 4 partitions"), "{error}");
}

#[test]
fn slices_that_own_nothing_are_not_missed() {
    let (_dir, folder) = folder_with(&[(slice(0, 9), 1)]);
    assert_eq!(folder.load(4).unwrap().missing, [slice(1, 9), slice(2, 9), slice(3, 9)]);
}

#[test]
fn slices_that_disagree_are_refused_by_name() {
    let (_dir, folder) = folder_with(&[(slice(0, 2), 1), (slice(1, 3), 1)]);
    let error = refusal(&folder);
    for words in ["valid_offsets_t.slice-0-of-2.json", "valid_offsets_t.slice-1-of-3.json", "of 2 and of 3"] {
        assert!(error.contains(words), "{error}");
    }
    let begun = folder.claim(Some(slice(1, 2))).unwrap_err().to_string();
    assert!(begun.contains("slice-1-of-2.json") && begun.contains("slice-1-of-3.json"), "{begun}");
}

#[test]
fn a_folder_that_mixes_topics_is_refused_by_name() {
    let (dir, folder) = folder_with(&[(slice(0, 2), 1)]);
    save(dir.path(), "u", Some(slice(0, 2)), 1);
    let error = refusal(&folder);
    for words in ["valid_offsets_t.slice-0-of-2.json", "valid_offsets_u.slice-0-of-2.json", "'t' and 'u'"] {
        assert!(error.contains(words), "{error}");
    }
    let begun = folder.claim(Some(slice(1, 2))).unwrap_err().to_string();
    assert!(begun.contains("topics 't' and 'u'"), "{begun}");
}

#[test]
fn slices_beside_a_ledger_of_all_partitions_are_refused() {
    let (dir, folder) = folder_with(&[(slice(0, 2), 1)]);
    let error = folder.claim(None).unwrap_err().to_string();
    assert!(error.contains("partitions have two ledgers"), "who produces to all: {error}");
    save(dir.path(), "t", None, 1);
    let error = refusal(&folder);
    assert!(
        error.contains("valid_offsets_t.json and ") && error.contains("proofload ledger merge"),
        "{error}"
    );
    fs::remove_file(dir.path().join("valid_offsets_t.slice-0-of-2.json")).unwrap();
    let error = folder.claim(Some(slice(0, 2))).unwrap_err().to_string();
    assert!(error.contains("partitions have two ledgers"), "who produces to some: {error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "and nothing was touched");
}

/// A topic may be called like a slice of another one: its own ledger is its own.
#[test]
fn a_topic_that_is_called_like_a_slice_is_read_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), "t.slice-0-of-2", None, 3);
    let folder = LedgerFolder::new(dir.path(), "t.slice-0-of-2");
    assert_eq!(folder.load(4).unwrap().ledger.acked_count(), 12);
    assert!(folder.claim(None).is_ok());
}

#[test]
fn a_slice_s_ledger_under_another_one_s_name_is_refused() {
    let (dir, folder) = folder_with(&[(slice(0, 2), 1)]);
    let name = |index| dir.path().join(names::ledger("t", Some(slice(index, 2))));
    fs::rename(name(0), name(1)).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("slice-1-of-2.json: lists offsets of partition 0"), "{error}");
}

#[test]
fn partitions_have_one_producer() {
    let (dir, folder) = folder_with(&[]);
    let first = folder.claim(Some(slice(0, 2))).unwrap();
    assert!(first.is_some());
    let second = folder.claim(Some(slice(1, 2))).unwrap();
    let error = folder.claim(Some(slice(0, 2))).unwrap_err().to_string();
    assert!(error.contains("slice-0-of-2.json: another process produces"), "{error}");
    let error = folder.claim(Some(slice(0, 4))).unwrap_err().to_string();
    assert!(error.contains("of slices of 4 and of 2"), "who has not written anything yet: {error}");
    let error = folder.claim(None).unwrap_err().to_string();
    assert!(error.contains("partitions have two ledgers"), "{error}");
    drop((first, second));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    // Nobody holds what a killed process left.
    fs::write(dir.path().join(names::claim("t", slice(0, 2))), "").unwrap();
    assert!(folder.claim(None).unwrap().is_none());
    assert!(folder.claim(Some(slice(3, 4))).unwrap().is_some());
}

#[test]
fn last_values_of_slices_are_read_together() {
    let (dir, folder) = folder_with(&[(slice(0, 2), 1), (slice(1, 2), 1)]);
    let error = folder.require_latest(4).unwrap_err();
    assert!(matches!(error, LedgerError::NoLatestValues { .. }), "{error}");
    assert!(folder.inspect(LatestNeed::Read).is_err());
    for (index, partition) in [(0, 2), (1, 3)] {
        let mut values = LatestValues::new(4);
        values.set(partition, "k".to_owned(), LatestValue::Tombstone);
        let store = LedgerStore::of(dir.path(), "t", Some(slice(index, 2)));
        store.save_with_latest(&store.load(4).unwrap(), &values).unwrap();
    }
    let values = folder.require_latest(5).unwrap();
    let is_known = |partition| values.get(partition, b"k").is_some();
    assert_eq!([0, 1, 2, 3, 4].map(is_known), [false, false, true, true, false]);
    assert!(folder.inspect(LatestNeed::Read).is_ok());
}
