//! What a shard's producer does when it cannot just go on: starting over, ending
//! transactions, new clients, and the end.

use std::time::{Duration, Instant};

use super::run::{ShardProducer, WAIT};
use crate::{
    findings::anomaly::{Anomaly, Violation},
    kafka::{Answers, ClientFactory, Isolation, KafkaError, LogWriter, OffsetSpec, Reason},
    partitions::PartitionSlot,
    producer::{Change, Transaction},
    verifier::{
        check::loss::{LOOK_PAUSE, LOOKS},
        shard::Halt,
    },
};

/// How long a stop waits for deliveries, and for the end of a transaction.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);
/// How long markers of transactions that have ended may take until they are in the logs. A transaction
/// of somebody else may stay open for longer, and is not waited for.
const MARKER_PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at whether a question was answered.
const LOOK: Duration = Duration::from_millis(2);

/// A log that ends below what was acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooShort {
    partition: PartitionSlot,
    end: i64,
    /// The highest offset that was acked.
    highest_acked: i64,
}

/// Logs that were said to be too short, time and again: leaders that have just been elected may not know yet how far their
/// followers are.
#[derive(Debug, Default)]
struct Suspects {
    logs: Vec<TooShort>,
    looks: usize,
}

impl Suspects {
    /// Takes in which logs are too short now. Returns whether there is any that may have been truncated.
    fn look(&mut self, mut now: Vec<TooShort>) -> bool {
        if self.looks > 0 {
            // Another partition each time is no log that was truncated.
            now.retain(|log| self.logs.iter().any(|known| known.partition == log.partition));
        }
        self.looks = if now.is_empty() { 0 } else { self.looks + 1 };
        self.logs = now;
        self.looks > 0
    }

    /// A log that was truncated for certain.
    fn truncated(&self) -> Option<TooShort> {
        self.logs.first().copied().filter(|_| self.looks >= LOOKS)
    }
}

/// Asks this client where logs end, and waits for the answers; with none when `stop` became true before.
async fn ends(
    client: &mut impl LogWriter,
    partitions: &[PartitionSlot],
    isolation: Isolation,
    stop: impl Fn() -> bool,
) -> Answers {
    let question = client.ask_offsets(partitions, OffsetSpec::End, isolation);
    loop {
        if let Some(answers) = client.answers(question) {
            return answers;
        }
        if stop() {
            return Answers::new();
        }
        client.wait(LOOK).await;
    }
}

impl<C: ClientFactory> ShardProducer<C> {
    /// Whether nothing is under way: no record, and no transaction with records in it.
    pub(crate) fn is_idle(&self) -> bool {
        self.acks.nothing_in_flight() && self.producer.is_empty() && self.producer.accepts().is_some()
    }

    /// Waits out what is in flight, asks where the logs end, and predicts from there.
    pub(crate) async fn restart(&mut self) -> Result<(), Halt> {
        self.ask_ends().await?;
        // A record that was acked elsewhere is no failure, and who pauses for it leaves the log to whoever was faster.
        if std::mem::take(&mut self.acks.has_failed) {
            self.back_off();
        } else {
            self.acked_elsewhere();
        }
        if !self.context.stop_requested() {
            self.stats.restarts.add(1);
        }
        Ok(())
    }

    pub(crate) async fn ask_ends(&mut self) -> Result<(), Halt> {
        while !self.is_idle() {
            if self.take_deliveries()? == 0 {
                self.producer.wait(WAIT).await;
            }
            if self.context.stop_requested() {
                // Whoever called sees it too, and drains.
                return Ok(());
            }
            self.report_if_due();
        }
        if let Some(error) = self.producer.fatal_error() {
            self.refuse_to_fence_back(error)?;
            self.survive(error).await?;
            self.renew_client()?;
            self.acks.doubt_all();
        }
        self.repredict().await?;
        if self.acks.unknown {
            self.begin_run();
        }
        self.acks.restart_wanted = false;
        Ok(())
    }

