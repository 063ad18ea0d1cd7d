//! Merges acks into the ledger and writes its files, while the run goes on.

use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use tokio::task::{self, JoinHandle};

use crate::ledger::{Entry, LatestValues, Ledger, LedgerError, LedgerStore};

/// How old the files may get while there is something new: far below the contract's 5 s, so that a
/// kill loses less than a second of acks. A write may take as long again, and acks that came while
/// it was under way wait for the next one.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// The ledger is written whole each time. A long one, from some 250,000 ranges on, is written less often, as writing it must
/// not take the cores that the load needs: other implementations, which read nothing else, then lack what was acked in the
/// last 5 s at most, as the contract has it. For our own a journal beside it has what came since, and no kill takes more
/// from a long ledger than from a short one.
const WRITE_BYTES_PER_S: f64 = (32 << 20) as f64;
const WRITE_EVERY_AT_MOST: Duration = Duration::from_secs(4);

/// The ledger of the run, on the control thread. What is written is away meanwhile, on threads of its own: neither a slow
/// disk nor a long ledger may delay an answer on the control port.
pub(super) struct LedgerWriter {
    store: LedgerStore,
    /// What was reported, and is nowhere else.
    fresh: Vec<Entry>,
    /// What was reported, is in the journal if there is one, and is not in the state.
    waiting: Vec<Entry>,
    /// Here, unless it is being written.
    state: Option<Box<LedgerState>>,
    writing: Option<JoinHandle<Written>>,
    appending: Option<JoinHandle<Appended>>,
    /// When the last write began, and the last append.
    began: Instant,
    appended: Instant,
    write_every: Duration,
}

/// What is written down, and where.
struct LedgerState {
    store: LedgerStore,
    ledger: Ledger,
    latest: Option<LatestValues>,
}

/// What becomes of the journal once the ledger is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It begins anew, if the ledger is long.
    GoOn,
    /// The run is over, and the ledger has everything.
    End,
}

/// The state comes back, with the time from the beginning of its write to that of the next one.
type Written = (Box<LedgerState>, Result<Duration, LedgerError>);

/// What was to be appended comes back.
type Appended = (Vec<Entry>, Result<(), LedgerError>);

impl LedgerWriter {
    pub(super) fn new(store: LedgerStore, ledger: Ledger, latest: Option<LatestValues>) -> Self {
        let write_every = write_every(store.file_bytes(latest.is_some()));
        Self {
            store: store.clone(),
            fresh: Vec::new(),
            waiting: Vec::new(),
            state: Some(Box::new(LedgerState { store, ledger, latest })),
            writing: None,
            appending: None,
            began: Instant::now(),
            appended: Instant::now(),
            write_every,
        }
    }

    pub(super) fn enter(&mut self, entries: Vec<Entry>) {
        self.fresh.extend(entries);
    }

    /// Starts writes when they are due, and learns how the last ones went. In a `hurry`, because the process may end at any
    /// moment, a long ledger is written as often as a short one.
    pub(super) async fn tick(&mut self, hurry: bool) -> Result<(), LedgerError> {
        if self.appending.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_append().await?;
        }
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_write().await?;
        }
        // A write first: it takes what the journal has, and more is soon under way to it again.
        if self.began.elapsed() >= if hurry { WRITE_EVERY } else { self.write_every } {
            self.start_write();
        }
        if self.is_long() && self.appended.elapsed() >= WRITE_EVERY {
            self.start_append();
        }
        Ok(())
    }

    /// Whether there is a journal.
    fn is_long(&self) -> bool {
        self.write_every > WRITE_EVERY
    }

    /// Brings what is new to the journal, unless something is under way there.
    fn start_append(&mut self) {
        if self.appending.is_some() || self.fresh.is_empty() {
            return;
        }
        let (store, entries) = (self.store.clone(), std::mem::take(&mut self.fresh));
        self.appended = Instant::now();
        self.appending = Some(task::spawn_blocking(move || {
            let appended = store.append(&entries);
            (entries, appended)
        }));
    }

    /// Waits for the append that is under way.
    async fn finish_append(&mut self) -> Result<(), LedgerError> {
        let Some(appending) = self.appending.take() else { return Ok(()) };
        // A panic on the writing thread has ended the process before this could see it.
        let Ok((entries, appended)) = appending.await else { return Ok(()) };
        self.waiting.extend(entries);
        appended
    }

    /// Writes what waits, if there is anything.
    fn start_write(&mut self) {
        let is_idle = self.state.is_some() && self.appending.is_none();
        if is_idle && !self.is_long() {
            self.waiting.append(&mut self.fresh);
        }
        if !self.waiting.is_empty() {
            self.write(Next::GoOn);
        }
    }

    /// Unless a write is under way, or an append: the ledger is to have exactly what the journal has.
    fn write(&mut self, next: Next) {
        if self.appending.is_some() {
            return;
        }
        let Some(mut state) = self.state.take() else { return };
        let entries = std::mem::take(&mut self.waiting);
        self.began = Instant::now();
        // Here, where nothing is being appended that the state does not get.
        self.store.mark_journal();
        self.writing = Some(task::spawn_blocking(move || {
            for entry in &entries {
                state.enter(entry);
            }
            let written = state.write(next);
            (state, written)
        }));
    }

    /// Waits for the write that is under way.
    async fn finish_write(&mut self) -> Result<(), LedgerError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let Ok((state, written)) = writing.await else { return Ok(()) };
        self.state = Some(state);
        self.write_every = written?;
        Ok(())
    }

    /// Writes everything that is known, and answers.
    pub(super) async fn flush(&mut self, answer: &Sender<Result<(), LedgerError>>) {
        let mut result = self.finish_write().await;
        if result.is_ok() {
            // For a kill on the way. Nothing is lost without it: the ledger is about to have everything.
            let _ = self.append_all().await;
            self.waiting.append(&mut self.fresh);
            self.write(Next::End);
            result = self.finish_write().await;
        }
        // Whoever asked may have given up waiting.
        let _ = answer.try_send(result);
    }

    async fn append_all(&mut self) -> Result<(), LedgerError> {
        self.finish_append().await?;
        if self.is_long() {
            self.start_append();
        }
        self.finish_append().await
    }
}

