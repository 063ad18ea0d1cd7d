//! Merges acks into the ledger and writes its file, while the run goes on.

use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use tokio::task::{self, JoinHandle};

use super::Entry;
use crate::ledger::{LatestValues, Ledger, LedgerError, LedgerStore, OffsetRun};

/// How old the file may get while there is something new: far below the contract's 5 s, so that a
/// kill loses less than a second of acks. A write may take as long again, and acks that came while
/// it was under way wait for the next one.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// The file is written whole each time. Some 700,000 ranges, of as many transactions with a record each, can be written
/// without being late for that second. Of more a kill may take what was acked in the last 5 s, as the contract has it:
/// writing them must not take the cores that the load needs.
const WRITE_BYTES_PER_S: f64 = (32 << 20) as f64;
const WRITE_EVERY_AT_MOST: Duration = Duration::from_secs(4);

/// The ledger of the run, on the control thread. What is written is away meanwhile, on a thread of its own: neither a slow
/// disk nor a long ledger may delay an answer on the control port.
pub(super) struct Keeper {
    /// What was reported and is not in the book.
    waiting: Vec<Entry>,
    /// Here, unless it is being written.
    book: Option<Box<Book>>,
    writing: Option<JoinHandle<Written>>,
    began: Instant,
    write_every: Duration,
}

/// What is written down, and where.
struct Book {
    store: LedgerStore,
    ledger: Ledger,
    latest: Option<LatestValues>,
}

/// The book comes back, with the bytes that were written.
type Written = (Box<Book>, Result<usize, LedgerError>);

impl Keeper {
    pub(super) fn new(store: LedgerStore, ledger: Ledger, latest: Option<LatestValues>) -> Self {
        Self {
            waiting: Vec::new(),
            book: Some(Box::new(Book { store, ledger, latest })),
            writing: None,
            began: Instant::now(),
            write_every: WRITE_EVERY,
        }
    }

    pub(super) fn enter(&mut self, entry: Entry) {
        self.waiting.push(entry);
    }

    /// Starts a write when one is due, and learns how the last one went. In a `hurry`, because the process may end at any
    /// moment, a long ledger is written as often as a short one.
    pub(super) async fn tick(&mut self, hurry: bool) -> Result<(), LedgerError> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_write().await?;
        }
        let write_every = if hurry { WRITE_EVERY } else { self.write_every };
        if !self.waiting.is_empty() && self.began.elapsed() >= write_every {
            self.start_write();
        }
        Ok(())
    }

    /// Unless one is under way.
    fn start_write(&mut self) {
        let Some(mut book) = self.book.take() else { return };
        let entries = std::mem::take(&mut self.waiting);
        self.began = Instant::now();
        self.writing = Some(task::spawn_blocking(move || {
            for entry in entries {
                book.enter(entry);
            }
            let written = book.write();
            (book, written)
        }));
    }

    /// Waits for the write that is under way.
    async fn finish_write(&mut self) -> Result<(), LedgerError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        // A panic on the writing thread has ended the process before this could see it.
        let Ok((book, written)) = writing.await else { return Ok(()) };
        self.book = Some(book);
        self.write_every = write_every(written?);
        Ok(())
    }

    /// Writes everything that is known, and answers.
    pub(super) async fn flush(&mut self, answer: &Sender<Result<(), LedgerError>>) {
        let mut result = self.finish_write().await;
        if result.is_ok() {
            self.start_write();
            result = self.finish_write().await;
        }
        // Whoever asked may have given up waiting.
        let _ = answer.try_send(result);
    }
}

/// From the beginning of a write of so many bytes to that of the next one.
fn write_every(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / WRITE_BYTES_PER_S).clamp(WRITE_EVERY, WRITE_EVERY_AT_MOST)
}

impl Book {
    fn enter(&mut self, entry: Entry) {
        match entry {
            Entry::Acked { partition, runs, last_consumable } => {
                self.acked(partition, &runs, last_consumable);
            }
            Entry::Latest(acks) => {
                if let Some(latest) = &mut self.latest {
                    for (partition, ack) in &acks {
                        latest.acked(*partition, ack);
                    }
                }
            }
            Entry::Truncated { partition, offset } => {
                if let Some(part) = self.ledger.partition_mut(partition) {
                    part.truncate(offset);
                }
            }
        }
    }

    fn acked(&mut self, partition: i32, runs: &[OffsetRun], last_consumable: Option<i64>) {
        if last_consumable.is_some() {
            self.ledger.expect_tombstones();
        }
        let is_adjusted = self.ledger.adjust_consumable_offsets;
        if let Some(part) = self.ledger.partition_mut(partition) {
            for run in runs {
                part.insert(*run);
            }
            // Without tombstones, what was acked last is the latest of its key.
            let highest = runs.last().map_or(0, |run| run.upper - 1).max(part.last_consumable);
            part.last_consumable =
                last_consumable.unwrap_or(if is_adjusted { highest } else { part.last_consumable });
        }
    }

    fn write(&self) -> Result<usize, LedgerError> {
        match &self.latest {
            Some(latest) => self.store.save_with_latest(&self.ledger, latest),
            None => self.store.save(&self.ledger),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lower: i64, upper: i64) -> [OffsetRun; 1] {
        [OffsetRun { lower, upper }]
    }

    #[test]
    fn the_first_tombstones_say_how_far_each_partition_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = LedgerStore::new(dir.path(), "t");
        let mut book = Book { store, ledger: Ledger::new(3), latest: None };
        let last = |book: &Book| [0, 1, 2].map(|index| book.ledger.partitions()[index].last_consumable);
        book.acked(0, &run(0, 50), None);
        book.acked(1, &run(0, 80), None);
        assert_eq!((last(&book), book.ledger.adjust_consumable_offsets), ([0; 3], false));
        // Another run, with tombstones: 50 is one, and 49 is of another key.
        book.acked(0, &run(50, 51), Some(49));
        assert_eq!((last(&book), book.ledger.adjust_consumable_offsets), ([49, 79, 0], true));
        book.acked(1, &run(80, 81), Some(0));
        book.acked(2, &run(0, 9), None);
        assert_eq!(last(&book), [49, 0, 8], "what the shard says, or the last one");
    }

    #[test]
    fn a_long_ledger_is_written_less_often_within_the_contract() {
        let every_ms = |bytes: usize| write_every(bytes).as_millis();
        assert_eq!([0, 1 << 20, 8 << 20].map(every_ms), [250; 3]);
        assert_eq!([24 << 20, 96 << 20, 1 << 30].map(every_ms), [750, 3_000, 4_000]);
    }

    #[tokio::test]
    async fn what_comes_during_a_write_is_in_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = LedgerStore::new(dir.path(), "t");
        let mut keeper = Keeper::new(store.clone(), Ledger::new(1), None);
        let acked = |lower| Entry::Acked {
            partition: 0,
            runs: run(lower, lower + 1).to_vec(),
            last_consumable: None,
        };
        keeper.enter(acked(0));
        keeper.start_write();
        keeper.enter(acked(1));
        // The book is away.
        keeper.start_write();
        assert_eq!(keeper.waiting.len(), 1);
        keeper.finish_write().await.unwrap();
        assert_eq!(store.load(1).unwrap().acked_count(), 1);
        let (answer, answered) = crossbeam::channel::bounded(1);
        keeper.flush(&answer).await;
        answered.try_recv().unwrap().unwrap();
        assert_eq!(store.load(1).unwrap().acked_count(), 2);
    }
}
