//! `--hdr`: the latencies of each second as an interval log of HdrHistogram, version 1.3, which its tools read.
//!
//! Lines are kept in a file without a name until the run is over, so that memory stays flat however long that takes, and nothing is
//! left of a run that is killed.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, Tag},
};

use crate::{
    ledger::files::whole_file,
    stats::{BenchTimes, LatencyHistogram},
};

/// What stands above. `Interval_Max` is what the histogram holds, divided by the ratio.
const HEAD: [&str; 4] = [
    "[Histogram log format version 1.3]",
    "[Values are latencies in microseconds, from the time at which a record was due; Interval_Max too: maxValueUnitRatio 1.0]",
    "[Tags: publish (to its ack), delay (to its sending), end-to-end (to a reader's verdict)]",
    "[StartTimestamp and Interval_Length in seconds: StartTimestamp,Interval_Length,Interval_Max,Interval_Compressed_Histogram]",
];

/// A log that grows.
pub(super) struct IntervalLog {
    path: PathBuf,
    lines: File,
    serializer: V2DeflateSerializer,
    /// When its first interval began, by the world's clock and by the run's, s; and when the last one ended.
    began: SystemTime,
    begin_s: f64,
    end_s: f64,
    /// What went wrong first.
    failed: Option<io::Error>,
}

impl IntervalLog {
    /// One that is to become this file.
    ///
    /// # Errors
    /// The folder takes no file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            lines: tempfile::tempfile_in(whole_file::folder(path))?,
            serializer: V2DeflateSerializer::new(),
            began: SystemTime::now(),
            begin_s: 0.0,
            end_s: 0.0,
            failed: None,
        })
    }

    /// What is measured begins now, which is this on the run's clock. What was noted before is forgotten.
    pub(super) fn begin(&mut self, begin_s: f64, now_s: f64) {
        let late = Duration::from_secs_f64((now_s - begin_s).max(0.0));
        (self.began, self.begin_s, self.end_s) = (SystemTime::now() - late, begin_s, begin_s);
        let emptied = self.lines.set_len(0).and_then(|()| self.lines.rewind());
        self.note(emptied);
    }

    /// Notes what was measured from the last time on until this one.
    pub(super) fn add(&mut self, until_s: f64, times: &BenchTimes, has_readers: bool) {
        let from_s = std::mem::replace(&mut self.end_s, until_s);
        let histograms = [
            ("publish", Some(&times.own.publish)),
            ("delay", Some(&times.own.delay)),
            ("end-to-end", has_readers.then_some(&times.end_to_end)),
        ];
        let written = histograms.into_iter().try_for_each(|(tag, histogram)| {
            histogram.map_or(Ok(()), |histogram| self.write(tag, histogram, from_s, until_s))
        });
        self.note(written);
    }

    fn write(
        &mut self,
        tag: &str,
        histogram: &LatencyHistogram,
        from_s: f64,
        until_s: f64,
    ) -> io::Result<()> {
        let since =
            |later: f64, earlier: f64| Duration::try_from_secs_f64(later - earlier).unwrap_or_default();
        let mut log =
            IntervalLogWriterBuilder::new().begin_log_with(&mut self.lines, &mut self.serializer)?;
        let (start, took) = (since(from_s, self.begin_s), since(until_s, from_s));
        log.write_histogram(histogram.as_hdr(), start, took, Tag::new(tag)).map_err(io::Error::other)
    }

    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.failed.get_or_insert(error);
        }
    }

    /// Puts the log into its file's place.
    ///
    /// # Errors
    /// The first thing that went wrong on the way; the file is the one that was there before.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.lines.rewind()?;
        whole_file::Prepared::fill(&self.path, |file| {
            let mut file = BufWriter::new(file);
            let mut head = IntervalLogWriterBuilder::new();
            for line in HEAD {
                head.add_comment(line);
            }
            // Both, and the same: by itself either is read in two ways.
            head.with_start_time(self.began).with_base_time(self.began);
            head.begin_log_with(&mut file, &mut self.serializer)?;
            io::copy(&mut self.lines, &mut file)?;
            file.flush()
        })?
        .put()?;
        whole_file::sync_folder(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use hdrhistogram::{
        Histogram,
        serialization::{
            Deserializer,
            interval_log::{IntervalLogIterator, LogEntry},
        },
    };

    use super::*;

    fn times(latencies_us: &[u64]) -> BenchTimes {
        let mut times = BenchTimes::default();
        for latency_us in latencies_us {
            times.own.record(*latency_us, latency_us / 2, latency_us / 2);
            times.end_to_end.record(latency_us * 2);
        }
        times
    }

    /// Tag, start and length, s, and what the histogram counts and holds at most, of each line.
    fn read(text: &str) -> Vec<(String, f64, f64, u64, u64)> {
        let entries = IntervalLogIterator::new(text.as_bytes()).map(|entry| entry.expect("a line"));
        let interval = |entry| match entry {
            LogEntry::Interval(interval) => {
                let bytes = STANDARD.decode(interval.encoded_histogram()).expect("base64");
                let histogram: Histogram<u64> =
                    Deserializer::new().deserialize(&mut &*bytes).expect("a histogram");
                let tag = interval.tag().expect("a tag").as_str().to_owned();
                let (start, took) = (interval.start_timestamp(), interval.duration());
                Some((tag, start.as_secs_f64(), took.as_secs_f64(), histogram.len(), histogram.max()))
            }
            LogEntry::StartTime(_) | LogEntry::BaseTime(_) => None,
        };
        entries.filter_map(interval).collect()
    }

    #[test]
    fn each_second_has_a_line_for_each_latency() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.hdr");
        let mut log = IntervalLog::open(&path).unwrap();
        log.begin(3.0, 3.0);
        log.add(4.0, &times(&[1, 2, 3]), true);
        // What is measured begins anew: another rate is tried.
        log.begin(10.0, 10.0);
        log.add(11.0, &times(&[500, 1_000]), true);
        log.add(12.5, &times(&[700]), false);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is seen of it before its end");
        log.finish().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("#[Histogram log format version 1.3]\n#[Values are latencies in micro"),
            "{text}"
        );
        assert!(text.contains("#[StartTime: ") && text.contains("#[BaseTime: "), "{text}");
        let read = read(&text);
        let expected = [
            ("publish", 0.0, 1.0, 2, 1_000),
            ("delay", 0.0, 1.0, 2, 500),
            ("end-to-end", 0.0, 1.0, 2, 2_000),
            ("publish", 1.0, 1.5, 1, 700),
            ("delay", 1.0, 1.5, 1, 350),
        ];
        assert_eq!(read.len(), expected.len(), "{text}");
        for ((tag, start, took, count, max), expected) in read.iter().zip(expected) {
            assert_eq!(
                (tag.as_str(), *start, *took, *count),
                (expected.0, expected.1, expected.2, expected.3)
            );
            assert!(max.abs_diff(expected.4) <= expected.4 / 500, "{max} for {expected:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        assert!(IntervalLog::open(Path::new("no/such/folder/run.hdr")).is_err());
        let dir = tempfile::tempdir().unwrap();
        let log = IntervalLog::open(&dir.path().join("run.hdr")).unwrap();
        fs::create_dir(dir.path().join("run.hdr")).unwrap();
        assert!(log.finish().is_err(), "somebody has made a folder of that name");
    }
}
