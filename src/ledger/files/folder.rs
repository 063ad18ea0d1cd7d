//! A folder with the ledger of a topic: one of all its partitions, or one of each slice.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    claim::Claim,
    ledgers::Loaded,
    names,
    store::{LatestNeed, LedgerStore},
};
use crate::{
    ledger::{LatestValues, Ledger, LedgerError, SliceError},
    partitions::Slice,
};

/// Where the ledger of a topic is, for whoever reads it. It is looked at anew each time: slices that are at work may have
/// written theirs meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct LedgerFolder {
    dir: PathBuf,
    topic: String,
    /// The ledger of all partitions, whether there is one or not.
    whole: LedgerStore,
}

/// What lies in a folder.
struct Seen {
    /// Slices of the topic that have a ledger, in their order.
    slices: Vec<Slice>,
    /// Slices of the topic of which there is a claim, held or left by a killed process.
    claims: Vec<Slice>,
    /// The ledger of another topic's slice, and that topic.
    stranger: Option<(PathBuf, String)>,
}

impl LedgerFolder {
    /// The ledger of `topic` in the folder `dir`.
    #[must_use]
    pub(crate) fn new(dir: &Path, topic: &str) -> Self {
        Self { dir: dir.to_owned(), topic: topic.to_owned(), whole: LedgerStore::new(dir, topic) }
    }

    /// Whether there is any.
    #[must_use]
    pub(crate) fn has_any(&self) -> bool {
        self.whole.path().exists() || !self.look().slices.is_empty()
    }

    /// Reads what the ledgers there say together of a topic with so many partitions.
    ///
    /// # Errors
    /// A file cannot be read, is no ledger, or lists more partitions than there are; or the files make no whole.
    pub(crate) fn load(&self, partitions: usize) -> Result<Loaded, LedgerError> {
        let slices = self.slices()?;
        let Some(first) = slices.first() else {
            return Ok(Loaded { ledger: self.whole.load(partitions)?, slices: 0, missing: Vec::new() });
        };
        let mut parts = Vec::with_capacity(slices.len());
        for slice in &slices {
            parts.push((*slice, self.store(*slice).load(partitions)?));
        }
        let is_there = |slice: &Slice| slices.binary_search(slice).is_ok();
        let missing = first.siblings().take(partitions).filter(|slice| !is_there(slice)).collect();
        Ok(Loaded { ledger: Ledger::union(parts, partitions), slices: first.of(), missing })
    }

    /// Reads the last values of each key. Of a slice that has a ledger they must be there.
    ///
    /// # Errors
    /// A file is missing, cannot be read, is no map of keys, or lists more partitions than there are.
    pub(crate) fn require_latest(&self, partitions: usize) -> Result<LatestValues, LedgerError> {
        let slices = self.slices()?;
        if slices.is_empty() {
            return self.whole.require_latest(partitions);
        }
        let read = |slice: Slice| Ok((slice, self.store(slice).require_latest(partitions)?));
        let parts: Result<_, LedgerError> = slices.into_iter().map(read).collect();
        Ok(LatestValues::union(parts?, partitions))
    }

    /// Reads what there is, and throws it away. Returns how many partitions the topic must have at least.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be; or the files make no whole.
    pub(crate) fn inspect(&self, latest: LatestNeed) -> Result<usize, LedgerError> {
        let slices = self.slices()?;
        if slices.is_empty() {
            return self.whole.inspect(latest);
        }
        slices.into_iter().try_fold(0, |most, slice| Ok(self.store(slice).inspect(latest)?.max(most)))
    }

