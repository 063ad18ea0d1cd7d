//! A writer that does what a test tells it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::CStr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, Sender};

use crate::{
    kafka::{
        Answers, ClientError, Delivery, End, Ended, Isolation, KafkaError, LocalError, LogWriter,
        OffsetAndEpoch, OffsetSpec, Outcome, QuestionId, Record, SendError, SlotWriter, Slots, TopicAnswers,
        Transactions, Value, WriterSettings,
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// How long a test may wait: what waits for ever shall say so.
const PATIENCE: Duration = Duration::from_secs(20);

/// A record that a client was given.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// How many were before it, refused ones included.
    pub(crate) nth: usize,
    /// Which client, counted from 0.
    pub(crate) client: usize,
    pub(crate) partition: i32,
    token: usize,
    pub(crate) key: Vec<u8>,
    /// `None` for a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(&'static CStr, Vec<u8>)>,
    pub(crate) timestamp_ms: Option<i64>,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaction {
    /// Acked at the log's end.
    Ack,
    /// Acked so far behind the log's end: somebody else has written there.
    AckBehind(i64),
    /// Acked at this offset, wherever the log ends: it was truncated, and ends behind that now.
    AckAt(i64),
    /// In the log, and nobody says where.
    AckSomewhere,
    /// Not in the log.
    Fail(KafkaError),
    /// In the log, and nobody knows.
    Lose(KafkaError),
    /// Neither, until the test lets it go or the client is finished.
    Hold,
    /// Not taken, for now.
    Full,
    /// Not taken.
    Refuse(KafkaError),
    /// Not taken: the client is finished, and what it holds comes back.
    Finish(KafkaError),
}

/// A question about offsets.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// How many were before it.
    pub(crate) nth: usize,
    pub(crate) client: usize,
    pub(crate) partitions: Vec<i32>,
    pub(crate) isolation: Isolation,
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// Where the logs end when the answer is taken.
    Ends,
    /// Where they end, after so many looks for an answer.
    After(usize),
    /// All of them here.
    At(i64),
    /// An error for each partition.
    Error(KafkaError),
}

type React = Box<dyn FnMut(&Arrival) -> Reaction>;
type Answer = Box<dyn FnMut(&Question) -> Reply>;
type EndIt = Box<dyn FnMut(End) -> Ended>;

/// What has happened, and what is to happen.
pub(crate) struct Writes {
    /// Where each partition's log ends.
    pub(crate) ends: BTreeMap<i32, i64>,
    /// Everything that clients were given.
    pub(crate) arrivals: Vec<Arrival>,
    /// What was asked.
    pub(crate) questions: Vec<Question>,
    /// What each client was made with.
    pub(crate) settings: Vec<WriterSettings>,
    /// Records that have not come back, by client.
    held: Vec<Vec<Arrival>>,
    deliveries: Vec<VecDeque<Delivery>>,
    finished: Vec<Option<KafkaError>>,
    under_way: Vec<(QuestionId, Question, Reply)>,
    /// Partitions with records of the open transaction.
    in_transaction: BTreeSet<i32>,
    react: React,
    answer: Answer,
    end: EndIt,
    began: Instant,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            ends: BTreeMap::new(),
            arrivals: Vec::new(),
            questions: Vec::new(),
            settings: Vec::new(),
            held: Vec::new(),
            deliveries: Vec::new(),
            finished: Vec::new(),
            under_way: Vec::new(),
            in_transaction: BTreeSet::new(),
            react: Box::new(|_| Reaction::Ack),
            answer: Box::new(|_| Reply::Ends),
            end: Box::new(ended),
            began: Instant::now(),
        }
    }
}

/// What a cluster without troubles makes of a transaction.
fn ended(end: End) -> Ended {
    match end {
        End::Start => Ended::Started,
        End::Commit => Ended::Committed,
        End::Abort => Ended::Aborted(None),
    }
}

impl Writes {
    /// Says what becomes of each record.
    pub(crate) fn react(&mut self, react: impl FnMut(&Arrival) -> Reaction + 'static) {
        self.react = Box::new(react);
    }

    /// Says how questions are answered.
    pub(crate) fn answer(&mut self, answer: impl FnMut(&Question) -> Reply + 'static) {
        self.answer = Box::new(answer);
    }

