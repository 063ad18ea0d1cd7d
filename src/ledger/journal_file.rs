//! The file of the ledger's journal, as its one writer keeps it.
//!
//! Whenever this process is killed, the ledger and its journal together have all that was appended: a new text of the
//! ledger is announced in the journal before it is put in its place, and only behind that begins a new journal, with what
//! came since the text was begun. What the text has must all be in the journal by then, as entries can only be entered a
//! second time if none is left out.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{Entry, journal};
use crate::whole_file::{self, Prepared};

/// The journal of one topic's ledger.
#[derive(Debug)]
pub(super) struct JournalFile {
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
    /// It goes on from the text with this digest as soon as there is something to append. Until then what lies there is
    /// of an earlier run.
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
    pub(super) fn new(path: PathBuf, topic: &str) -> Self {
        Self { path, topic: topic.to_owned(), state: State::Off }
    }

    /// The ledger was read, and its text has this digest.
    pub(super) fn ready(&mut self, digest: u64) {
        if matches!(self.state, State::Off | State::Ready(_)) {
            self.state = State::Ready(digest);
        }
    }

    /// Makes these safe on the disk; nothing where there is no ledger yet.
    ///
    /// # Errors
    /// The system refused. The journal ends there, and is whole up to there.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let line = journal::entries(entries);
        let result = match &mut self.state {
            State::Off | State::Broken => return Ok(()),
            State::Ready(digest) => {
                let lines = left_behind(&self.path, &self.topic, *digest);
                let head = journal::header(&self.topic, *digest);
                lines.and_then(|lines| begin(&self.path, &[&head, &lines, &line], line.clone())).map(|open| {
                    self.state = State::Open(open);
                })
            }
            State::Open(open) => open.append(&line).map(|()| open.since.extend(line)),
        };
        result.inspect_err(|_| self.state = State::Broken)
    }

    /// A new text of the ledger is begun, with everything that has been appended.
    pub(super) fn mark(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.since.clear();
        }
    }

    /// The text with this digest is about to be put in the ledger's place.
    ///
    /// # Errors
    /// The system refused.
    pub(super) fn announce(&mut self, digest: u64) -> io::Result<()> {
        match &mut self.state {
            State::Open(open) => open.append(&journal::follows(digest)),
            State::Off | State::Broken | State::Ready(_) => Ok(()),
        }
    }

    /// The text with this digest is in the ledger's place: what came since the mark goes on from it.
    ///
    /// # Errors
    /// The system refused; the journal is the one that was there before, which goes on from that text as well.
    pub(super) fn renew(&mut self, digest: u64) -> io::Result<()> {
        match &mut self.state {
            State::Open(open) => {
                let head = journal::header(&self.topic, digest);
                *open = begin(&self.path, &[&head, &open.since], open.since.clone())?;
            }
            State::Off | State::Ready(_) => self.state = State::Ready(digest),
            State::Broken => {}
        }
        Ok(())
    }

    /// The ledger has everything, or is soon written again.
    pub(super) fn end(&mut self) {
        if !matches!(self.state, State::Broken) {
            self.state = State::Off;
        }
        // Where it cannot be removed it says nothing: it does not go on from what the ledger is now.
        let _ = fs::remove_file(&self.path);
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

/// Replaces the file by a new one, to go on with.
fn begin(path: &Path, content: &[&[u8]], since: Vec<u8>) -> io::Result<Open> {
    let content = content.concat();
    let file = Prepared::write(path, &content)?.put_open()?;
    whole_file::sync_folder(path)?;
    Ok(Open { file, bytes: content.len() as u64, since })
}

/// What a run that was killed left of a journal that goes on from this text of the ledger.
fn left_behind(path: &Path, topic: &str, digest: u64) -> io::Result<Vec<u8>> {
    let Some(text) = read(path)? else { return Ok(Vec::new()) };
    Ok(journal::decode(&text, topic, digest).map_or_else(Vec::new, |journal| journal.lines.to_vec()))
}

/// The text of a journal; `None` when there is none.
///
/// # Errors
/// The system does not let it be read.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "journal_file_tests.rs"]
mod tests;
