//! What a producer of a slice holds while it is at work, so that nobody else produces to its partitions.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::whole_file;

/// A file that is locked for as long as this is there, or the process. It is removed with it; one that a killed process
/// left is nobody's.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    /// Locked.
    _file: File,
}

impl Claim {
    /// Takes it. Waits a second for one that another process is just letting go.
    ///
    /// # Errors
    /// Another process has it ([`io::ErrorKind::WouldBlock`]), or the system refused.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let file = whole_file::lock_patiently(path)?;
        Ok(Self { path: path.to_owned(), _file: file })
    }

    /// Whether a process holds the one of this path.
    pub(super) fn is_held(path: &Path) -> bool {
        let Ok(file) = File::options().write(true).open(path) else { return false };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is locked: whoever opens it meanwhile sees that it is gone, and makes a new one.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.lock");
        assert!(!Claim::is_held(&path), "there is none");
        let claim = Claim::take(&path).unwrap();
        assert!(Claim::is_held(&path));
        assert_eq!(Claim::take(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(claim);
        assert!(!path.exists());
        // As a killed process leaves it.
        fs::write(&path, "").unwrap();
        assert!(!Claim::is_held(&path));
        assert!(Claim::take(&path).is_ok());
    }
}