    /// Says what becomes of transactions; `None` for what a cluster without troubles makes of them.
    pub(crate) fn end(&mut self, mut end: impl FnMut(End) -> Option<Ended> + 'static) {
        self.end = Box::new(move |asked| end(asked).unwrap_or_else(|| ended(asked)));
    }

    /// Clients that have been made.
    pub(crate) fn clients(&self) -> usize {
        self.settings.len()
    }

    /// Records that have not come back.
    pub(crate) fn held(&self) -> usize {
        self.held.iter().map(Vec::len).sum()
    }

    /// Lets go of what is held: each such record is acked at its log's end.
    pub(crate) fn release(&mut self) {
        for client in 0..self.held.len() {
            for arrival in std::mem::take(&mut self.held[client]) {
                let offset = self.append(arrival.partition);
                self.deliver(&arrival, Outcome::Acked { offset });
            }
        }
    }

    fn append(&mut self, partition: i32) -> i64 {
        let end = self.ends.entry(partition).or_default();
        *end += 1;
        *end - 1
    }

    fn deliver(&mut self, Arrival { client, token, .. }: &Arrival, outcome: Outcome) {
        self.deliveries[*client].push_back(Delivery { token: *token, outcome });
    }

    fn arrive(
        &mut self,
        client: usize,
        partition: i32,
        record: &Record<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), SendError> {
        let arrival = Arrival {
            nth: self.arrivals.len(),
            client,
            partition,
            token: record.token,
            key: record.key.to_vec(),
            value: value.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(|(name, value)| (*name, value.to_vec())).collect(),
            timestamp_ms: record.timestamp_ms,
        };
        self.arrivals.push(arrival.clone());
        if let Some(error) = self.finished[client] {
            return Err(SendError::Fatal(error));
        }
        let reaction = (self.react)(&arrival);
        match reaction {
            Reaction::Full => return Err(SendError::QueueFull),
            Reaction::Refuse(error) => return Err(SendError::Refused(error)),
            Reaction::Finish(error) => {
                self.finished[client] = Some(error);
                return Err(SendError::Fatal(error));
            }
            _ => {}
        }
        if self.settings[client].transactions.is_some() {
            self.in_transaction.insert(arrival.partition);
        }
        if let Some(outcome) = self.outcome(reaction, arrival.partition) {
            self.deliver(&arrival, outcome);
        } else {
            self.held[client].push(arrival);
        }
        Ok(())
    }

    /// What comes back of a record that was taken; `None` for nothing.
    fn outcome(&mut self, reaction: Reaction, partition: i32) -> Option<Outcome> {
        Some(match reaction {
            Reaction::Ack => Outcome::Acked { offset: self.append(partition) },
            Reaction::AckBehind(others) => {
                *self.ends.entry(partition).or_default() += others;
                Outcome::Acked { offset: self.append(partition) }
            }
            Reaction::AckAt(offset) => {
                self.ends.insert(partition, offset + 1);
                Outcome::Acked { offset }
            }
            Reaction::AckSomewhere => {
                self.append(partition);
                Outcome::AckedNoOffset
            }
            Reaction::Fail(error) => Outcome::Failed(error),
            Reaction::Lose(error) => {
                self.append(partition);
                Outcome::Unknown(error)
            }
            Reaction::Hold | Reaction::Full | Reaction::Refuse(_) | Reaction::Finish(_) => return None,
        })
    }

    fn abandon(&mut self, client: usize) {
        for arrival in std::mem::take(&mut self.held[client]) {
            self.deliver(&arrival, Outcome::Unknown(KafkaError::Local(LocalError::PurgedInFlight)));
        }
    }

    fn ask(&mut self, client: usize, partitions: Vec<i32>, isolation: Isolation) -> QuestionId {
        let (id, nth) = (QuestionId::next(), self.questions.len());
        let question = Question { nth, client, partitions, isolation };
        self.questions.push(question.clone());
        let reply = (self.answer)(&question);
        self.under_way.push((id, question, reply));
        id
    }

    fn look(&mut self, client: usize, id: QuestionId) -> Option<TopicAnswers> {
        let is_it =
            |(known, question, _): &(QuestionId, Question, Reply)| *known == id && question.client == client;
        let Some(place) = self.under_way.iter().position(is_it) else { return Some(TopicAnswers::new()) };
        if let Reply::After(looks @ 1..) = &mut self.under_way[place].2 {
            *looks -= 1;
            return None;
        }
        let (_, question, reply) = self.under_way.swap_remove(place);
        let answer = |partition: &i32| {
            let offset = self.ends.get(partition).copied().unwrap_or(0);
            let answer = match reply {
                Reply::Error(error) => Err(error),
                Reply::At(offset) => Ok(OffsetAndEpoch { offset, leader_epoch: 0 }),
                Reply::Ends | Reply::After(_) => Ok(OffsetAndEpoch { offset, leader_epoch: 0 }),
            };
            (*partition, answer)
        };
        Some(question.partitions.iter().map(answer).collect())
    }

