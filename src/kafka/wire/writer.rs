//! Writes records.

use std::{rc::Rc, sync::Arc, time::Duration};

use super::{
    asked::{self, ANSWER_US, Asked},
    batch::{BatchValue, NewRecord},
    bearer,
    core::{
        partition::{Cause, Fate, Settled},
        producer::{NotTaken, Producer},
    },
    ordered::Ordered,
    settings,
    shell::Shell,
    trust::Tls,
};
use crate::{
    clock,
    kafka::{
        Answers, ClientError, ClientSettings, Delivery, Isolation, KafkaError, LocalError, LogWriter,
        MOST_HEADERS, OffsetSpec, Outcome, QuestionId, Record, SendError, SlotWriter, Slots, Transactions,
        Value, WriterSettings, code, wake_event::WakeEvent,
    },
    partitions::{PartitionSlot, PartitionTable},
};

/// Room for answers: those to records are short.
const RECEIVE_BYTES: usize = 16 << 10;

/// A client that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    shell: Shell<Producer>,
    slots: Slots,
    asked: Asked,
    ordered: Ordered,
    is_transactional: bool,
}

impl Writer {
    /// Must be called on the executor that will use it. It connects at once, and waits for nothing.
    /// What it has sets this event, too.
    ///
    /// # Errors
    /// Something is asked for that this client cannot do.
    pub(crate) fn start(
        client: &ClientSettings,
        tls: Option<Tls>,
        writer: &WriterSettings,
        (table, wake): (&Arc<PartitionTable>, Option<Rc<WakeEvent>>),
    ) -> Result<Self, ClientError> {
        if let Some(what) = settings::lacks(client) {
            return Err(ClientError::Start(format!("our own client has no {what}")));
        }
        let mut network = settings::network(client)?;
        network.connection.receive_bytes = RECEIVE_BYTES;
        let sink = settings::sink(client, writer)?;
        bearer::keep(network.connection.login.as_ref());
        let producer = match &writer.transactions {
            Some(transactions) => {
                let id = settings::transactional_id(transactions);
                Producer::in_transactions(network, sink, table, id)
            }
            None => Producer::new(network, sink, table),
        };
        let is_transactional = writer.transactions.is_some();
        let shell = Shell::waking(producer, tls, wake);
        shell.with(Producer::step);
        let (slots, asked, ordered) = (Slots::default(), Asked::default(), Ordered::default());
        Ok(Self { shell, slots, asked, ordered, is_transactional })
    }

    /// Does what can be done with what it was given since the last look.
    fn go_on(&self) {
        self.shell.with(|producer, now_us| {
            self.ordered.hand_on(producer);
            producer.step(now_us);
        });
    }
}

impl LogWriter for Writer {
    #[inline]
    fn send(&mut self, record: &Record<'_>) -> Result<(), SendError> {
        let producer = &mut *self.shell.machine();
        let value = match record.value {
            None => BatchValue::Null,
            Some(Value::Passing(value)) => BatchValue::Copied(value),
            // Copied, and so never lent.
            Some(Value::Slot) => BatchValue::Copied(self.slots.value(record.token)),
            Some(Value::Lasting(value)) => producer.values().value(value),
        };
        let mut headers = [(&[][..], &[][..]); MOST_HEADERS];
        let count = record.headers.len().min(MOST_HEADERS);
        for (header, (name, value)) in headers.iter_mut().zip(record.headers) {
            *header = (name.to_bytes(), value);
        }
        let record_of_ours = NewRecord {
            timestamp_ms: record.timestamp_ms.unwrap_or_else(clock::unix_ms),
            key: record.key,
            value,
            headers: &headers[..count],
        };
        producer.push(record.partition, &record_of_ours, record.token).map_err(send_error)
    }

    fn poll(&mut self, limit_events: usize, mut each: impl FnMut(Delivery)) -> usize {
        let Self { ordered, is_transactional, .. } = self;
        self.shell.with(|producer, now_us| {
            ordered.hand_on(producer);
            producer.step(now_us);
            let mut count = 0;
            for _ in 0..limit_events {
                let Some(settled) = producer.next_settled() else { break };
                count += settled.batch.tokens().len();
                deliver(&settled, *is_transactional, &mut each);
                producer.recycle(settled.batch);
            }
            if *is_transactional {
                if count > 0 {
                    // Where that were the last ones, the transaction may end.
                    producer.step(now_us);
                }
                ordered.answer(producer, now_us);
            }
            count
        })
    }

    async fn wait(&self, limit: Duration) {
        // What was sent since the last look goes out before anything is waited for.
        self.go_on();
        self.shell.wait(limit).await;
    }

    fn send_off(&mut self) {
        self.go_on();
        self.shell.wake_if_there_is_news();
    }

    fn fatal_error(&self) -> Option<KafkaError> {
        self.shell.machine().refusal().map(KafkaError::Broker)
    }

