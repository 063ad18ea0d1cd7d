use std::{collections::BTreeMap, fs};

use super::*;
use crate::ledger::{LatestValue, OffsetRun};

/// The ledger of a slice that has acked so many records in each of its partitions, of five.
fn save(dir: &Path, topic: &str, (index, of): (usize, usize), acked: i64) -> PathBuf {
    let slice = Slice::new(index, of).unwrap();
    let mut ledger = Ledger::new(5);
    for partition in slice.partitions(5) {
        ledger.partition_mut(partition).unwrap().insert(OffsetRun { lower: 0, upper: acked });
    }
    let store = LedgerStore::of(dir, topic, Some(slice));
    store.save(&ledger).unwrap();
    store.path().to_owned()
}

/// Everything that is in two folders.
fn contents(folders: &[&Path]) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    files.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A folder for slices' ledgers, and one for what is made of them.
struct Scene {
    from: tempfile::TempDir,
    to: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { from: tempfile::tempdir().unwrap(), to: tempfile::tempdir().unwrap() }
    }

    fn save(&self, topic: &str, slice: (usize, usize), acked: i64) -> PathBuf {
        save(self.from.path(), topic, slice, acked)
    }

    fn merge(&self, ledgers: &[&PathBuf]) -> Result<String, MergeError> {
        let ledgers = ledgers.iter().map(|path| (*path).clone()).collect();
        merge(&MergeConfig { ledgers, dir: self.to.path().to_owned() })
    }

    /// Why they are not merged; and no file is touched.
    fn refusal(&self, ledgers: &[&PathBuf]) -> String {
        let folders = [self.from.path(), self.to.path()];
        let before = contents(&folders);
        let error = self.merge(ledgers).unwrap_err().to_string();
        assert_eq!(contents(&folders), before, "{error}");
        error
    }
}

#[test]
fn slices_become_one_ordinary_ledger() {
    let scene = Scene::new();
    let parts =
        [(2, 3), (0, 3), (1, 3)].map(|slice| scene.save("t", slice, 10 + i64::try_from(slice.0).unwrap()));
    let done = scene.merge(&parts.iter().collect::<Vec<_>>()).unwrap();
    assert!(done.contains("valid_offsets_t.json: 54 acked offsets in 5 partitions, of 3 slices"), "{done}");
    assert!(!done.contains('\n'), "{done}");
    let ledger = LedgerStore::new(scene.to.path(), "t").load(5).unwrap();
    let counts: Vec<_> =
        ledger.partitions().iter().map(crate::ledger::PartitionLedger::acked_count).collect();
    assert_eq!(counts, [10, 11, 12, 10, 11]);
    assert_eq!(contents(&[scene.to.path()]).len(), 1);
    assert!(scene.refusal(&parts.iter().collect::<Vec<_>>()).contains("is there already"));
}

#[test]
fn what_a_run_would_stumble_over_is_said() {
    let scene = Scene::new();
    let part = save(scene.to.path(), "t", (0, 1), 1);
    assert!(scene.merge(&[&part]).unwrap().contains("move the slices' ledgers to another folder"));
}

#[test]
fn a_journal_is_part_of_its_ledger() {
    let scene = Scene::new();
    let part = scene.save("t", (0, 1), 1);
    let store = LedgerStore::of(scene.from.path(), "t", Slice::new(0, 1));
    store.load(5).unwrap();
    let runs = vec![OffsetRun { lower: 1, upper: 4 }];
    store.append(&[crate::ledger::Entry::Acked { partition: 2, runs, last_consumable: None }]).unwrap();
    scene.merge(&[&part]).unwrap();
    assert_eq!(LedgerStore::new(scene.to.path(), "t").load(5).unwrap().acked_count(), 8);
}

