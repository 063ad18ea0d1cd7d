//! The text of the ledger's file: how it gets there, and whether it is still the one that this process knows.

use std::{
    fs,
    hash::Hasher,
    io::{self, BufWriter, Write},
    path::Path,
};

use twox_hash::XxHash3_64;

use super::{
    format, journal,
    whole_file::{Identity, Prepared},
};
use crate::{ledger::Ledger, mutants::enforced};

/// What is written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that is being written, and what has gone into it.
struct Digesting<W> {
    file: W,
    bytes: usize,
    digest: XxHash3_64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let bytes = self.file.write(text)?;
        self.bytes += bytes;
        self.digest.write(&text[..bytes]);
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A new text of the ledger, safe on the disk beside the old one.
pub(crate) struct NewText {
    prepared: Prepared,
    known: Known,
    bytes: usize,
}

impl NewText {
    /// Writes it there.
    ///
    /// # Errors
    /// The system refused, and nothing is left.
    pub(crate) fn write(path: &Path, ledger: &Ledger) -> io::Result<Self> {
        let (mut bytes, mut digest) = (0, 0);
        let prepared = Prepared::fill(path, |file| {
            // Straight from the ranges: there can be millions of them.
            let digesting = Digesting { file, bytes: 0, digest: XxHash3_64::new() };
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, digesting);
            format::encode(ledger, &mut out)?;
            let done = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            (bytes, digest) = (done.bytes, done.digest.finish());
            Ok(())
        })?;
        let known = Known::Text { identity: prepared.identity()?, digest };
        Ok(Self { prepared, known, bytes })
    }

    /// What the file holds once this is put in its place.
    pub(crate) fn known(&self) -> Known {
        self.known
    }

    /// Puts it in the file's place. Returns its bytes.
    ///
    /// # Errors
    /// The system refused; the file is the one that was there before.
    pub(crate) fn put(self) -> io::Result<usize> {
        self.prepared.put()?;
        Ok(self.bytes)
    }
}

/// What the file holds as far as this process knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    /// There is none.
    Missing,
    /// A text with this digest, in the file of this identity: unless that has changed, nobody need read the text.
    Text { identity: Identity, digest: u64 },
}

impl Known {
    /// By what a journal knows the text, if there is one: what it says, and when that was written. A short text comes again
    /// in a topic that was made anew, and the journal of its former life must not make up acks there. A copy of the folder
    /// that does not keep the times of its files loses the journal, and nothing worse.
    pub(crate) fn life(self) -> Option<u64> {
        let Self::Text { identity, digest } = self else { return None };
        let (s, ns) = if enforced("journal-of-former-life") { identity.modified() } else { (0, 0) };
        Some(journal::digest(format!("{digest} {s} {ns}").as_bytes()))
    }

    /// Whether that is still so.
    pub(crate) fn is_still(self, path: &Path) -> bool {
        let Self::Text { identity, digest } = self else { return !path.exists() };
        // A file that is gone is nobody's, and one that cannot be read cannot be compared.
        let Ok(found) = Identity::of(path) else { return true };
        found == identity || !fs::read(path).is_ok_and(|text| journal::digest(&text) != digest)
    }
}
