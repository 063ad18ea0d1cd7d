//! The ledger's files: whole at every moment, whatever happens to the process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use nix::errno::Errno;

use super::{
    format, journal,
    journal_file::JournalFile,
    names,
    text::{Known, NewText},
    whole_file::{self, Identity, Prepared},
};
use crate::{
    ledger::{Entry, LatestValues, Ledger, LedgerError, SliceError, latest},
    mutants::enforced,
    partitions::Slice,
};

/// How often files are read that others replace meanwhile, until what was read belongs together.
const TRIES: u32 = 5;

/// What a run needs the file of last values for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatestNeed {
    /// For nothing.
    Ignored,
    /// It goes on writing it; there may be none yet.
    Written,
    /// It holds records against it.
    Read,
}

/// The place of one topic's ledger, or of one slice's.
#[derive(Clone, Debug)]
pub struct LedgerStore {
    topic: String,
    /// `None`: all partitions.
    slice: Option<Slice>,
    /// By what the journal names it.
    stem: String,
    path: PathBuf,
    latest_path: PathBuf,
    journal_path: PathBuf,
    /// What was read or written last; touched by one writer at a time.
    known: Arc<Mutex<Option<Known>>>,
    journal: Arc<Mutex<JournalFile>>,
}

/// A text of the ledger, and what its journal adds.
struct Found {
    text: Vec<u8>,
    known: Known,
    entries: Vec<Entry>,
}

impl LedgerStore {
    /// The ledger of `topic` in the folder `dir`.
    #[must_use]
    pub fn new(dir: &Path, topic: &str) -> Self {
        Self::of(dir, topic, None)
    }

