//! The file of the ledger's journal, as its one writer keeps it.
//!
//! Whenever this process is killed, the ledger and its journal together have all that was appended: a new text of the
//! ledger is announced in the journal before it is put in its place, and only behind that begins a new journal, with what
//! came since the text was begun. What the text has must all be in the journal by then, as entries can only be entered a
//! second time if none is left out.
//!
//! What a killed process left is written whole before another one appends anything: each journal begins empty.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    journal,
    whole_file::{self, Prepared},
};
use crate::{ledger::Entry, mutants::enforced};

/// The journal of one topic's ledger.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    topic: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// There is no text of the ledger that it could go on from, or it is not needed.
    Off,
    /// It lacks what could not be appended, and must not be said to go on from a text that has it.
    Broken,
    /// It goes on from the text of this life as soon as there is something to append.
    Ready(u64),
    Open(Open),
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Those that are safe on the disk. Behind them may be half of a line that could not be written.
    bytes: u64,
    /// The entries' lines since the mark.
    since: Vec<u8>,
}

impl JournalFile {
    pub(crate) fn new(path: PathBuf, topic: &str) -> Self {
        Self { path, topic: topic.to_owned(), state: State::Off }
    }

    /// The ledger was read, and its text has this life.
    pub(crate) fn ready(&mut self, life: Option<u64>) {
        if matches!(self.state, State::Off | State::Ready(_)) {
            self.state = life.map_or(State::Off, State::Ready);
        }
    }

    /// Makes these safe on the disk; nothing where there is no ledger yet.
    ///
    /// # Errors
    /// The system refused. The journal ends there, and is whole up to there.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let new = journal::entries(entries);
        let result = match &mut self.state {
            State::Off | State::Broken => return Ok(()),
            State::Ready(life) => {
                let head = journal::header(&self.topic, *life);
                begin(&self.path, &[&head, &new])
                    .map(|(file, bytes)| self.state = State::Open(Open { file, bytes, since: new }))
            }
            State::Open(open) => open.append(&new).map(|()| open.since.extend(new)),
        };
        result.inspect_err(|_| self.state = State::Broken)
    }

    /// A new text of the ledger is begun, with everything that has been appended.
    pub(crate) fn mark(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.since.clear();
        }
    }

    /// The text of this life is about to be put in the ledger's place.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn announce(&mut self, life: Option<u64>) -> io::Result<()> {
        match (&mut self.state, life) {
            (State::Open(open), Some(life)) => open.append(&journal::follows(life)),
            _ => Ok(()),
        }
    }

    /// Last values are about to be put in their place, and the ledger right behind them. What lacks some of them would take
    /// them back if this process were killed in between. The ledger alone then lacks no more than for other implementations.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn stand_back(&self) -> io::Result<()> {
        if !matches!(self.state, State::Broken) || !enforced("broken-journal-stands-back") {
            return Ok(());
        }
        remove(&self.path)
    }

    /// The text of this life is in the ledger's place: what came since the mark goes on from it.
    ///
    /// # Errors
    /// The system refused; the journal is the one that was there before, which goes on from that text as well.
    pub(crate) fn renew(&mut self, life: Option<u64>) -> io::Result<()> {
        match (&mut self.state, life) {
            (State::Open(open), Some(life)) => {
                let head = journal::header(&self.topic, life);
                (open.file, open.bytes) = begin(&self.path, &[&head, &open.since])?;
            }
            (State::Off | State::Ready(_), Some(life)) => self.state = State::Ready(life),
            (_, None) | (State::Broken, _) => {}
        }
        Ok(())
    }

    /// The ledger has everything, or is soon written again.
    pub(crate) fn end(&mut self) {
        if !matches!(self.state, State::Broken) {
            self.state = State::Off;
        }
        // Where it cannot be removed it says nothing: it does not go on from what the ledger is now.
        let _ = remove(&self.path);
    }
}

impl Open {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        // Over what is left of a line that could not be written.
        self.file.write_all_at(line, self.bytes)?;
        self.file.sync_data()?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// Replaces the file by a new one, to go on with. Returns its bytes, too.
fn begin(path: &Path, parts: &[&[u8]]) -> io::Result<(File, u64)> {
    // One after the other: there may be too much to copy it together.
    let file =
        Prepared::fill(path, |file| parts.iter().try_for_each(|part| file.write_all(part)))?.put_open()?;
    whole_file::sync_folder(path)?;
    Ok((file, parts.iter().map(|part| part.len() as u64).sum()))
}

/// Removes the file, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "journal_file_tests.rs"]
mod tests;