    fn abandon(&mut self) {
        self.shell.with(Producer::give_up);
    }

    fn ask_offsets(
        &mut self,
        partitions: &[PartitionSlot],
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> QuestionId {
        let what = asked::what(spec, isolation == Isolation::ReadCommitted);
        let ask =
            |producer: &mut Producer, now_us| producer.ask(partitions, what, now_us + ANSWER_US, now_us);
        self.asked.add(self.shell.with(ask))
    }

    fn transactions(&self) -> Result<Transactions, ClientError> {
        if !self.is_transactional {
            return Err(ClientError::NotThere("transactions where none were asked for"));
        }
        Ok(self.ordered.open())
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        self.asked.take(question, |inner| {
            self.shell.with(|producer, now_us| {
                producer.step(now_us);
                producer.answers(inner)
            })
        })
    }
}

impl SlotWriter for Writer {
    fn slots(&mut self) -> &mut Slots {
        &mut self.slots
    }
}

fn deliver(settled: &Settled, is_transactional: bool, each: &mut impl FnMut(Delivery)) {
    let tokens = settled.batch.tokens().iter().copied();
    let outcome = match settled.fate {
        Fate::Acked { base_offset } => {
            for (token, offset) in tokens.zip(base_offset..) {
                each(Delivery { token, outcome: Outcome::Acked { offset } });
            }
            return;
        }
        Fate::AckedNoOffset => Outcome::AckedNoOffset,
        Fate::Failed(Cause::GivenUp) => Outcome::Failed(KafkaError::Local(LocalError::PurgedInQueue)),
        Fate::Unknown(Cause::GivenUp) => Outcome::Unknown(KafkaError::Local(LocalError::PurgedInFlight)),
        // It is the coordinator who knows whether somebody else has the id, and says so when the transaction is ended.
        Fate::Failed(Cause::Broker(code::INVALID_PRODUCER_EPOCH | code::PRODUCER_FENCED))
            if is_transactional =>
        {
            Outcome::Failed(KafkaError::Local(LocalError::PurgedInQueue))
        }
        Fate::Failed(Cause::Broker(error)) => Outcome::Failed(KafkaError::Broker(error)),
        Fate::Unknown(Cause::Broker(error)) => Outcome::Unknown(KafkaError::Broker(error)),
    };
    tokens.for_each(|token| each(Delivery { token, outcome }));
}

#[cold]
fn send_error(error: NotTaken) -> SendError {
    match error {
        NotTaken::Full => SendError::QueueFull,
        NotTaken::TooLarge => SendError::Refused(KafkaError::Broker(code::MESSAGE_TOO_LARGE)),
        NotTaken::NoTransaction => SendError::Refused(KafkaError::Local(LocalError::State("STATE"))),
        NotTaken::Refused(error) => SendError::Refused(KafkaError::Broker(error)),
        NotTaken::Finished(error) => SendError::Fatal(KafkaError::Broker(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::wire::core::partition::Batch;

    fn outcomes(fate: Fate) -> Vec<(usize, Outcome)> {
        outcomes_in(false, fate)
    }

    fn outcomes_in(is_transactional: bool, fate: Fate) -> Vec<(usize, Outcome)> {
        let mut queue = crate::kafka::wire::core::partition::PartitionQueue::new(0);
        let record = NewRecord { timestamp_ms: 0, key: b"", value: BatchValue::Null, headers: &[] };
        for token in [7, 8] {
            assert!(queue.push(&record, token, 1_000, Batch::new, 0).is_ok());
        }
        let mut told = Vec::new();
        queue.give_up(Cause::GivenUp, &mut |settled| {
            let settled = Settled { fate, ..settled };
            deliver(&settled, is_transactional, &mut |delivery| {
                told.push((delivery.token, delivery.outcome));
            });
        });
        told
    }

    #[test]
    fn each_record_of_a_batch_has_its_delivery() {
        let acked = outcomes(Fate::Acked { base_offset: 40 });
        assert_eq!(acked, [(7, Outcome::Acked { offset: 40 }), (8, Outcome::Acked { offset: 41 })]);
        let unknown = Outcome::Unknown(KafkaError::Broker(45));
        assert_eq!(outcomes(Fate::Unknown(Cause::Broker(45))), [(7, unknown), (8, unknown)]);
        let fenced = Fate::Failed(Cause::Broker(code::INVALID_PRODUCER_EPOCH));
        assert!(outcomes(fenced).iter().all(|(_, outcome)| outcome.error().unwrap().is_fenced()));
        let in_transaction = outcomes_in(true, fenced);
        assert!(in_transaction.iter().all(|(_, outcome)| outcome.error().unwrap().is_purged()));
        let given_up = outcomes(Fate::Failed(Cause::GivenUp));
        assert!(given_up.iter().all(|(_, outcome)| outcome.error().unwrap().is_purged()));
    }
}
