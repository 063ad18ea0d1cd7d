//! The verifier as an external command of Apache Kafka's Trogdor: the task comes on standard input, and all that is said
//! goes to standard output, a JSON object a line. See `org.apache.kafka.trogdor.workload.ExternalCommandWorker`.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use serde_json::json;
use thiserror::Error;

use crate::cli::{self, CliExit, TaskError};

/// An agent writes the task at once.
const TASK_LIMIT: Duration = Duration::from_mins(1);
const LONGEST_TASK_BYTES: usize = 1 << 20;

/// Why there is no task.
#[derive(Debug, Error)]
enum NoTask {
    #[error("no task came on standard input within {} s", TASK_LIMIT.as_secs())]
    Late,
    #[error("standard input ended before a line with a task")]
    Ended,
    #[error("the task on standard input is longer than {LONGEST_TASK_BYTES} bytes")]
    TooLong,
    #[error("the task cannot be read from standard input: {0}")]
    Unreadable(io::Error),
    #[error(transparent)]
    Wrong(#[from] TaskError),
}

/// The words of a command line that takes a task, and behind them those of the task.
///
/// # Errors
/// There is none: to be printed as it is.
pub(crate) fn with_task(mut words: Vec<OsString>) -> Result<Vec<OsString>, CliExit> {
    // Not through a buffer, into which more may go than is asked for: then nothing would be seen to be there.
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(NoTask::Unreadable);
    let line = input.and_then(|input| first_line(input, TASK_LIMIT));
    let flags = line.and_then(|line| Ok(cli::task_flags(&line)?));
    words.extend(flags.map_err(|error| refused(&format!("proofload: --trogdor: {error}")))?);
    Ok(words)
}

/// An error of the command line, as an agent reads it.
pub(crate) fn told_to_agent(exit: CliExit) -> CliExit {
    match &exit.stderr {
        Some(error) => CliExit { code: exit.code, ..refused(error.trim_end()) },
        None => exit,
    }
}

fn refused(error: &str) -> CliExit {
    CliExit {
        code: cli::EXIT_USAGE,
        stdout: Some(format!("{}\n", json!({ "error": error }))),
        stderr: Some(format!("{error}\n")),
    }
}

/// Reads up to the end of the first line; what may have come behind it is lost.
fn first_line(mut input: impl Read + AsFd, limit: Duration) -> Result<String, NoTask> {
    let until = Instant::now() + limit;
    let (mut line, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut waited = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut waited, timeout) {
            Ok(0) => return Err(NoTask::Late),
            Ok(_) => {}
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(NoTask::Unreadable(error.into())),
        }
        let read = input.read(&mut piece).map_err(NoTask::Unreadable)?;
        let piece = &piece[..read];
        let end = piece.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&piece[..end.unwrap_or(read)]);
        if end.is_some() {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        if read == 0 {
            return Err(NoTask::Ended);
        }
        if line.len() > LONGEST_TASK_BYTES {
            return Err(NoTask::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Write};

    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let (reader, mut writer) = io::pipe().unwrap();
        let bytes = bytes.to_owned();
        let writing = std::thread::spawn(move || _ = writer.write_all(&bytes));
        let line = first_line(reader, Duration::from_secs(30)).map_err(|error| error.to_string());
        writing.join().unwrap();
        line
    }

    #[test]
    fn a_task_is_the_first_line() {
        assert_eq!(read(b"{\"a\": 1}\nmore"), Ok("{\"a\": 1}".to_owned()));
        assert_eq!(read(&[&[b' '; 9_000][..], b"x\n"].concat()).map(|line| line.len()), Ok(9_001));
    }

    #[test]
    fn what_has_no_end_is_no_task() {
        assert_eq!(read(b"{}"), Err("standard input ended before a line with a task".to_owned()));
        assert_eq!(
            read(&vec![b' '; LONGEST_TASK_BYTES + 9_000]),
            Err("the task on standard input is longer than 1048576 bytes".to_owned())
        );
        let (reader, _writer): (PipeReader, _) = io::pipe().unwrap();
        let late = first_line(reader, Duration::from_millis(20)).unwrap_err().to_string();
        assert_eq!(late, "no task came on standard input within 60 s");
    }

    #[test]
    fn an_agent_is_told_of_errors_and_not_of_answers() {
        let error = CliExit { code: 2, stdout: None, stderr: Some("proofload: --x: \"no\"\n".to_owned()) };
        let told = told_to_agent(error);
        assert_eq!(told.stdout.as_deref(), Some("{\"error\":\"proofload: --x: \\\"no\\\"\"}\n"));
        assert_eq!((told.code, told.stderr.as_deref()), (2, Some("proofload: --x: \"no\"\n")));
        let help = CliExit { code: 0, stdout: Some("Usage".to_owned()), stderr: None };
        assert_eq!(told_to_agent(help.clone()), help);
    }
}
