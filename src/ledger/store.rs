//! The ledger's file: whole at every moment, whatever happens to the process.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Ledger, format};

/// Why a ledger file could not be used. The file is left as it was.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The file is there but cannot be read.
    #[error("ledger {}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no ledger.
    #[error(
        "ledger {}: is not a ledger of valid offsets ({reason}); it was left as it is: \
         repair it, or move it away to start without one", path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        reason: String,
    },
    /// The file describes a topic with more partitions than this one has.
    #[error(
        "ledger {}: lists {listed} partitions but topic '{topic}' has {existing}: it belongs to \
         another topic of that name; it was left as it is", path.display()
    )]
    TooManyPartitions {
        /// The file.
        path: PathBuf,
        /// The topic.
        topic: String,
        /// Partitions in the file.
        listed: usize,
        /// Partitions in the topic.
        existing: usize,
    },
    /// The file cannot be replaced.
    #[error("ledger {}: cannot be written: {source}; the file there is the last one that was whole", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The place of one topic's ledger.
#[derive(Clone, Debug)]
pub struct LedgerStore {
    topic: String,
    path: PathBuf,
}

impl LedgerStore {
    /// The ledger of `topic` in the folder `dir`.
    #[must_use]
    pub fn new(dir: &Path, topic: &str) -> Self {
        Self { topic: topic.to_owned(), path: dir.join(format!("valid_offsets_{topic}.json")) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the ledger of a topic with so many partitions; an empty one when there is no file.
    ///
    /// # Errors
    /// The file cannot be read, is no ledger, or lists more partitions than there are.
    pub fn load(&self, partitions: usize) -> Result<Ledger, LedgerError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::new(partitions)),
            Err(source) => return Err(LedgerError::Unreadable { path: self.path.clone(), source }),
        };
        let mut ledger = format::decode(&text)
            .map_err(|reason| LedgerError::Malformed { path: self.path.clone(), reason })?;
        let listed = ledger.partitions().len();
        if listed > partitions {
            let (path, topic) = (self.path.clone(), self.topic.clone());
            return Err(LedgerError::TooManyPartitions { path, topic, listed, existing: partitions });
        }
        ledger.grow(partitions);
        Ok(ledger)
    }

    /// Finds out whether the ledger can be written, before there is anything to lose.
    ///
    /// # Errors
    /// The folder does not take a file of the ledger's size plus a little.
    pub fn probe(&self) -> Result<(), LedgerError> {
        let temporary = self.temporary();
        let result = File::create(&temporary).and_then(|mut file| {
            file.write_all(&[b' '; 4096])?;
            file.sync_all()
        });
        // Nothing to report when it cannot be removed: it could not be made either.
        let _ = fs::remove_file(&temporary);
        result.map_err(|source| self.unwritable(source))
    }

    /// Replaces the file: a temporary one beside it, fsync, rename, fsync of the folder.
    ///
    /// # Errors
    /// The system refused; the file is the one that was there before.
    pub fn save(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        self.replace(&format::encode(ledger)).map_err(|source| self.unwritable(source))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let temporary = self.temporary();
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(text)?;
            // Before the rename, or a crash of the machine could leave an empty file behind the name.
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| fs::rename(&temporary, &self.path)) {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        // The rename itself is only safe once the folder is.
        File::open(self.folder())?.sync_all()
    }

    /// One fixed name: a process killed between write and rename leaves one file, not one each time.
    fn temporary(&self) -> PathBuf {
        self.path.with_extension("json.tmp")
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn unwritable(&self, source: io::Error) -> LedgerError {
        LedgerError::Unwritable { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
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
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
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
        fs::create_dir(store.temporary()).unwrap();
        for error in [store.save(&ledger_with(1, 9)).unwrap_err(), store.probe().unwrap_err()] {
            assert!(error.to_string().contains("valid_offsets_t.json: cannot be written"), "{error}");
        }
        assert_eq!(store.load(1).unwrap().acked_count(), 5);
    }
}
