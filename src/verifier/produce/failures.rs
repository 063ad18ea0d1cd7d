//! What a shard's producer makes of what failed: what is told of it, and what ends the run.

use std::time::Instant;

use super::{predict::acks::Failed, run::ShardProducer};
use crate::{
    failing::{self, Done, Judgement},
    kafka::{ClientFactory, KafkaError, Reason},
    partitions::PartitionSlot,
    producer::Cause,
    verifier::shard::Halt,
};

/// Who failed, for those who count causes.
const WORKER: &str = "the producer";
const NOT_ACKED: &str = "records were not acked, and are sent again";
const FAILED_TRANSACTION: &str = "transactions failed, and their records are sent again";

/// Restarts for acks in other places, after which somebody else is likely to write there, too.
const SOMEBODY_ELSE: u64 = 3;

impl<C: ClientFactory> ShardProducer<C> {
    /// Says once that records are acked in other places again and again.
    #[cold]
    pub(crate) fn acked_elsewhere(&mut self) {
        self.elsewhere += 1;
        if self.elsewhere == SOMEBODY_ELSE {
            let cause = if self.producer.transaction().is_none() {
                "does another producer write to this topic? It must have one at a time"
            } else {
                "does another producer write to this topic? It must have one at a time. Or do leaders move? Then brokers may \
                 write the marker of a transaction twice"
            };
            self.context.shared.causes.note(
                WORKER,
                "records are acked at other offsets than predicted",
                cause,
            );
        }
    }

    /// A new attempt begins. If the last one got nothing acked this one waits, and begins with one record.
    pub(crate) fn back_off(&mut self) {
        self.is_probing |= self.producer.back_off(self.stats.acked.get());
    }

    /// Tells why records were not acked.
    ///
    /// # Errors
    /// It will be the same for ever, and is not tolerated.
    #[cold]
    pub(crate) fn judge_failures(&mut self) -> Result<(), Halt> {
        let mut halt = None;
        for failed in std::mem::take(&mut self.acks.failed) {
            let reason = Reason::from(failed.error);
            let judgement = self.judge(reason.error);
            if judgement.is_final() && !self.config.tolerate_failed_produce {
                halt.get_or_insert_with(|| self.not_acked(failed, &reason, judgement));
            } else if self.producer.note_failure(failed.error) {
                self.tell(NOT_ACKED, &reason, failed.count);
            }
        }
        match halt {
            Some(halt) => Err(self.refusal().unwrap_or(halt)),
            None => Ok(()),
        }
    }

    fn judge(&mut self, error: KafkaError) -> Judgement {
        // What is acked in a transaction has succeeded, whenever that ends.
        let here = self.stats.acked.get() + self.acks.pending.held().len() as u64;
        let producer = self.context.shared.board.get().and_then(|board| board.producer.as_ref());
        let in_run = producer.map_or(here, |producer| producer.raw_totals().acked.max(here));
        self.failing.judge(error, Done { here, in_run }, Instant::now())
    }

    /// A partition's end is not to be had.
    ///
    /// # Errors
    /// It will be the same for ever.
    #[cold]
    pub(crate) fn judge_question(&mut self, partition: PartitionSlot, error: KafkaError) -> Result<(), Halt> {
        let judgement = self.judge(error);
        if !judgement.is_final() {
            return Ok(());
        }
        let (partition, lasting) = (self.name_of(partition), judgement.words());
        Err(Halt::Failed(format!("{partition}: the end of its log cannot be asked for{lasting}: {error}")))
    }

    fn tell(&self, what: &str, Reason { error, words }: &Reason, count: u64) {
        let causes = &self.context.shared.causes;
        causes.note_many(WORKER, what, &error.to_string(), count, || {
            format!("{words}{}", self.remedy(*error)).trim_start_matches(": ").to_owned()
        });
    }

    fn name_of(&self, partition: PartitionSlot) -> String {
        let table = self.producer.table();
        format!("topic {} partition {}", table.topic(partition), table.partition(partition))
    }

