//! A client that writes, and its transaction: made together, and renewed together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Change, Transaction};
use crate::{
    config::{Compression, TransactionConfig},
    failing::Backoff,
    kafka::{
        ClientError, ClientFactory, Delivery, KafkaError, LogWriter, Reason, Record, SendError,
        WriterSettings,
    },
    partitions::PartitionTable,
    random::Random,
};

/// Writes, with one client after the other. What its records stand for, and what an error means for the run, is the
/// business of whoever has it.
pub(crate) struct Producer<C: ClientFactory> {
    factory: C,
    settings: WriterSettings,
    table: Arc<PartitionTable>,
    client: C::Writer,
    /// `None`: it writes without transactions.
    transaction: Option<Transaction>,
    /// Records that went to this client.
    client_records: u64,
    /// Between attempts in vain.
    backoff: Backoff,
    /// Why a record of the open transaction failed.
    spoilt_by: Option<Reason>,
}

/// Why a transaction was aborted that was to be committed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The reason.
    pub reason: Reason,
    /// It is a record's, and was told as such before.
    pub is_of_record: bool,
}

impl<C: ClientFactory> Producer<C> {
    /// Starts the first client; its transactions, if `rules` are given, begin as soon as the cluster lets it in.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn start(
        factory: C,
        settings: WriterSettings,
        table: Arc<PartitionTable>,
        rules: Option<TransactionConfig>,
    ) -> Result<Self, ClientError> {
        let client = factory.writer(&settings, &table)?;
        let transaction = match rules {
            Some(rules) => Some(Transaction::start(rules, client.transactions()?)),
            None => None,
        };
        let (backoff, spoilt_by) = (Backoff::default(), None);
        Ok(Self { factory, settings, table, client, transaction, client_records: 0, backoff, spoilt_by })
    }

    /// A new client in place of this one. Of its transaction nothing is known then.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub(crate) fn renew(&mut self, compression: Compression) -> Result<(), ClientError> {
        self.settings.compression = compression;
        self.client = self.factory.writer(&self.settings, &self.table)?;
        self.client_records = 0;
        if let Some(transaction) = &mut self.transaction {
            transaction.restart(self.client.transactions()?);
        }
        Ok(())
    }

    /// Another client beside it, without transactions: for questions that one that is finished cannot ask.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub(crate) fn another(&self) -> Result<C::Writer, ClientError> {
        let settings = WriterSettings { transactions: None, ..self.settings.clone() };
        self.factory.writer(&settings, &self.table)
    }

    /// The client.
    pub(crate) fn client(&mut self) -> &mut C::Writer {
        &mut self.client
    }

    /// Where it writes.
    pub(crate) fn table(&self) -> &Arc<PartitionTable> {
        &self.table
    }

    /// How its clients are made.
    pub(crate) fn settings(&self) -> &WriterSettings {
        &self.settings
    }

    /// Records that went to this client.
    pub(crate) fn client_records(&self) -> u64 {
        self.client_records
    }

    /// Its transactional id; empty without transactions.
    pub(crate) fn transactional_id(&self) -> &str {
        self.settings.transactions.as_ref().map_or("", |transactions| &transactions.id)
    }

    /// Its transaction, where it writes in transactions.
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// Whether a record can be sent now, and if so whether its header says that it will be aborted.
    #[inline]
    pub(crate) fn accepts(&self) -> Option<bool> {
        self.transaction.as_ref().map_or(Some(false), Transaction::accepts)
    }

    /// Hands a record to the client.
    ///
    /// # Errors
    /// It was not taken.
    #[inline]
    pub(crate) fn send(&mut self, record: &Record<'_>) -> Result<(), SendError> {
        self.client.send(record)?;
        self.client_records += 1;
        if let Some(transaction) = &mut self.transaction {
            transaction.sent();
        }
        Ok(())
    }

    /// Shows what has been delivered, of at most so many batches. `each` says whether a delivery is sound: a transaction
    /// that has another one is aborted. Returns how many there were.
    #[inline]
    pub(crate) fn poll(&mut self, limit_events: usize, mut each: impl FnMut(Delivery) -> bool) -> usize {
        let transaction = &mut self.transaction;
        self.client.poll(limit_events, |delivery| {
            let failed = delivery.outcome.error().is_some();
            let sound = each(delivery);
            if let Some(transaction) = transaction {
                transaction.settled(failed, sound);
            }
        })
    }

    /// Moves the transaction on; see [`Transaction::advance`].
    pub(crate) fn advance(
        &mut self,
        nothing_in_flight: bool,
        nothing_to_send: bool,
        random: &mut Random,
    ) -> Change {
        let transaction = self.transaction.as_mut();
        transaction.map_or(Change::None, |open| open.advance(nothing_in_flight, nothing_to_send, random))
    }

    /// Whether the coordinator has not let its transactional id in yet.
    pub(crate) fn is_starting(&self) -> bool {
        self.transaction.as_ref().is_some_and(Transaction::is_starting)
    }

    /// Whether the end of its transaction is under way.
    pub(crate) fn is_ending(&self) -> bool {
        self.transaction.as_ref().is_some_and(Transaction::is_ending)
    }

    /// Whether a record of its transaction failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.transaction.as_ref().is_some_and(Transaction::has_failed)
    }

    /// Whether nothing has gone into its transaction, or it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.transaction.as_ref().is_none_or(Transaction::is_empty)
    }

    /// The error that finished the client, if one did.
    pub(crate) fn fatal_error(&self) -> Option<KafkaError> {
        self.client.fatal_error()
    }

    /// A record failed. Within a transaction that is told with its end, as the first cause of it. Returns whether it has
    /// to be told now.
    #[cold]
    pub(crate) fn note_failure(&mut self, error: KafkaError) -> bool {
        if error.is_consequence() {
            return false;
        }
        if self.transaction.is_some() {
            self.spoilt_by.get_or_insert_with(|| error.into());
        }
        self.transaction.is_none()
    }

    /// Why its transaction was aborted. What failed in it comes before what the client says of it, which may be a
    /// consequence. `None`: nothing failed.
    #[cold]
    pub(crate) fn cause(&mut self, of_client: Option<Reason>) -> Option<Cause> {
        let of_record = self.spoilt_by.take();
        let is_of_record = of_record.is_some();
        of_record.or(of_client).map(|reason| Cause { reason, is_of_record })
    }

    /// A new attempt begins; `done` is what has been done in all by now. It waits if the last one got nothing done, which
    /// is returned.
    pub(crate) fn back_off(&mut self, done: u64) -> bool {
        self.backoff.ended(done, Instant::now())
    }

    /// How long the next attempt has to wait; `None`: not at all.
    #[inline]
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        (!self.backoff.is_over()).then(|| self.backoff.wait(Instant::now()))
    }

    /// Waits until there is something to take, but not longer than that.
    pub(crate) async fn wait(&self, limit: Duration) {
        self.client.wait(limit).await;
    }
}

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
