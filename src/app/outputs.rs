//! Files that a program writes when its work is done: whether it will be able to is found out before the work begins.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::ledger::files::whole_file;

/// A file that cannot be what a flag makes of it.
#[derive(Debug, Error)]
pub(crate) enum OutputError {
    /// One would take the place of the other.
    #[error("--{flag} {}: is the same file as {other}: give each a file of its own", path.display())]
    Same {
        /// Without dashes.
        flag: &'static str,
        /// As it was given.
        path: PathBuf,
        /// The other flag, or what the other file is.
        other: String,
    },
    /// The system refuses.
    #[error("--{flag} {}: it cannot be written: {source}", path.display())]
    Unwritable {
        /// Without dashes.
        flag: &'static str,
        /// As it was given.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl OutputError {
    /// The exit code that belongs to it.
    #[must_use]
    pub(crate) fn exit_code(&self) -> u8 {
        if matches!(self, Self::Same { .. }) { 2 } else { 3 }
    }
}

/// A flag without its dashes, and the file that it names, where it was given.
pub(crate) type Output<'a> = (&'static str, Option<&'a Path>);

/// Finds out whether all of these can be written, and leaves nothing behind. None of them may be another one, or one of the
/// files that are read.
pub(crate) fn check(outputs: &[Output<'_>], inputs: &[&Path]) -> Result<(), OutputError> {
    let given = || outputs.iter().filter_map(|(flag, path)| Some((*flag, (*path)?)));
    let mut known: Vec<(PathBuf, String)> =
        inputs.iter().map(|path| (place(path), format!("{}, which is to be read", path.display()))).collect();
    for (flag, path) in given() {
        let place = place(path);
        if let Some((_, other)) = known.iter().find(|(other, _)| *other == place) {
            return Err(OutputError::Same { flag, path: path.to_owned(), other: other.clone() });
        }
        known.push((place, format!("that of --{flag}")));
    }
    given()
        .try_for_each(|(flag, path)| whole_file::probe(path).map_err(|source| unwritable(flag, path, source)))
}

/// Says that a file could not be written.
pub(crate) fn unwritable(flag: &'static str, path: &Path, source: io::Error) -> OutputError {
    OutputError::Unwritable { flag, path: path.to_owned(), source }
}

/// Where a file is, or is to be, whatever it is called by.
fn place(path: &Path) -> PathBuf {
    let folder = || Some(fs::canonicalize(whole_file::folder(path)).ok()?.join(path.file_name()?));
    // One that is not there yet has no place but that of its folder. One that has neither cannot be written, which is said.
    fs::canonicalize(path).ok().or_else(folder).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn two_names_of_a_file_are_found_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        let (one, same, other) = (path("a.json"), path("sub/../a.json"), path("b.json"));
        let told = |outputs: &[Output<'_>], inputs: &[&Path]| {
            check(outputs, inputs).map_err(|error| (error.exit_code(), error.to_string()))
        };
        let both = [("output", Some(&*one)), ("hdr", None), ("html", Some(&*same))];
        let (code, words) = told(&both, &[]).unwrap_err();
        assert_eq!(code, 2);
        assert!(
            words.starts_with("--html ") && words.contains("is the same file as that of --output"),
            "{words}"
        );
        assert_eq!(told(&[("output", Some(&*one)), ("html", Some(&*other))], &[]), Ok(()));
        assert!(!one.exists() && !other.exists(), "nothing is made");
        // By a link to it, and as one of those that are read.
        fs::write(&one, "").unwrap();
        symlink(&one, &other).unwrap();
        assert_eq!(told(&[("output", Some(&*one)), ("html", Some(&*other))], &[]).unwrap_err().0, 2);
        let (code, words) = told(&[("output", Some(&*other))], &[&*one]).unwrap_err();
        assert!(code == 2 && words.contains("a.json, which is to be read"), "{words}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing is left");
    }

    #[test]
    fn what_cannot_be_written_is_said_by_its_flag() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("no/such/folder"), dir.path().to_owned()] {
            let error = check(&[("hdr", Some(&*path))], &[]).unwrap_err();
            assert_eq!(error.exit_code(), 3, "{error}");
            assert!(
                error.to_string().starts_with(&format!("--hdr {}: it cannot be", path.display())),
                "{error}"
            );
        }
    }
}
