//! Files that are whole at every moment, whatever happens to the process or the machine.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Replaces a file: a temporary one beside it, fsync, rename, fsync of the folder.
///
/// # Errors
/// The system refused; the file is the one that was there before.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    Prepared::write(path, content)?.put()?;
    sync_folder(path)
}

/// The new content of a file, safe on the disk beside it.
#[derive(Debug)]
pub struct Prepared {
    path: PathBuf,
    temporary: PathBuf,
}

impl Prepared {
    /// Writes it there.
    ///
    /// # Errors
    /// The system refused, and nothing is left.
    pub fn write(path: &Path, content: &[u8]) -> io::Result<Self> {
        // It is removed with this value, unless it is put in its place.
        let new = Self { path: path.to_owned(), temporary: temporary(path) };
        // Never into one that is there: another process may be writing to it.
        let _ = fs::remove_file(&new.temporary);
        let mut file = File::create_new(&new.temporary)?;
        file.write_all(content)?;
        // Before the rename, or a crash of the machine could leave an empty file behind the name.
        file.sync_all()?;
        Ok(new)
    }

    /// Puts it in the file's place. That is only safe once the folder is: see [`sync_folder`].
    ///
    /// # Errors
    /// The system refused; the file is the one that was there before.
    pub fn put(mut self) -> io::Result<()> {
        let temporary = std::mem::take(&mut self.temporary);
        fs::rename(&temporary, &self.path).inspect_err(|_| self.temporary = temporary)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            // It may never have been made.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes safe what was put into this file's folder.
///
/// # Errors
/// The system refused.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Finds out whether a file can be replaced, and leaves nothing behind.
///
/// # Errors
/// The folder does not take a file of a few KiB.
pub fn probe(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let temporary = temporary(path);
    let result = File::create(&temporary).and_then(|mut file| {
        file.write_all(&[b' '; 4096])?;
        file.sync_all()
    });
    // Nothing to report when it cannot be removed: it could not be made either.
    let _ = fs::remove_file(&temporary);
    result
}

/// One fixed name: a process killed between write and rename leaves one file, not one each time.
#[must_use]
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// The folder that a file is in.
#[must_use]
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