    async fn repredict(&mut self) -> Result<(), Halt> {
        let (started, mut suspects) = (Instant::now(), Suspects::default());
        // Not all: with many partitions one or the other never has a leader that answers, while leaders move. But who has
        // failed may be the first to hear that logs were truncated.
        if self.acks.has_failed {
            self.acks.doubt_all();
        }
        let mut open = self.acks.in_doubt();
        // Brokers may take any time to answer, and what is acked belongs in the ledger.
        self.report();
        self.asking = true;
        let in_transactions = self.producer.transaction().is_some();
        while !open.is_empty() && !self.context.stop_requested() {
            self.report_if_due();
            // What an aborted transaction left takes offsets too.
            let (context, client) = (&self.context, self.producer.client());
            let stop = || context.stop_requested();
            let all = ends(client, &open, Isolation::ReadUncommitted, stop).await;
            // Markers are written a little after a transaction has ended. Where nothing is open any more, all are there.
            let stable = if in_transactions && started.elapsed() < MARKER_PATIENCE {
                ends(client, &open, Isolation::ReadCommitted, stop).await
            } else {
                all.clone()
            };
            let mut too_short = Vec::new();
            for (answer, stable) in all.into_iter().zip(stable) {
                match (answer, stable) {
                    ((partition, Ok(end)), _) if self.is_too_short(partition, end.offset).is_some() => {
                        too_short.extend(self.is_too_short(partition, end.offset));
                    }
                    ((partition, Ok(end)), (_, Ok(stable))) if end.offset == stable.offset => {
                        self.acks.repredict(partition, end.offset);
                        open.retain(|known| *known != partition);
                    }
                    ((partition, Err(error)), _) | (_, (partition, Err(error))) => {
                        self.judge_question(partition, error)?;
                    }
                    _ => {}
                }
            }
            if suspects.look(too_short) {
                if let Some(truncation) = suspects.truncated() {
                    return Err(self.truncation(truncation, None));
                }
                glommio::timer::sleep(LOOK_PAUSE).await;
            } else if !open.is_empty() {
                self.producer.wait(WAIT / 10).await;
            }
        }
        self.asking = false;
        Ok(())
    }

    /// Whether a log ends below what was acked. Of what was acked before this run, the first ack decides: the topic may be
    /// another one of that name.
    fn is_too_short(&self, partition: PartitionSlot, end: i64) -> Option<TooShort> {
        let highest_acked = self.acks.lost_at(partition, end).filter(|_| self.stats.sent.get() > 0)?;
        Some(TooShort { partition, end, highest_acked })
    }

    fn truncation(&self, truncation: TooShort, refusal: Option<KafkaError>) -> Halt {
        let TooShort { partition, end, highest_acked } = truncation;
        let refused =
            refusal.map_or_else(String::new, |error| format!(", whose leader refuses what follows: {error}"));
        Halt::Violation(Box::new(Violation {
            anomaly: Anomaly::Truncation,
            topic: self.producer.table().topic(partition).to_owned(),
            partition: self.producer.table().partition(partition),
            offset: end,
            expected: format!("a log that reaches beyond {highest_acked}, the highest offset that was acked"),
            found: format!("one that ends at {end}{refused}"),
            evidence: Box::default(),
        }))
    }

    /// What ends the run. Where a log was truncated, its new leader refuses what does not follow what it has, and the client
    /// is finished: it is the loss that has to be named then.
    pub(crate) async fn explain(&self, halt: Halt) -> Halt {
        match (halt, self.producer.fatal_error()) {
            (Halt::Failed(reason), Some(error)) => {
                self.find_truncation(error).await.unwrap_or(Halt::Failed(reason))
            }
            (halt, _) => halt,
        }
    }

    pub(crate) async fn find_truncation(&self, error: KafkaError) -> Option<Halt> {
        // Another client, as this one is finished.
        let mut client = self.producer.another().ok()?;
        let mut suspects = Suspects::default();
        while suspects.truncated().is_none() {
            glommio::timer::sleep(LOOK_PAUSE).await;
            if self.context.stop_requested() {
                return None;
            }
            let stop = || self.context.stop_requested();
            let isolation = Isolation::ReadUncommitted;
            let answers = ends(&mut client, self.acks.ready(), isolation, stop).await;
            let too_short = answers.into_iter().filter_map(|(partition, end)| {
                let end = end.ok()?.offset;
                let highest_acked = self.acks.lost_at(partition, end)?;
                Some(TooShort { partition, end, highest_acked })
            });
            if !suspects.look(too_short.collect()) {
                return None;
            }
        }
        Some(self.truncation(suspects.truncated()?, Some(error)))
    }

    /// A new client in place of one that is finished, or has sent what it may.
    pub(crate) fn renew_client(&mut self) -> Result<(), Halt> {
        Ok(self.producer.renew(self.config.compression.pick(&mut self.random))?)
    }

