//! Files that are whole at every moment, whatever happens to the process or the machine.

use std::{
    fs::{self, File, Metadata, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::Serialize;
use twox_hash::XxHash3_64;

/// Replaces a file: a temporary one beside it, fsync, rename, fsync of the folder.
///
/// # Errors
/// The system refused; the file is the one that was there before.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    Prepared::write(path, content)?.put()?;
    sync_folder(path)
}

/// Replaces a file by one JSON document, for people too: with line breaks, the last one included.
///
/// # Errors
/// The system refused, or the document cannot become JSON; the file is the one that was there before.
pub(crate) fn replace_with_json(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    replace(path, &text)
}

/// The new content of a file, safe on the disk beside it.
#[derive(Debug)]
pub(crate) struct Prepared {
    path: PathBuf,
    temporary: PathBuf,
    /// Locked for as long as it is here.
    file: File,
}

/// Which file lies under a name, and that nobody has written to it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: (i64, i64),
}

impl Identity {
    /// That of the file under this name.
    ///
    /// # Errors
    /// There is none, or the system does not tell.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&fs::metadata(path)?))
    }

    /// When it was written to last, in seconds and nanoseconds.
    #[must_use]
    pub(crate) fn modified(&self) -> (i64, i64) {
        self.modified_ns
    }

    /// Whether this is that file, whatever was written to it.
    fn is_of(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|metadata| (self.device, self.inode) == (metadata.dev(), metadata.ino()))
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Prepared {
    /// Writes it there.
    ///
    /// # Errors
    /// The system refused, and nothing is left.
    pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<Self> {
        Self::fill(path, |file| file.write_all(content))
    }

    /// Has it written there.
    ///
    /// # Errors
    /// The system refused, or `content` did, and nothing is left.
    pub(crate) fn fill(path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<Self> {
        let temporary = temporary(path);
        let file = lock_patiently(&temporary)?;
        // It is removed with this value, unless it is put in its place.
        let mut new = Self { path: path.to_owned(), temporary, file };
        new.file.set_len(0)?;
        content(&mut new.file)?;
        // Before the rename, or a crash of the machine could leave an empty file behind the name.
        new.file.sync_all()?;
        Ok(new)
    }

    /// By what the file is known again, there and in its place.
    ///
    /// # Errors
    /// The system does not tell.
    pub(crate) fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::from(&self.file.metadata()?))
    }

    /// Puts it in the file's place. That is only safe once the folder is: see [`sync_folder`].
    ///
    /// # Errors
    /// The system refused; the file is the one that was there before.
    pub(crate) fn put(mut self) -> io::Result<()> {
        self.rename()
    }

    /// Puts it in the file's place, and returns it for more to be written behind it.
    ///
    /// # Errors
    /// The system refused; the file is the one that was there before.
    pub(crate) fn put_open(mut self) -> io::Result<File> {
        let file = self.file.try_clone()?;
        self.rename()?;
        Ok(file)
    }

    fn rename(&mut self) -> io::Result<()> {
        let temporary = std::mem::take(&mut self.temporary);
        fs::rename(&temporary, &self.path).inspect_err(|_| self.temporary = temporary)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            // Nothing to be done about it where it cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes safe what was put into this file's folder.
///
/// # Errors
/// The system refused.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Finds out whether a file can be replaced, and leaves nothing behind.
///
/// # Errors
/// The folder does not take a file of a few KiB.
pub(crate) fn probe(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // It is removed again where it is not put in the file's place.
    Prepared::write(path, &[b' '; 4096]).map(drop)
}

/// Opens a temporary file, which is this process's alone from then on, until it is closed or put somewhere: a second one
/// that keeps the same file by mistake must not write into it. What a killed process left is taken over.
fn lock(temporary: &Path) -> io::Result<File> {
    loop {
        let open = || File::options().write(true).create(true).truncate(false).open(temporary);
        let file = match open() {
            // Another user's: in a folder of our own it can go.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                fs::remove_file(temporary).map_err(|_| error)?;
                open()?
            }
            file => file?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            // A file system without locks.
            Err(TryLockError::Error(_)) => return Ok(file),
            // Whoever had the lock may have put the file in its place since it was opened.
            Ok(()) if Identity::of(temporary).is_ok_and(|found| found.is_of(&file)) => return Ok(file),
            Ok(()) => {}
        }
    }
}

/// The same; another process that only looks whether it could write is soon done.
pub(super) fn lock_patiently(temporary: &Path) -> io::Result<File> {
    const TIMES: u32 = 50;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..TIMES {
        match lock(temporary) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            result => return result,
        }
    }
    lock(temporary)
}

/// The longest name that Linux' file systems take, in bytes.
pub(crate) const NAME_MAX_BYTES: usize = 255;

/// One fixed name: a process killed between write and rename leaves one file, not one each time.
#[must_use]
pub(crate) fn temporary(path: &Path) -> PathBuf {
    const ENDING: &str = ".tmp";
    let name = path.file_name().unwrap_or_default();
    if name.len() + ENDING.len() > NAME_MAX_BYTES {
        // What the name leaves no room for gets one of its own.
        let digest = XxHash3_64::oneshot(name.as_encoded_bytes());
        return path.with_file_name(format!("proofload-{digest:016x}{ENDING}"));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(ENDING);
    name.into()
}

/// The folder that a file is in.
#[must_use]
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_file_of_a_long_name_has_a_name_that_fits() {
        let long = |letter: &str| PathBuf::from(format!("d/{}.json", letter.repeat(NAME_MAX_BYTES - 5)));
        assert_eq!(temporary(Path::new("d/a.json")), Path::new("d/a.json.tmp"));
        let (one, other) = (temporary(&long("a")), temporary(&long("b")));
        assert!(one.file_name().is_some_and(|name| name.len() <= NAME_MAX_BYTES));
        assert_eq!(one.parent(), Some(Path::new("d")));
        assert_ne!(one, other, "two files must not share one");
    }
}