    fn not_acked(&self, failed: Failed, reason: &Reason, judgement: Judgement) -> Halt {
        let Failed { error, partition, offset, .. } = failed;
        Halt::Failed(format!(
            "{} offset {offset}: the record was not acked{}: {reason}{}; \
             --tolerate-failed-produce counts such records and goes on",
            self.name_of(partition),
            judgement.words(),
            self.remedy(error)
        ))
    }

    /// What the user can change.
    fn remedy(&self, error: KafkaError) -> String {
        let config = &self.config;
        let sizes = format!(
            "--batch_max_bytes (it is {}), and --msg_size (it is {}) if a single record is too large",
            config.batch_max_bytes, config.value_bytes
        );
        let times = match config.fake_timestamps {
            Some(_) => "choose another --fake-timestamp-ms, or a smaller --fake-timestamp-step-ms",
            None => "compare this machine's clock with the broker's",
        };
        failing::remedy(error, &sizes, times)
    }

    /// What the cluster has against this producer as a whole: then each record's own error says less.
    fn refusal(&mut self) -> Option<Halt> {
        let error = self.producer.fatal_error().filter(|error| error.is_denied())?;
        self.judge(error).is_final().then(|| {
            Halt::Failed(format!("topic {}: the cluster refuses the producer: {error}", self.context.topic))
        })
    }

    /// The client is finished, and another takes its place, unless it would be the same with that one.
    ///
    /// # Errors
    /// It would, or the log was truncated.
    #[cold]
    pub(crate) async fn survive(&mut self, error: KafkaError) -> Result<(), Halt> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        // A new leader refuses what does not follow what it has.
        if self.producer.transaction().is_none()
            && let Some(halt) = self.find_truncation(error).await
        {
            return Err(halt);
        }
        let reason = Reason::from(error);
        self.tell("the client is finished, and a new one is started", &reason, 1);
        let judgement = self.judge(error);
        if !judgement.is_final() || self.config.tolerate_failed_produce {
            return Ok(());
        }
        let (topic, lasting) = (&self.context.topic, judgement.words());
        Err(Halt::Failed(format!("topic {topic}: the client is finished{lasting}: {error}")))
    }

    /// A transaction was aborted that was to be committed.
    ///
    /// # Errors
    /// It will be the same for ever, and is not tolerated.
    #[cold]
    pub(crate) fn transaction_failed(&mut self, reason: Option<Reason>) -> Result<(), Halt> {
        let Some(Cause { reason, is_of_record }) = self.producer.cause(reason) else {
            let cause = "a record was acked at another offset than predicted";
            self.context.shared.causes.note(WORKER, FAILED_TRANSACTION, cause);
            return Ok(());
        };
        self.tell(FAILED_TRANSACTION, &reason, 1);
        if !self.acks.restart_wanted {
            self.back_off();
        }
        let judgement = if is_of_record { Judgement::TryAgain } else { self.judge(reason.error) };
        if !judgement.is_final() || self.config.tolerate_failed_produce {
            return Ok(());
        }
        let (topic, lasting) = (&self.context.topic, judgement.words());
        let remedy = self.remedy(reason.error);
        Err(Halt::Failed(format!("topic {topic}: a transaction failed{lasting}: {reason}{remedy}")))
    }

    /// The cluster did not let the client begin its first transaction. A new client asks again, unless that is for ever.
    ///
    /// # Errors
    /// It is.
    #[cold]
    pub(crate) fn could_not_start(&mut self, reason: &Reason) -> Result<(), Halt> {
        let judgement = self.judge(reason.error);
        if judgement.is_final() || reason.error.is_fenced() {
            let (id, topic, lasting) =
                (self.producer.transactional_id(), &self.context.topic, judgement.words());
            return Err(Halt::Failed(format!(
                "transactional id '{id}' cannot be used on topic {topic}{lasting}: {reason}"
            )));
        }
        self.tell("a producer of transactions could not start, and is tried anew", reason, 1);
        self.renew_client()
    }
}