#[test]
fn last_values_are_merged_where_all_have_them() {
    let scene = Scene::new();
    let parts = [0, 1].map(|index| scene.save("t", (index, 2), 1));
    for index in [0, 1] {
        if index == 1 {
            assert!(scene.refusal(&[&parts[0], &parts[1]]).contains("latest_value_t.slice-1-of-2.json"));
        }
        let store = LedgerStore::of(scene.from.path(), "t", Slice::new(index, 2));
        let mut values = LatestValues::new(5);
        values.set(i32::try_from(index).unwrap(), "k".to_owned(), LatestValue::Tombstone);
        store.save_with_latest(&store.load(5).unwrap(), &values).unwrap();
    }
    scene.merge(&[&parts[0], &parts[1]]).unwrap();
    let values = LedgerStore::new(scene.to.path(), "t").require_latest(5).unwrap();
    assert!(values.get(0, b"k").is_some() && values.get(1, b"k").is_some());
}

#[test]
fn what_does_not_belong_together_is_refused_by_name() {
    let (scene, elsewhere) = (Scene::new(), tempfile::tempdir().unwrap());
    let (first, second) = (scene.save("t", (0, 2), 1), scene.save("t", (1, 2), 1));
    let again = save(elsewhere.path(), "t", (1, 2), 1);
    let (other_topic, other_count) = (scene.save("u", (1, 2), 1), scene.save("t", (1, 3), 1));
    let whole = scene.from.path().join("valid_offsets_t.json");
    let gone = elsewhere.path().join("valid_offsets_t.slice-0-of-2.json");
    let rows: [(&[&PathBuf], &[&str]); 7] = [
        (&[&first, &other_topic], &["topics 't' and 'u'", "valid_offsets_u.slice-1-of-2.json"]),
        (&[&first, &other_count], &["of slices of 2 and of 3", "slice-1-of-3.json"]),
        (&[&first, &second, &again], &["are both of slice 1/2", elsewhere.path().to_str().unwrap()]),
        (&[&first, &first, &second], &["are both of slice 0/2"]),
        (&[&second], &["the ledger of slice 0/2 is missing"]),
        (&[&first, &whole], &["valid_offsets_t.json: is not called like the ledger of a slice"]),
        (&[&gone, &again], &["slice-0-of-2.json: there is no such file"]),
    ];
    for (ledgers, words) in rows {
        let error = scene.refusal(ledgers);
        assert!(words.iter().all(|words| error.contains(words)), "{ledgers:?}: {error}");
    }
}

#[test]
fn garbage_is_refused_by_name() {
    let scene = Scene::new();
    let (first, second) = (scene.save("t", (0, 2), 1), scene.save("t", (1, 2), 1));
    let of_second = fs::read(&second).unwrap();
    for (text, words) in [
        (&b"garbage"[..], "is not a ledger of valid offsets"),
        (b"", "is not a ledger of valid offsets"),
        // What is another slice's.
        (&of_second, "lists offsets of partition 1, which is not one of slice 0/2"),
    ] {
        fs::write(&first, text).unwrap();
        let error = scene.refusal(&[&first, &second]);
        assert!(error.contains("valid_offsets_t.slice-0-of-2.json") && error.contains(words), "{error}");
    }
    scene.save("t", (0, 2), 1);
    fs::write(scene.from.path().join("latest_value_t.slice-0-of-2.json"), "garbage").unwrap();
    assert!(scene.refusal(&[&first, &second]).contains("is not a map from keys to values"));
}

#[test]
fn a_folder_that_takes_no_file_is_named() {
    let scene = Scene::new();
    let part = scene.save("t", (0, 1), 1);
    let config = MergeConfig { ledgers: vec![part], dir: scene.to.path().join("gone") };
    let error = merge(&config).unwrap_err().to_string();
    assert!(error.contains("its folder does not exist"), "{error}");
    assert_eq!(run(&config), 3);
}

#[test]
fn many_that_are_missing_are_counted() {
    let slices: Vec<_> = Slice::new(0, 7).unwrap().siblings().collect();
    assert_eq!(named(&slices[1..2]), "slice 1/7");
    assert_eq!(named(&slices), "slices 0/7, 1/7, 2/7, 3/7, 4/7, 2 more");
}
