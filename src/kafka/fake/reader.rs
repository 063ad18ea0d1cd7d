//! A reader that shows what a test tells it, step by step.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    kafka::{
        Answers, Ends, KafkaError, LogEvent, LogReader, LogVisitor, MemberReader, OffsetAndEpoch, OffsetSpec,
        PlaceAnswer, PortionedReader, QuestionId, ReadFrom,
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    record::{RECORD_ID_HEADER, RecordView},
};

/// How long a test may wait: what waits for ever shall say so.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a reader was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    ReadFrom(i32, ReadFrom),
    Stop(i32),
}

/// What a reader shows or says next, one step for each poll.
pub(crate) enum Step {
    /// Records that name their own offsets.
    Show {
        partition: i32,
        offsets: Range<i64>,
        epoch: i32,
    },
    /// A record whose headers cannot be taken apart.
    ShowMalformed {
        partition: i32,
        offset: i64,
    },
    Say(i32, LogEvent<'static>),
    /// Nothing comes before it has been told this (since the last such step).
    Await(Call),
    /// Nothing comes before so many questions have been asked in all.
    AwaitQuestions(usize),
    /// This happens.
    Do(Box<dyn FnOnce()>),
}

/// What has happened, and what is to happen.
pub(crate) struct Reads {
    pub(crate) steps: VecDeque<Step>,
    /// Where each partition's log starts and ends.
    pub(crate) ends: BTreeMap<i32, Ends>,
    /// What a group says of its places next, of partitions that it is asked about.
    pub(crate) places: VecDeque<PlaceAnswer>,
    /// Partitions that it is asked about.
    pub(crate) asked_places: BTreeSet<i32>,
    /// What readers were told, in order.
    pub(crate) calls: Vec<Call>,
    /// Questions that have been asked.
    pub(crate) questions: usize,
    /// Readers that have been made.
    pub(crate) clients: usize,
    /// So many looks for answers find none; negative: they find errors.
    pub(crate) late: i32,
    awaited: usize,
    reading: BTreeSet<i32>,
    under_way: Vec<(QuestionId, Vec<i32>, OffsetSpec)>,
    began: Instant,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            steps: VecDeque::new(),
            ends: BTreeMap::new(),
            places: VecDeque::new(),
            asked_places: BTreeSet::new(),
            calls: Vec::new(),
            questions: 0,
            clients: 0,
            late: 0,
            awaited: 0,
            reading: BTreeSet::new(),
            under_way: Vec::new(),
            began: Instant::now(),
        }
    }
}

/// Such a reader.
pub(crate) struct Reader(Rc<RefCell<Reads>>, Arc<PartitionTable>);

impl Reader {
    pub(super) fn new(reads: Rc<RefCell<Reads>>, table: Arc<PartitionTable>) -> Self {
        reads.borrow_mut().clients += 1;
        Self(reads, table)
    }

    fn slot(&self, partition: i32) -> PartitionSlot {
        self.1.slot(TopicPartition { topic: 0, partition }).expect("a partition of the table")
    }
}

impl Reads {
    /// The next step, if it is time for it.
    fn next(&mut self) -> Option<Step> {
        assert!(self.began.elapsed() < PATIENCE, "nothing comes any more: {:?}", self.calls);
        loop {
            match self.steps.front()? {
                Step::Await(call) => {
                    let found = self.calls[self.awaited..].iter().position(|made| made == call)?;
                    self.awaited += found + 1;
                }
                Step::AwaitQuestions(count) if self.questions < *count => return None,
                Step::AwaitQuestions(_) => {}
                _ => return self.steps.pop_front(),
            }
            self.steps.pop_front();
        }
    }

    fn must_be_reading(&self, partition: i32) {
        assert!(self.reading.contains(&partition), "nobody reads partition {partition}: {:?}", self.calls);
    }

    fn answer(&self, partition: i32, spec: OffsetSpec) -> Result<OffsetAndEpoch, KafkaError> {
        let ends = self.ends.get(&partition).filter(|_| self.late >= 0).ok_or(KafkaError::timed_out())?;
        let offset = if spec == OffsetSpec::Start { ends.start } else { ends.end };
        Ok(OffsetAndEpoch { offset, leader_epoch: 0 })
    }
}

fn show(
    visitor: &mut impl LogVisitor,
    partition: PartitionSlot,
    (offset, epoch): (i64, i32),
    is_sound: bool,
) {
    record_at(offset, epoch, is_sound, |record| visitor.record(partition, record));
}