    /// Ends the transaction when it is time, and draws the consequences. Returns whether something came of it.
    pub(crate) fn move_transaction_on(&mut self) -> Result<bool, Halt> {
        let Some(transaction) = self.producer.transaction() else { return Ok(false) };
        let (nothing_in_flight, nothing_to_send) = (self.acks.nothing_in_flight(), self.nothing_to_send());
        // Only what has its delivery shows whether it landed where it should. Where something failed nothing is committed,
        // and the client may hold on to the rest until it is told to abort.
        if !nothing_in_flight && !transaction.has_failed() {
            return Ok(false);
        }
        let (starting, old) = (transaction.is_starting(), transaction.may_have_timed_out());
        match self.producer.advance(nothing_in_flight, nothing_to_send, &mut self.random) {
            Change::None => return Ok(false),
            Change::Started => {}
            Change::Committed => self.acks.commit(),
            Change::Aborted { intended: true, .. } => self.acks.abort(true),
            Change::Aborted { reason, .. } => {
                if old && reason.as_ref().is_some_and(|reason| reason.error.is_fenced()) {
                    // Whoever aborts it still has the id: its epoch was the cluster's doing.
                    self.was_timed_out("");
                }
                self.transaction_failed(reason)?;
                self.acks.abort(false);
            }
            Change::Unknown { reason, .. } => {
                self.transaction_failed(Some(reason))?;
                self.give_up_on_transaction();
            }
            Change::Fatal { reason, .. } if starting => self.could_not_start(&reason)?,
            Change::Fatal { reason, .. } => self.transaction_is_finished(reason)?,
        }
        Ok(true)
    }

    /// Whether the open transaction gets no more records, full or not: a new client, or a new start, waits for its end.
    fn nothing_to_send(&self) -> bool {
        self.acks.nothing_to_send()
            || self.acks.restart_wanted
            || self.client_is_spent()
            || self.context.stop_requested()
    }

    /// Another run has taken the transactional id. A new client of ours would take it back, and so on.
    fn refuse_to_fence_back(&self, error: KafkaError) -> Result<(), Halt> {
        let timed_out = self.producer.transaction().is_none_or(Transaction::may_have_timed_out);
        if !error.is_fenced() || timed_out {
            return Ok(());
        }
        Err(Halt::Failed(format!(
            "transactional id '{}' was fenced: another run produces to topic {} under the same --client-name, or the \
             cluster timed its transaction out (--transaction-timeout-ms); what this one had committed is in its ledger",
            self.producer.transactional_id(),
            self.context.topic
        )))
    }

    fn was_timed_out(&self, consequence: &str) {
        tracing::warn!(
            "transactional id '{}': the cluster timed the transaction out{consequence}: raise --transaction-timeout-ms, or \
             lower --msgs-per-transaction",
            self.producer.transactional_id()
        );
    }

    /// The client is finished, and nobody knows what became of its transaction. The next client
    /// finds out: the cluster ends what the last one left, one way or the other, before it is let in.
    #[cold]
    fn transaction_is_finished(&mut self, reason: Reason) -> Result<(), Halt> {
        self.refuse_to_fence_back(reason.error)?;
        let mut reason = reason;
        if reason.error.is_fenced() {
            // Nobody else has it, or this would have been the end; but the client blames a newer instance.
            reason = reason.error.into();
            self.was_timed_out(", and there is a new producer");
        } else {
            tracing::info!(
                "transactional id '{}': starting a new producer",
                self.producer.transactional_id()
            );
        }
        self.transaction_failed(Some(reason))?;
        self.give_up_on_transaction();
        self.renew_client()
    }

    /// Its records may show, or not: they are a run of their own, and where the next ones land has to be asked.
    fn give_up_on_transaction(&mut self) {
        self.acks.doubt_transaction();
        self.acks.abort(false);
        self.acks.unknown = true;
        self.acks.restart_wanted = true;
    }

    /// Takes the deliveries that still come, for a while, and commits what they make complete; what has
    /// none then has an unknown outcome.
    pub(crate) async fn drain(&mut self) -> Result<(), Halt> {
        let until = Instant::now() + DRAIN_LIMIT;
        let has_started = self.producer.transaction().is_none_or(|transaction| !transaction.is_empty());
        while has_started && !self.is_idle() && Instant::now() < until {
            if self.take_deliveries()? == 0 {
                self.producer.wait(WAIT).await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_was_cut_that_is_too_short_each_time() {
        let short =
            |partition, end| TooShort { partition: PartitionSlot::new(partition), end, highest_acked: 80 };
        let mut suspects = Suspects::default();
        assert!(suspects.look(vec![short(1, 50), short(2, 70)]));
        assert!(suspects.look(vec![short(2, 71), short(3, 5)]) && suspects.truncated().is_none());
        assert!(!suspects.look(vec![short(3, 5)]), "another one each time");
        for _ in 0..LOOKS {
            assert_eq!(suspects.truncated(), None);
            assert!(suspects.look(vec![short(2, 71)]));
        }
        assert_eq!(suspects.truncated(), Some(short(2, 71)));
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod scripted;
