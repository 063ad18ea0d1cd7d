//! `--profile`: where the CPU time goes, in the format that `go tool pprof` and speedscope open.
//!
//! A timer counts the CPU time of the whole process, and interrupts whichever thread uses it
//! when it runs out. What that thread is doing then is a sample. Threads that sleep are not disturbed.

use std::{
    ffi::c_int,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Report, protos::Message};
use tempfile::TempDir;
use thiserror::Error;

/// Samples for each second of CPU time. Odd, so as not to march in step with timers.
const SAMPLES_PER_CPU_S: c_int = 99;

/// Code that cannot be walked through from a signal: the walker itself, and what the kernel maps in.
const NOT_WALKED: [&str; 2] = ["libgcc_s", "linux-vdso"];

/// Why there is no profile.
#[derive(Debug, Error)]
pub(crate) enum ProfileError {
    /// The file.
    #[error("--profile {}: cannot be written: {source}", path.display())]
    File {
        /// Where it should be.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The sampling.
    #[error("--profile {}: cannot take samples: {reason}; a folder for temporary files is needed too (TMPDIR)", path.display())]
    Sampler {
        /// What it would have been written to.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
}

/// A file that a profile can be written to.
#[derive(Debug)]
pub(crate) struct ProfileFile {
    path: PathBuf,
    file: File,
}

/// Samples being taken.
pub(crate) struct Profiling {
    file: ProfileFile,
    guard: ProfilerGuard<'static>,
    /// Samples that do not fit into memory; the sampler itself would leave its file behind.
    overflow: TempDir,
}

impl ProfileFile {
    /// Makes the file, or empties it: whoever cannot write it should know before the work, not after.
    pub(crate) fn create(path: &Path) -> Result<Self, ProfileError> {
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(ProfileError::File { path, source }),
        }
    }

    /// Takes samples from now on, of all threads.
    pub(crate) fn start(self) -> Result<Profiling, ProfileError> {
        let refused = |reason: String| ProfileError::Sampler { path: self.path.clone(), reason };
        let overflow = tempfile::tempdir().map_err(|error| refused(error.to_string()))?;
        tempfile::env::override_temp_dir(overflow.path())
            .map_err(|_| refused("a process can be profiled only once".to_owned()))?;
        let builder = ProfilerGuardBuilder::default().frequency(SAMPLES_PER_CPU_S).blocklist(&NOT_WALKED);
        let guard = builder.build().map_err(|error| refused(error.to_string()))?;
        Ok(Profiling { file: self, guard, overflow })
    }
}

impl Profiling {
    /// Takes no more samples, and writes those that were taken.
    pub(crate) fn finish(self) -> Result<(), ProfileError> {
        let Self { file: ProfileFile { path, file }, guard, overflow } = self;
        let report = guard.report().frames_post_processor(say_where).build();
        drop(guard);
        // What is left there is of no use, and the system's to clear away.
        let _ = overflow.close();
        let written = report.map_err(io::Error::other).and_then(|report| write(&report, file));
        written.map_err(|source| ProfileError::File { path, source })
    }
}

/// Line tables know a function by the last part of its name only. The file says whose `new` it is.
fn say_where(frames: &mut Frames) {
    for symbol in frames.frames.iter_mut().flatten() {
        let (name, file) = (symbol.name(), symbol.filename.as_deref().and_then(module));
        if let (Some(name), Some(file)) = (last_part(&name), file) {
            symbol.name = Some(format!("{file}: {name}").into_bytes());
        }
    }
}

/// The name of a function without what it is generic over, if that is all there is.
fn last_part(name: &str) -> Option<&str> {
    let own = name.split('<').next()?;
    (!own.is_empty() && !own.contains("::")).then_some(own)
}

/// `crate-1.2.3/src/part` of a Rust file, wherever the crate was built.
fn module(file: &Path) -> Option<&str> {
    let path = file.to_str()?.strip_suffix(".rs")?;
    let source = path.rfind("/src/")?;
    let start = path[..source].rfind('/').map_or(0, |slash| slash + 1);
    Some(&path[start..])
}

fn write(report: &Report, file: File) -> io::Result<()> {
    let profile = report.pprof().map_err(io::Error::other)?;
    let mut gzip = GzEncoder::new(file, Compression::default());
    gzip.write_all(&profile.encode_to_vec())?;
    gzip.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_say_where_they_are() {
        let known = |path| module(Path::new(path));
        assert_eq!(known("/a/src/b/glommio-0.9.0/src/sys/uring.rs"), Some("glommio-0.9.0/src/sys/uring"));
        assert_eq!(known("/rustc/0123/library/core/src/ptr/mod.rs"), Some("core/src/ptr/mod"));
        assert_eq!(known("rdkafka/src/rdkafka.c"), None);
        assert_eq!(known("lib.rs"), None);
        assert_eq!(last_part("new"), Some("new"));
        assert_eq!(last_part("set<a::B, c::D<e::F>>"), Some("set"));
        assert_eq!(last_part("a::new<b::C>"), None);
        assert_eq!(last_part("<a::B as c::D>::new"), None);
    }

    #[test]
    fn files_that_cannot_be_written_are_named() {
        let error = ProfileFile::create(Path::new("/nonexistent/p")).unwrap_err().to_string();
        assert!(error.starts_with("--profile /nonexistent/p: cannot be written: "), "{error}");
        let folder = tempfile::tempdir().unwrap();
        assert!(ProfileFile::create(folder.path()).is_err());
    }
}