    /// Markers lie behind a transaction's records, as Apache Kafka writes them.
    fn end_transaction(&mut self, end: End) -> Ended {
        if end != End::Start {
            for partition in std::mem::take(&mut self.in_transaction) {
                self.append(partition);
            }
        }
        (self.end)(end)
    }
}

/// Such a writer.
pub(crate) struct Writer {
    writes: Rc<RefCell<Writes>>,
    table: Arc<PartitionTable>,
    client: usize,
    transactions: RefCell<Option<(Receiver<End>, Sender<Ended>)>>,
    slots: Slots,
}

impl Writer {
    pub(super) fn new(
        shared: Rc<RefCell<Writes>>,
        settings: &WriterSettings,
        table: Arc<PartitionTable>,
    ) -> Self {
        let mut writes = shared.borrow_mut();
        let client = writes.clients();
        writes.settings.push(settings.clone());
        writes.held.push(Vec::new());
        writes.deliveries.push(VecDeque::new());
        writes.finished.push(None);
        drop(writes);
        Self { writes: shared, table, client, transactions: RefCell::default(), slots: Slots::default() }
    }

    /// Ends what is to be ended. Whoever asked has gone on by then.
    fn serve(&self) {
        if let Some((asked, answers)) = &*self.transactions.borrow()
            && let Ok(end) = asked.try_recv()
        {
            let ended = self.writes.borrow_mut().end_transaction(end);
            // Nobody hears it where the client has been replaced.
            let _ = answers.try_send(ended);
        }
    }
}

impl LogWriter for Writer {
    fn send(&mut self, record: &Record<'_>) -> Result<(), SendError> {
        let value = record.value.map(|value| match value {
            Value::Lasting(value) | Value::Passing(value) => value,
            Value::Slot => self.slots.value(record.token),
        });
        let partition = self.table.partition(record.partition);
        self.writes.borrow_mut().arrive(self.client, partition, record, value)?;
        if matches!(record.value, Some(Value::Slot)) {
            self.slots.lend(record.token);
        }
        Ok(())
    }

    fn poll(&mut self, limit_events: usize, mut each: impl FnMut(Delivery)) -> usize {
        self.serve();
        let mut writes = self.writes.borrow_mut();
        if writes.finished[self.client].is_some() {
            writes.abandon(self.client);
        }
        let all = &mut writes.deliveries[self.client];
        let count = all.len().min(limit_events);
        for delivery in all.drain(..count) {
            self.slots.give_back(delivery.token);
            each(delivery);
        }
        count
    }

    async fn wait(&self, _limit: Duration) {
        assert!(self.writes.borrow().began.elapsed() < PATIENCE, "this would go on for ever");
        futures_lite::future::yield_now().await;
    }

    fn fatal_error(&self) -> Option<KafkaError> {
        self.writes.borrow().finished[self.client]
    }

    fn abandon(&mut self) {
        self.writes.borrow_mut().abandon(self.client);
    }

    fn ask_offsets(
        &mut self,
        partitions: &[PartitionSlot],
        _spec: OffsetSpec,
        isolation: Isolation,
    ) -> QuestionId {
        let partitions = partitions.iter().map(|slot| self.table.partition(*slot)).collect();
        self.writes.borrow_mut().ask(self.client, partitions, isolation)
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        let answers = self.writes.borrow_mut().look(self.client, question)?;
        let slot = |partition| self.table.slot(TopicPartition { topic: 0, partition });
        Some(answers.into_iter().map(|(partition, answer)| (slot(partition).unwrap(), answer)).collect())
    }

    fn transactions(&self) -> Result<Transactions, ClientError> {
        let (ours, asked, answers) = Transactions::channel();
        *self.transactions.borrow_mut() = Some((asked, answers));
        Ok(ours)
    }
}

impl SlotWriter for Writer {
    fn slots(&mut self) -> &mut Slots {
        &mut self.slots
    }
}