/// Shows a record that names its own offset, or one whose headers cannot be taken apart.
pub(crate) fn record_at<T>(
    offset: i64,
    epoch: i32,
    is_sound: bool,
    show: impl FnOnce(&RecordView<'_>) -> T,
) -> T {
    let id = format!("000000.{offset:018}");
    let first_header = is_sound.then_some((RECORD_ID_HEADER.as_bytes(), id.as_bytes()));
    let record = RecordView {
        offset,
        leader_epoch: epoch,
        sent_ms: None,
        has_sound_headers: is_sound,
        first_header,
        second_header: None,
        key: None,
        value: Some(b""),
        batch: None,
    };
    show(&record)
}

impl LogReader for Reader {
    fn read_from(&mut self, partition: PartitionSlot, place: ReadFrom) {
        let partition = self.1.partition(partition);
        let mut reads = self.0.borrow_mut();
        reads.reading.insert(partition);
        reads.calls.push(Call::ReadFrom(partition, place));
    }

    fn stop(&mut self, partition: PartitionSlot) {
        let partition = self.1.partition(partition);
        let mut reads = self.0.borrow_mut();
        reads.reading.remove(&partition);
        reads.calls.push(Call::Stop(partition));
    }

    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize {
        self.poll_at_most(usize::MAX, visitor)
    }

    async fn wait(&self, limit: Duration) {
        glommio::timer::sleep(limit.min(Duration::from_millis(1))).await;
    }

    fn ask_offsets(&mut self, partitions: &[PartitionSlot], spec: OffsetSpec) -> QuestionId {
        let partitions = partitions.iter().map(|slot| self.1.partition(*slot)).collect();
        let (id, mut reads) = (QuestionId::next(), self.0.borrow_mut());
        reads.questions += 1;
        reads.under_way.push((id, partitions, spec));
        id
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        let mut reads = self.0.borrow_mut();
        if reads.late > 0 {
            reads.late -= 1;
            return None;
        }
        let Some(place) = reads.under_way.iter().position(|asked| asked.0 == question) else {
            return Some(Answers::new());
        };
        let (_, partitions, spec) = reads.under_way.swap_remove(place);
        let answer = |partition| (self.slot(partition), reads.answer(partition, spec));
        Some(partitions.into_iter().map(answer).collect())
    }
}

impl PortionedReader for Reader {
    fn poll_at_most(&mut self, limit: usize, visitor: &mut impl LogVisitor) -> usize {
        let step = loop {
            let step = self.0.borrow_mut().next();
            match step {
                // It may look at what has been read.
                Some(Step::Do(happens)) => happens(),
                step => break step,
            }
        };
        match step {
            Some(Step::Show { partition, offsets, epoch }) => {
                self.0.borrow().must_be_reading(partition);
                let to =
                    offsets.end.min(offsets.start.saturating_add(i64::try_from(limit).unwrap_or(i64::MAX)));
                if to < offsets.end {
                    let rest = Step::Show { partition, offsets: to..offsets.end, epoch };
                    self.0.borrow_mut().steps.push_front(rest);
                }
                let partition = self.slot(partition);
                (offsets.start..to).map(|offset| show(visitor, partition, (offset, epoch), true)).count()
            }
            Some(Step::ShowMalformed { partition, offset }) => {
                self.0.borrow().must_be_reading(partition);
                show(visitor, self.slot(partition), (offset, 0), false);
                1
            }
            Some(Step::Say(partition, event)) => {
                self.0.borrow().must_be_reading(partition);
                if matches!(event, LogEvent::OutOfRange | LogEvent::Truncated { .. }) {
                    self.0.borrow_mut().reading.remove(&partition);
                }
                visitor.event(self.slot(partition), event);
                1
            }
            _ => 0,
        }
    }
}

impl MemberReader for Reader {
    fn ask_place(&mut self, place: TopicPartition) {
        self.0.borrow_mut().asked_places.insert(place.partition);
    }

    fn withdraw_place(&mut self, place: TopicPartition) {
        self.0.borrow_mut().asked_places.remove(&place.partition);
    }

    fn place(&mut self) -> Option<PlaceAnswer> {
        let mut reads = self.0.borrow_mut();
        let next =
            reads.places.iter().position(|(place, _)| reads.asked_places.contains(&place.partition))?;
        let answer = reads.places.remove(next)?;
        if answer.1.is_ok() {
            reads.asked_places.remove(&answer.0.partition);
        }
        Some(answer)
    }
}