/// From the beginning of a write of so many bytes to that of the next one.
fn write_every(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / WRITE_BYTES_PER_S).clamp(WRITE_EVERY, WRITE_EVERY_AT_MOST)
}

impl LedgerState {
    fn enter(&mut self, entry: &Entry) {
        entry.enter(&mut self.ledger);
        if let Some(latest) = &mut self.latest {
            entry.enter_latest(latest);
        }
    }

    fn write(&self, next: Next) -> Result<Duration, LedgerError> {
        let bytes = match &self.latest {
            Some(latest) => self.store.save_with_latest(&self.ledger, latest),
            None => self.store.save(&self.ledger),
        }?;
        let every = write_every(bytes);
        if next == Next::GoOn && every > WRITE_EVERY {
            self.store.renew_journal()?;
        } else {
            self.store.end_journal();
        }
        Ok(every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OffsetRun;

    fn acked(lower: i64) -> Entry {
        let runs = vec![OffsetRun { lower, upper: lower + 1 }];
        Entry::Acked { partition: 0, runs, last_consumable: None }
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
        let mut writer = LedgerWriter::new(store.clone(), Ledger::new(1), None);
        writer.enter(vec![acked(0)]);
        writer.start_write();
        writer.enter(vec![acked(1)]);
        // The state is away.
        writer.start_write();
        assert_eq!(writer.fresh.len(), 1);
        writer.finish_write().await.unwrap();
        assert_eq!(store.load(1).unwrap().acked_count(), 1);
        flush(&mut writer).await;
        assert_eq!(store.load(1).unwrap().acked_count(), 2);
    }

    async fn flush(writer: &mut LedgerWriter) {
        let (answer, answered) = crossbeam::channel::bounded(1);
        writer.flush(&answer).await;
        answered.try_recv().unwrap().unwrap();
    }

    /// A writer that takes its ledger for a long one.
    fn with_long_ledger(dir: &std::path::Path) -> (LedgerStore, LedgerWriter) {
        let store = LedgerStore::new(dir, "t");
        store.save(&Ledger::new(1)).unwrap();
        let ledger = store.load(1).unwrap();
        let mut writer = LedgerWriter::new(store.clone(), ledger, None);
        assert!(!writer.is_long());
        writer.write_every = WRITE_EVERY_AT_MOST;
        (store, writer)
    }

    /// A folder in the temporary file's place stops even root.
    fn block_journal(writer: &LedgerWriter) {
        std::fs::create_dir(crate::ledger::files::whole_file::temporary(writer.store.journal_path()))
            .unwrap();
    }

    /// What is listed by the ledger alone, and with its journal.
    fn listed(dir: &std::path::Path) -> (u64, u64) {
        let (store, alone) = (LedgerStore::new(dir, "t"), tempfile::tempdir().unwrap());
        std::fs::copy(store.path(), alone.path().join("valid_offsets_t.json")).unwrap();
        let count = |store: LedgerStore| store.load(1).unwrap().acked_count();
        (count(LedgerStore::new(alone.path(), "t")), count(store))
    }

    #[tokio::test]
    async fn what_a_long_ledger_waits_for_is_in_its_journal() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = with_long_ledger(dir.path());
        writer.enter(vec![acked(0)]);
        writer.start_write();
        assert!(writer.writing.is_none(), "it is in no journal yet");
        writer.start_append();
        writer.enter(vec![acked(1)]);
        writer.start_append();
        writer.start_write();
        assert!(writer.writing.is_none() && writer.fresh.len() == 1, "one thing after the other");
        writer.finish_append().await.unwrap();
        assert_eq!(listed(dir.path()), (0, 1));
        flush(&mut writer).await;
        assert_eq!(listed(dir.path()), (2, 2));
        assert!(!store.journal_path().exists());
    }

    #[tokio::test]
    async fn a_journal_that_cannot_be_written_is_told_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut writer) = with_long_ledger(dir.path());
        block_journal(&writer);
        writer.enter(vec![acked(0)]);
        writer.start_append();
        let error = writer.finish_append().await.unwrap_err().to_string();
        assert!(error.contains("valid_offsets_t.jnl: cannot be written"), "{error}");
        writer.enter(vec![acked(1)]);
        flush(&mut writer).await;
        assert_eq!(listed(dir.path()), (2, 2));
    }

    #[tokio::test]
    async fn a_journal_that_fails_at_the_end_is_not_needed() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut writer) = with_long_ledger(dir.path());
        block_journal(&writer);
        writer.enter(vec![acked(0)]);
        writer.start_append();
        writer.enter(vec![acked(1)]);
        flush(&mut writer).await;
        assert_eq!(listed(dir.path()), (2, 2));
    }
}
