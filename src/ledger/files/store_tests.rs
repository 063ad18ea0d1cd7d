use super::*;
use crate::ledger::OffsetRun;

fn ledger_with(partitions: usize, upper: i64) -> Ledger {
    let mut ledger = Ledger::new(partitions);
    ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 0, upper });
    ledger
}

#[test]
fn missing_file_is_an_empty_ledger_and_stays_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::new(dir.path(), "t");
    assert_eq!(store.load(4).unwrap(), Ledger::new(4));
    store.probe().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn saved_ledger_is_loaded_and_grows_with_the_topic() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::new(dir.path(), "t");
    store.save(&ledger_with(1, 5)).unwrap();
    store.save(&ledger_with(1, 7)).unwrap();
    let loaded = store.load(2).unwrap();
    assert_eq!((loaded.partitions().len(), loaded.acked_count()), (2, 7));
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["valid_offsets_t.json"]);
}

#[test]
fn bad_files_are_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::new(dir.path(), "t");
    for text in ["nonsense", r#"{"PartitionRanges":[{"Ranges":[{"Lo"#, ""] {
        fs::write(store.path(), text).unwrap();
        let error = store.load(4).unwrap_err();
        assert!(matches!(error, LedgerError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains("valid_offsets_t.json"), "{error}");
        assert_eq!(fs::read_to_string(store.path()).unwrap(), text);
    }
    store.save(&ledger_with(3, 5)).unwrap();
    let error = store.load(2).unwrap_err().to_string();
    assert!(error.contains("lists 3 partitions") && error.contains("'t' has 2"), "{error}");
}

#[test]
fn failed_save_names_the_file_and_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::new(dir.path(), "t");
    store.save(&ledger_with(1, 5)).unwrap();
    // A folder in the temporary file's place stops even root, whom permissions do not.
    fs::create_dir(whole_file::temporary(store.path())).unwrap();
    for error in [store.save(&ledger_with(1, 9)).unwrap_err(), store.probe().unwrap_err()] {
        assert!(error.to_string().contains("valid_offsets_t.json: cannot be written"), "{error}");
    }
    assert_eq!(store.load(1).unwrap().acked_count(), 5);
}

#[test]
fn two_that_write_one_ledger_do_not_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (LedgerStore::new(dir.path(), "t"), LedgerStore::new(dir.path(), "t"));
    ours.save(&ledger_with(1, 5)).unwrap();
    ours.save(&ledger_with(1, 6)).unwrap();
    assert!(theirs.load(1).is_ok());
    theirs.save(&ledger_with(1, 7)).unwrap();
    let error = ours.save(&ledger_with(1, 8)).unwrap_err().to_string();
    assert!(error.contains("valid_offsets_t.json: another process writes it, too"), "{error}");
    theirs.save(&ledger_with(1, 9)).unwrap();
    assert_eq!(ours.load(1).unwrap().acked_count(), 9);
    let late = LedgerStore::new(&dir.path().join("."), "late");
    assert_eq!(late.load(1).unwrap().acked_count(), 0);
    LedgerStore::new(dir.path(), "late").save(&ledger_with(1, 5)).unwrap();
    assert!(matches!(late.save(&ledger_with(1, 1)), Err(LedgerError::Shared { .. })), "since it was read");
    // A file that is gone is nobody's.
    fs::remove_file(ours.path()).unwrap();
    theirs.save(&ledger_with(1, 10)).unwrap();
}

#[test]
fn the_ledger_stays_behind_last_values_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::new(dir.path(), "t");
    let values = LatestValues::new(1);
    store.save_with_latest(&ledger_with(1, 5), &values).unwrap();
    fs::create_dir(whole_file::temporary(&store.latest_path)).unwrap();
    let error = store.save_with_latest(&ledger_with(1, 9), &values).unwrap_err().to_string();
    assert!(error.contains("latest_value_t.json: cannot be written"), "{error}");
    assert_eq!(store.load(1).unwrap().acked_count(), 5);
    assert!(!whole_file::temporary(store.path()).exists(), "nothing is left of the new one");
}

#[test]
fn a_folder_that_is_gone_is_called_that() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::new(&dir.path().join("gone"), "t");
    let error = store.save(&ledger_with(1, 5)).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "its folder does not exist: make it, or name another with --ledger-dir; there is no file now"
        ),
        "{error}"
    );
}

#[test]
fn a_ledger_that_cannot_be_reached_is_not_a_missing_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = LedgerStore::new(file.path(), "t").load(1).unwrap_err();
    assert!(matches!(error, LedgerError::Unreadable { .. }), "{error}");
}
