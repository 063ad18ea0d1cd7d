//! What is asked of a pass of a sequential reader when it has come to its end.

use super::seq_reader::SeqReader;
use crate::{
    kafka::{Isolation, LogReader},
    partitions::PartitionSlot,
    verifier::{check::loss, read::checker, shard::Halt},
};

impl<R: LogReader> SeqReader<'_, R> {
    /// Ends the pass; when it was a whole one, nothing that was acked may be missing.
    pub(crate) async fn close(&mut self) -> Result<(), Halt> {
        let complete = self.pass.is_complete();
        for index in 0..self.pass.readers.len() {
            self.client.stop(PartitionSlot::at(index));
        }
        if !complete {
            return Ok(());
        }
        for reader in &mut self.pass.readers {
            self.pass.checker.finish(&mut reader.state, reader.progress.partition)?;
        }
        for index in 0..self.pass.readers.len() {
            if self.pass.has_stale_keys(index) {
                let Some(ends) = self.ask(index).await else { return Ok(()) };
                self.pass.check_keys(index, ends.start)?;
            }
        }
        if self.pass.checker.records_may_go() {
            return self.audit_ends().await;
        }
        for index in 0..self.pass.readers.len() {
            self.audit(index).await?;
        }
        Ok(())
    }

    /// Compaction takes records, and never the end of a log: whatever was acked lies below that.
    async fn audit_ends(&mut self) -> Result<(), Halt> {
        if checker::isolation(self.job.proof) == Isolation::ReadCommitted {
            // What can be read ends where somebody else's transaction is open.
            return Ok(());
        }
        for index in 0..self.pass.readers.len() {
            let mut end = self.pass.readers[index].position();
            for look in 0..loss::LOOKS {
                if !self.pass.is_acked_from(index, end) {
                    break;
                }
                if look > 0 {
                    glommio::timer::sleep(loss::LOOK_PAUSE).await;
                }
                let Some(ends) = self.ask(index).await else { return Ok(()) };
                end = ends.end;
            }
            if self.pass.is_acked_from(index, end) {
                self.pass.report_missing(index, end)?;
            }
        }
        Ok(())
    }

    /// Ledger minus what was read, minus what retention has taken meanwhile, is empty.
    async fn audit(&mut self, index: usize) -> Result<(), Halt> {
        let progress = &mut self.pass.readers[index].progress;
        let ledger = self.pass.checker.ledger(progress.partition);
        progress.settle();
        if progress.missing(ledger, progress.start).is_none() {
            return Ok(());
        }
        let Some(ends) = self.ask(index).await else { return Ok(()) };
        // The log's start may have moved while it was read.
        let start = self.pass.readers[index].progress.start.max(ends.start);
        self.pass.report_missing(index, start)
    }
}