    /// That of a slice of it, where one is given.
    #[must_use]
    pub(crate) fn of(dir: &Path, topic: &str, slice: Option<Slice>) -> Self {
        let stem = names::stem(topic, slice);
        let journal_path = dir.join(names::journal(topic, slice));
        let journal = JournalFile::new(journal_path.clone(), &stem);
        Self {
            topic: topic.to_owned(),
            slice,
            stem,
            path: dir.join(names::ledger(topic, slice)),
            latest_path: dir.join(names::latest(topic, slice)),
            journal_path,
            known: Arc::default(),
            journal: Arc::new(Mutex::new(journal)),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of each key's last value.
    #[must_use]
    pub fn latest_path(&self) -> &Path {
        &self.latest_path
    }

    /// The file of what was acked since a long ledger was written.
    #[must_use]
    pub fn journal_path(&self) -> &Path {
        &self.journal_path
    }

    /// Bytes that are written to write everything whole, the last values among it or not; 0 when there is no ledger.
    #[must_use]
    pub fn file_bytes(&self, latest: bool) -> usize {
        let bytes = |path| fs::metadata(path).map(|file| usize::try_from(file.len()).unwrap_or(usize::MAX));
        let Ok(ledger) = bytes(&self.path) else { return 0 };
        if latest { ledger.saturating_add(bytes(&self.latest_path).unwrap_or(0)) } else { ledger }
    }

    /// Reads the ledger of a topic with so many partitions, with what its journal adds; an empty one when there is no file.
    ///
    /// # Errors
    /// A file cannot be read, is no ledger, or lists more partitions than there are.
    pub fn load(&self, partitions: usize) -> Result<Ledger, LedgerError> {
        let Some(Found { text, known, entries }) = self.find()? else {
            *self.known() = Some(Known::Missing);
            return Ok(Ledger::new(partitions));
        };
        let mut ledger = self.decode(&text)?;
        self.check_partitions(&self.path, ledger.partitions().len(), partitions)?;
        ledger.grow(partitions);
        for entry in &entries {
            entry.enter(&mut ledger);
        }
        *self.known() = Some(known);
        self.journal().ready(known.life());
        Ok(ledger)
    }

    /// Reads the ledger for as many partitions as it lists, with what its journal adds; `None` when there is no file.
    ///
    /// # Errors
    /// A file cannot be read, or is no ledger.
    pub(crate) fn read(&self) -> Result<Option<Ledger>, LedgerError> {
        let Some(Found { text, entries, .. }) = self.find()? else { return Ok(None) };
        let mut ledger = self.decode(&text)?;
        for entry in &entries {
            entry.enter(&mut ledger);
        }
        Ok(Some(ledger))
    }

    fn decode(&self, text: &[u8]) -> Result<Ledger, LedgerError> {
        let path = &self.path;
        let ledger =
            format::decode(text).map_err(|reason| LedgerError::Malformed { path: path.clone(), reason })?;
        match self.slice.and_then(|slice| Some((slice, ledger.beyond(slice)?))) {
            Some((slice, partition)) => {
                Err(SliceError::NotItsOwn { path: path.clone(), slice, partition }.into())
            }
            None => Ok(ledger),
        }
    }

    /// `None` when there is no ledger, whatever its journal says.
    fn find(&self) -> Result<Option<Found>, LedgerError> {
        // A producer that has written a new text makes a new journal, too.
        settled(&self.path, || {
            // Before the text: that of a file which is replaced in between is not taken for this text's.
            let identity = unless_missing(&self.path, Identity::of(&self.path))?;
            let Some(identity) = identity else { return Ok(None) };
            let Some(text) = read(&self.path)? else { return Ok(None) };
            let known = Known::Text { identity, digest: journal::digest(&text) };
            let lines = read(&self.journal_path)?.unwrap_or_default();
            let entries = known.life().and_then(|life| journal::decode(&lines, &self.stem, life));
            Ok(Some(Found { text, known, entries: entries.unwrap_or_default() }))
        })
    }

    /// A producer begins, with the ledger that it has read: what a killed one left in the journal is written whole, in the last
    /// values as well, and the journal is removed. A producer that keeps no last values would take theirs with the journal,
    /// and the ledger would go on listing the acks.
    ///
    /// Killed on the way, it leaves the journal beside what has all of it, or some: all is entered once more.
    ///
    /// # Errors
    /// A file cannot be read, or the system refused; nothing is lost.
    pub fn recover(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let added = self.find()?.map(|found| found.entries).unwrap_or_default();
        let has_values = added.iter().any(Entry::has_values) && enforced("values-of-a-killed-run");
        let values = if has_values { self.load_latest(ledger.partitions().len())? } else { None };
        match values {
            Some(values) => self.save_with_latest(ledger, &values)?,
            None if !added.is_empty() => self.save(ledger)?,
            None => 0,
        };
        self.end_journal();
        self.renew_journal()
    }

    fn journal(&self) -> MutexGuard<'_, JournalFile> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file that lists so many partitions must be one of a topic that has them.
    ///
    /// # Errors
    /// It lists more.
    pub fn check_partitions(&self, path: &Path, listed: usize, existing: usize) -> Result<(), LedgerError> {
        if listed <= existing {
            return Ok(());
        }
        let (path, topic) = (path.to_owned(), self.topic.clone());
        Err(LedgerError::TooManyPartitions { path, topic, listed, existing })
    }

    fn no_latest(&self) -> LedgerError {
        LedgerError::NoLatestValues { path: self.latest_path.clone() }
    }

    /// Reads the last values of each key, with what the journal adds; `None` when there is no file.
    ///
    /// # Errors
    /// A file cannot be read, is no map of keys, or lists more partitions than there are.
    pub fn load_latest(&self, partitions: usize) -> Result<Option<LatestValues>, LedgerError> {
        self.read_latest(|listed| {
            self.check_partitions(&self.latest_path, listed, partitions)?;
            Ok(partitions)
        })
    }

    /// Reads them for as many partitions as are listed.
    ///
    /// # Errors
    /// A file cannot be read, or is no map of keys.
    pub(crate) fn find_latest(&self) -> Result<Option<LatestValues>, LedgerError> {
        self.read_latest(Ok)
    }

    /// The same of a topic with as many partitions as `existing` says, if it takes those that are listed.
    fn read_latest(
        &self,
        existing: impl FnOnce(usize) -> Result<usize, LedgerError>,
    ) -> Result<Option<LatestValues>, LedgerError> {
        let path = &self.latest_path;
        // Newer values would be taken back by an older journal.
        let (text, found) = settled(path, || Ok((read(path)?, self.find()?)))?;
        let Some(text) = text else { return Ok(None) };
        let mut values = latest::decode(&text)
            .map_err(|reason| LedgerError::NotLatestValues { path: path.clone(), reason })?;
        values.grow(existing(values.partitions())?);
        for entry in found.iter().flat_map(|found| &found.entries) {
            entry.enter_latest(&mut values);
        }
        Ok(Some(values))
    }

    /// The same for a reader, which has nothing to hold values against without it.
    ///
    /// # Errors
    /// As above, or there is no file.
    pub fn require_latest(&self, partitions: usize) -> Result<LatestValues, LedgerError> {
        self.load_latest(partitions)?.ok_or_else(|| self.no_latest())
    }

    /// Replaces both files, so that the last values know whatever the ledger lists, whenever this process is killed. The file
    /// of the last values has no offsets that could tell which is newer, it or the journal: nothing may be put there that the
    /// journal would take back. Returns how many bytes that took.
    ///
    /// Killed before the first put, it leaves the old pair and the journal, which has everything. Killed between the two, it
    /// leaves the new last values beside the old ledger: a journal that goes on ends each key with what is as new or newer,
    /// and one that lacks something is gone by then. Behind both a journal goes on that has been told, or none.
    ///
    /// # Errors
    /// The system refused; a file is the one that was there before.
    pub fn save_with_latest(&self, ledger: &Ledger, values: &LatestValues) -> Result<usize, LedgerError> {
        let values = latest::encode(values);
        let latest_error = |source| LedgerError::Unwritable { path: self.latest_path.clone(), source };
        // A disk that is busy makes each wait: they wait together.
        let (latest, ledger) = thread::scope(|scope| {
            let latest = scope.spawn(|| Prepared::write(&self.latest_path, &values));
            let ledger = NewText::write(&self.path, ledger);
            (latest.join(), ledger)
        });
        let latest = latest.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let latest = latest.map_err(latest_error)?;
        let bytes = self.put(ledger, || {
            self.journal().stand_back().map_err(|source| self.unwritable_journal(source))?;
            latest.put().map_err(latest_error)
        })?;
        Ok(values.len() + bytes)
    }

    /// Reads what there is, and throws it away: it must make sense before anything else is done. Returns how many
    /// partitions the topic must have at least.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be; or a reader needs the last values, and there are none.
    pub fn inspect(&self, latest: LatestNeed) -> Result<usize, LedgerError> {
        let listed = match self.find()? {
            Some(found) => self.decode(&found.text)?.partitions().len(),
            None => 0,
        };
        let values = match latest {
            LatestNeed::Ignored => None,
            LatestNeed::Written => self.read_latest(|_| Ok(0))?,
            LatestNeed::Read => Some(self.read_latest(|_| Ok(0))?.ok_or_else(|| self.no_latest())?),
        };
        Ok(listed.max(values.map_or(0, |values| values.partitions())))
    }

    /// Finds out whether the ledger can be written, before there is anything to lose.
    ///
    /// # Errors
    /// The folder does not take a file of the ledger's size plus a little, or of its name.
    pub fn probe(&self) -> Result<(), LedgerError> {
        if self.path.file_name().is_some_and(|name| name.len() > whole_file::NAME_MAX_BYTES) {
            return Err(LedgerError::NameTooLong { path: self.path.clone() });
        }
        whole_file::probe(&self.path).map_err(|source| self.unwritable(source))
    }

    /// Replaces the file, whole at every moment. Returns how many bytes it has.
    ///
    /// # Errors
    /// The system refused; the file is the one that was there before.
    pub fn save(&self, ledger: &Ledger) -> Result<usize, LedgerError> {
        self.put(NewText::write(&self.path, ledger), || Ok(()))
    }

    /// Puts the new text in its place, if what lies there is what this process has read, or put there. Returns its bytes. What
    /// comes `first` is put there when nothing but that is left to do.
    fn put(
        &self,
        new: io::Result<NewText>,
        first: impl FnOnce() -> Result<(), LedgerError>,
    ) -> Result<usize, LedgerError> {
        let mut known = self.known();
        if known.is_some_and(|known| !known.is_still(&self.path)) {
            return Err(LedgerError::Shared { path: self.path.clone() });
        }
        let new = new.map_err(|source| self.unwritable(source))?;
        let next = new.known();
        self.journal().announce(next.life()).map_err(|source| self.unwritable_journal(source))?;
        first()?;
        let bytes = new.put().map_err(|source| self.unwritable(source))?;
        *known = Some(next);
        whole_file::sync_folder(&self.path).map_err(|source| self.unwritable(source))?;
        Ok(bytes)
    }

    /// Makes entries safe in the journal that goes on from the ledger that was read, or saved, last; they are entered in it
    /// later. Nothing where there was none, or where the journal has ended.
    ///
    /// # Errors
    /// The system refused; the journal ends with what it had.
    pub fn append(&self, entries: &[Entry]) -> Result<(), LedgerError> {
        self.journal().append(entries).map_err(|source| self.unwritable_journal(source))
    }

    /// A ledger is going to be saved that has exactly what has been appended.
    pub fn mark_journal(&self) {
        self.journal().mark();
    }

    /// The ledger has been saved: begins a new journal, with what was appended since the mark.
    ///
    /// # Errors
    /// The system refused; the journal is the one that was there before, and as good.
    pub fn renew_journal(&self) -> Result<(), LedgerError> {
        let life = self.known().and_then(Known::life);
        self.journal().renew(life).map_err(|source| self.unwritable_journal(source))
    }

    /// The ledger has been saved, and needs no journal any more.
    pub fn end_journal(&self) {
        self.journal().end();
    }

    fn unwritable_journal(&self, source: io::Error) -> LedgerError {
        match self.unwritable(source) {
            LedgerError::Unwritable { source, .. } => {
                LedgerError::Unwritable { path: self.journal_path.clone(), source }
            }
            other => other,
        }
    }

    fn unwritable(&self, source: io::Error) -> LedgerError {
        if source.kind() == io::ErrorKind::WouldBlock {
            return LedgerError::Shared { path: self.path.clone() };
        }
        LedgerError::Unwritable { path: self.path.clone(), source }
    }
}

/// The bytes of a file; `None` when there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    unless_missing(path, fs::read(path))
}

/// What the system said of a file; `None` when there is none.
fn unless_missing<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, LedgerError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Nobody can have made one. Whoever would write it is refused; whoever reads goes on without.
        Err(error) if error.raw_os_error() == Some(Errno::ENAMETOOLONG as i32) => Ok(None),
        result => {
            result.map(Some).map_err(|source| LedgerError::Unreadable { path: path.to_owned(), source })
        }
    }
}

/// What is read while nobody replaces this file.
fn settled<T>(path: &Path, read: impl Fn() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    for _ in 1..TRIES {
        let before = Identity::of(path).ok();
        let found = read()?;
        if Identity::of(path).ok() == before {
            return Ok(found);
        }
    }
    // Others replace it all the time, and each time it is whole.
    read()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