    /// A producer is about to begin, of this slice or of all partitions: nobody else may produce to them, nor may anybody
    /// have done so whose ledger would have partitions in common with its own. Returns what it holds meanwhile.
    ///
    /// # Errors
    /// Somebody does, or has done so; or the folder takes no file.
    pub(crate) fn claim(&self, slice: Option<Slice>) -> Result<Option<Claim>, LedgerError> {
        let Some(slice) = slice else {
            let seen = self.look();
            let held = seen.claims.into_iter().find(|slice| Claim::is_held(&self.claim_path(*slice)));
            return match seen.slices.first().copied().or(held) {
                Some(slice) => Err(self.with_whole(slice).into()),
                None => Ok(None),
            };
        };
        self.make_way(slice)?;
        let (ledger, path) = (self.ledger_path(slice), self.claim_path(slice));
        let claim = Claim::take(&path).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => SliceError::Claimed { ledger, claim: path }.into(),
            _ => LedgerError::Unwritable { path: ledger, source },
        })?;
        // Another one may have begun at the same moment: one of the two sees the other's claim.
        self.make_way(slice)?;
        Ok(Some(claim))
    }

    /// Nothing there may stand in the way of a producer of this slice.
    fn make_way(&self, slice: Slice) -> Result<(), SliceError> {
        let seen = self.look();
        self.check_beside(slice, &seen)?;
        let is_in_the_way =
            |other: &Slice| other.of() != slice.of() && Claim::is_held(&self.claim_path(*other));
        let other = seen.claims.into_iter().find(is_in_the_way);
        other.map_or(Ok(()), |other| Err(self.disagree(slice, other)))
    }

    /// The slices that have a ledger; empty where the folder has none of slices.
    fn slices(&self) -> Result<Vec<Slice>, SliceError> {
        let seen = self.look();
        if let Some(first) = seen.slices.first() {
            self.check_beside(*first, &seen)?;
        }
        Ok(seen.slices)
    }

    /// Ledgers that lie there must make a whole with that of this slice.
    fn check_beside(&self, slice: Slice, seen: &Seen) -> Result<(), SliceError> {
        if self.whole.path().exists() {
            return Err(self.with_whole(slice));
        }
        if let Some((path, topic)) = &seen.stranger {
            return Err(self.mixed(slice, path.clone(), topic.clone()));
        }
        let other = seen.slices.iter().find(|other| other.of() != slice.of());
        other.map_or(Ok(()), |other| Err(self.disagree(slice, *other)))
    }

    /// What lies there. A folder that cannot be listed has no slices, as far as anybody can tell: whoever opens the ledger
    /// hears what is wrong.
    fn look(&self) -> Seen {
        let whole = names::ledger(&self.topic, None);
        let mut seen = Seen { slices: Vec::new(), claims: Vec::new(), stranger: None };
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some((_, slice)) = names::of_claim(&name).filter(|(topic, _)| *topic == self.topic) {
                seen.claims.push(slice);
            }
            // A topic may be called like a slice of another one.
            match names::of_slice(&name).filter(|_| name != whole) {
                Some((topic, slice)) if topic == self.topic => seen.slices.push(slice),
                Some((topic, _)) => seen.stranger = Some((entry.path(), topic.to_owned())),
                None => {}
            }
        }
        seen.slices.sort_unstable();
        seen
    }

    fn store(&self, slice: Slice) -> LedgerStore {
        LedgerStore::of(&self.dir, &self.topic, Some(slice))
    }

    fn ledger_path(&self, slice: Slice) -> PathBuf {
        self.dir.join(names::ledger(&self.topic, Some(slice)))
    }

    fn claim_path(&self, slice: Slice) -> PathBuf {
        self.dir.join(names::claim(&self.topic, slice))
    }

    fn with_whole(&self, slice: Slice) -> SliceError {
        SliceError::WithWhole { whole: self.whole.path().to_owned(), slice: self.ledger_path(slice) }
    }

    fn disagree(&self, slice: Slice, other: Slice) -> SliceError {
        SliceError::disagree((&self.ledger_path(slice), slice), (&self.ledger_path(other), other))
    }

    fn mixed(&self, slice: Slice, other: PathBuf, other_topic: String) -> SliceError {
        SliceError::MixedTopics {
            first: self.ledger_path(slice),
            first_topic: self.topic.clone(),
            other,
            other_topic,
        }
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
