//! Merges acks into the ledger and writes its file, while the run goes on.

use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use tokio::task::{self, JoinHandle};

use crate::ledger::{KeyAck, LatestValues, Ledger, LedgerError, LedgerStore, OffsetRun};

/// How old the file may get while there is something new: far below the contract's 5 s, so that a
/// kill loses less than a second of acks. A write may take as long again, and acks that came while
/// it was under way wait for the next one.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// The ledger of the run.
pub(super) struct Keeper {
    store: LedgerStore,
    ledger: Ledger,
    latest: Option<LatestValues>,
    dirty: bool,
    written: Instant,
    writing: Option<JoinHandle<Result<(), LedgerError>>>,
}

impl Keeper {
    pub(super) fn new(store: LedgerStore, ledger: Ledger, latest: Option<LatestValues>) -> Self {
        Self { store, ledger, latest, dirty: false, written: Instant::now(), writing: None }
    }

    pub(super) fn acked(&mut self, partition: i32, runs: &[OffsetRun], last_consumable: Option<i64>) {
        self.dirty = true;
        self.ledger.adjust_consumable_offsets |= last_consumable.is_some();
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

    pub(super) fn latest(&mut self, acks: &[(i32, KeyAck)]) {
        if let Some(latest) = &mut self.latest {
            self.dirty = true;
            for (partition, ack) in acks {
                latest.acked(*partition, ack);
            }
        }
    }

    pub(super) fn truncated(&mut self, partition: i32, offset: i64) {
        self.dirty = true;
        if let Some(part) = self.ledger.partition_mut(partition) {
            part.truncate(offset);
        }
    }

    /// Starts a write when one is due, and learns how the last one went.
    ///
    /// The write runs on a thread of its own: a slow disk must not delay an answer
    /// on the control port.
    pub(super) async fn tick(&mut self) -> Result<(), LedgerError> {
        if let Some(writing) = self.writing.take_if(|writing| writing.is_finished()) {
            outcome(writing).await?;
        }
        if self.dirty && self.writing.is_none() && self.written.elapsed() >= WRITE_EVERY {
            self.start_write();
        }
        Ok(())
    }

    fn start_write(&mut self) {
        let (store, ledger, latest) = (self.store.clone(), self.ledger.clone(), self.latest.clone());
        self.dirty = false;
        self.written = Instant::now();
        self.writing = Some(task::spawn_blocking(move || match latest {
            Some(latest) => store.save_with_latest(&ledger, &latest),
            None => store.save(&ledger),
        }));
    }

    /// Writes everything that is known, and answers.
    pub(super) async fn flush(&mut self, answer: &Sender<Result<(), LedgerError>>) {
        let mut result = match self.writing.take() {
            Some(writing) => outcome(writing).await,
            None => Ok(()),
        };
        if result.is_ok() {
            self.start_write();
            if let Some(writing) = self.writing.take() {
                result = outcome(writing).await;
            }
        }
        // Whoever asked may have given up waiting.
        let _ = answer.try_send(result);
    }
}

async fn outcome(writing: JoinHandle<Result<(), LedgerError>>) -> Result<(), LedgerError> {
    // A panic on the writing thread has ended the process before this could see it.
    writing.await.unwrap_or(Ok(()))
}
