//! Reading with librdkafka, and all that has to be done around it so that it shows what the log holds and says where it
//! cannot.
//!
//! **A log that was truncated** is told by its new leader: librdkafka asks it where the epoch of the last record ends, and is
//! made to ask again when a new leader's record follows. Nobody believes that at once: another client reads the record
//! before the place again ([`witness`]).
//! **What cannot be read** librdkafka names with its beginning at the most: another client finds out how far it goes
//! ([`unreadable`], [`skip`]). Of a record that it cannot take apart it says nothing at all: where a place stands still,
//! it is looked at ([`prober`]).
//! **A client that sleeps** is replaced by one that has had an answer ([`renewal`]).

mod places;
mod prober;
mod read_position;
mod renewal;
mod skip;
mod unreadable;
mod witness;

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    places::Places,
    read_position::{Begin, Judgement, ReadPosition, Remedy, State},
    renewal::{Renewal, UnansweredTimer},
    witness::LeaderAnswer,
};
pub(crate) use self::{
    prober::{Answer as ProbeAnswer, Prober},
    unreadable::MALFORMED,
};
use super::{
    admin::offsets::OffsetQuery, consumer::Consumer, fault::LogTruncation, settings::ConsumerSettings,
};
use crate::{
    findings::{Side, complaints},
    kafka::{
        Answers, ClientError, Inquiry, LogEvent, LogReader, LogVisitor, OffsetSpec, QuestionId, ReadFrom,
        Reply,
    },
    partitions::{PartitionSlot, PartitionTable},
};

/// Between being refused a place and asking where the log starts and ends: a leader that has just been elected may say so
/// in passing.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);
/// The longest wait while somebody is asked, which does not wake anybody when it is answered.
const ANSWER_WAIT: Duration = Duration::from_millis(5);
/// Between two new clients that are started because one shows nothing.
const RENEW_PAUSE: Duration = Duration::from_secs(15);

/// A consumer, used by one shard.
pub(crate) struct Reader {
    // Questions go before the client that they were asked of.
    questions: Vec<Question>,
    /// What is to take the client's place.
    renewal: Option<Renewal>,
    consumer: Consumer,
    settings: ConsumerSettings,
    table: Arc<PartitionTable>,
    places: Places,
    prober: Prober,
    /// What the brokers are asked about places that were refused.
    inquiry: Option<Inquiry>,
    unanswered_timer: UnansweredTimer,
    renewed: Option<Instant>,
}

/// What the client was asked.
struct Question {
    id: QuestionId,
    partitions: Vec<PartitionSlot>,
    spec: OffsetSpec,
    query: OffsetQuery,
}

impl Reader {
    /// Starts a client. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn start(
        settings: &ConsumerSettings,
        table: &Arc<PartitionTable>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            questions: Vec::new(),
            renewal: None,
            consumer: Consumer::start(settings, table)?,
            settings: settings.clone(),
            table: table.clone(),
            places: Places::new(table.count()),
            prober: Prober::new(settings, table.clone()),
            inquiry: None,
            unanswered_timer: UnansweredTimer::default(),
            renewed: None,
        })
    }

    /// Does what became necessary by what was shown last.
    fn step(&mut self, visitor: &mut impl LogVisitor) -> usize {
        self.take_renewed();
        self.do_what_is_due();
        let told = self.hear_prober(visitor);
        told + self.look_at_refused(visitor)
    }

    /// Goes on with the new client, when there is one that has had an answer.
    fn take_renewed(&mut self) {
        let Some(consumer) = Renewal::take(&mut self.renewal) else { return };
        let asked: Vec<_> =
            self.questions.drain(..).map(|asked| (asked.id, asked.partitions, asked.spec)).collect();
        self.consumer = consumer;
        for (id, partitions, spec) in asked {
            self.ask(id, &partitions, spec);
        }
        for (partition, place) in self.places.all() {
            if matches!(place.state, State::Reading | State::Confirming) {
                self.consumer.read_from(partition, place.position);
            }
        }
    }

    fn renew(&mut self) {
        let now = Instant::now();
        if self.renewal.is_some() || self.renewed.is_some_and(|renewed| now - renewed < RENEW_PAUSE) {
            return;
        }
        tracing::debug!("a reader starts a new client: the old one has shown nothing for a while");
        self.renewed = Some(now);
        let read = self.places.all().filter(|(_, place)| place.state != State::Idle);
        let partitions: Vec<PartitionSlot> = read.map(|(partition, _)| partition).collect();
        match Renewal::begin(&self.settings, &self.table, &partitions) {
            Ok(renewal) => self.renewal = Some(renewal),
            Err(error) => tracing::warn!("a reader keeps its client, which shows nothing: {error}"),
        }
    }

    /// Asks new leaders whether their logs are the same as those that were read, and has the end of what cannot be read
    /// looked for.
    fn do_what_is_due(&mut self) {
        while let Some(partition) = self.places.to_do.pop() {
            let Some(place) = self.places.of(partition) else { continue };
            match place.state {
                State::Confirming => {
                    place.state = State::Reading;
                    let (offset, epoch) = place.last();
                    self.consumer.confirm(partition, offset, epoch);
                }
                State::Unreadable => {
                    place.state = State::Searched;
                    self.consumer.stop(partition);
                    self.prober.how_far(partition, place.position);
                }
                _ => {}
            }
        }
    }

    /// What has been found out about places.
    fn hear_prober(&mut self, visitor: &mut impl LogVisitor) -> usize {
        let answers = self.prober.answers();
        let count = answers.len();
        for answer in answers {
            match answer {
                ProbeAnswer::Malformed { partition, offset } => self.malformed(partition, offset, visitor),
                // A client that shows nothing for long is renewed in any case.
                ProbeAnswer::Readable { .. } => {}
                ProbeAnswer::Reaches { partition, from, to } => {
                    self.go_on_behind(partition, from..to, visitor);
                }
                ProbeAnswer::Leader { suspect, word } => {
                    if word != LeaderAnswer::Unanswered {
                        self.unanswered_timer.heard();
                    }
                    let place = self.places.of(suspect.partition);
                    if let Some(judgement) = place.and_then(|place| place.handle_reply(suspect, word)) {
                        self.draw_consequences(suspect.partition, judgement, visitor);
                    }
                }
            }
        }
        count
    }

    /// The broker has sent what lies there, and nobody can read it.
    fn malformed(&mut self, partition: PartitionSlot, offset: i64, visitor: &mut impl LogVisitor) {
        let Some(place) = self.places.of(partition) else { return };
        if place.state == State::Reading && place.position == offset {
            place.unreadable(offset);
            self.places.to_do.push(partition);
            visitor.event(partition, LogEvent::Unreadable { from: offset, to: None, cause: MALFORMED });
        }
    }

    fn go_on_behind(
        &mut self,
        partition: PartitionSlot,
        unreadable: Range<i64>,
        visitor: &mut impl LogVisitor,
    ) {
        let Range { start: from, end } = unreadable;
        let Some(place) = self.places.of(partition) else { return };
        if place.state != State::Searched || place.position != from {
            return;
        }
        // Where the log was truncated meanwhile, that shows where it is read.
        let to = end.max(from);
        place.go_on(to);
        self.consumer.read_from(partition, to);
        visitor.event(partition, LogEvent::Unreadable { from, to: Some(to), cause: "" });
    }

    /// Asks where the logs start and end whose places were refused.
    fn look_at_refused(&mut self, visitor: &mut impl LogVisitor) -> usize {
        if let Some(mut inquiry) = self.inquiry.take() {
            let Some(replies) = inquiry.replies(self) else {
                self.inquiry = Some(inquiry);
                return 0;
            };
            return replies.into_iter().filter(|reply| self.judge(*reply, visitor)).count();
        }
        if !self.places.refused.is_empty() {
            let due = self.places.take_refused(Instant::now());
            self.inquiry = (!due.is_empty()).then(|| Inquiry::about(self, due));
        }
        0
    }

    /// Returns whether something came of it.
    fn judge(&mut self, Reply { partition, asked_at, ends }: Reply, visitor: &mut impl LogVisitor) -> bool {
        let Some(place) = self.places.of(partition) else { return false };
        if !matches!(place.state, State::Refused { .. }) || place.position != asked_at {
            return false;
        }
        let Some(ends) = ends else {
            place.state = State::Refused { asks_at: Instant::now() + REFUSED_PAUSE };
            self.places.refused.push(partition);
            return false;
        };
        let judgement = place.judge(partition, ends);
        self.draw_consequences(partition, judgement, visitor);
        true
    }

    fn draw_consequences(
        &mut self,
        partition: PartitionSlot,
        judgement: Judgement,
        visitor: &mut impl LogVisitor,
    ) {
        let Some(place) = self.places.of(partition) else { return };
        let position = place.position;
        match judgement {
            Judgement::ReadAgain => self.consumer.read_from(partition, position),
            Judgement::OutOfRange => visitor.event(partition, LogEvent::OutOfRange),
            Judgement::Suspect(suspect) => {
                self.consumer.stop(partition);
                self.prober.look_for_truncation(suspect);
            }
            Judgement::Truncated(LogTruncation { from, epoch, to }) => {
                self.consumer.stop(partition);
                visitor.event(partition, LogEvent::Truncated { from, epoch, to });
            }
            Judgement::NotTruncated { is_certain } => {
                let (behind, epoch) = place.last();
                self.consumer.read_from(partition, position);
                if is_certain {
                    // The client is to know again who wrote the last record: by that it notices when the log is truncated.
                    self.consumer.confirm(partition, behind, epoch);
                }
                visitor.event(partition, LogEvent::NotTruncated { next_offset: position, is_certain });
            }
        }
    }

    fn ask(&mut self, id: QuestionId, partitions: &[PartitionSlot], spec: OffsetSpec) {
        let query = self.consumer.ask(partitions, spec);
        self.questions.push(Question { id, partitions: partitions.to_vec(), spec, query });
    }

    /// What was answered tells of the client, too: whether it reaches anybody, and whether it shows what there is.
    fn note_answers(&mut self, spec: OffsetSpec, answers: &Answers) {
        let now = Instant::now();
        let mut renews = false;
        if answers.iter().any(|(_, answer)| answer.is_ok()) {
            self.unanswered_timer.heard();
        } else {
            renews = self.unanswered_timer.unanswered(now);
        }
        if spec == OffsetSpec::End {
            // Where a quota holds the client back, nothing has to come.
            let is_throttled = complaints().throttling(&[Side::Consumers]).is_some();
            for &(partition, answer) in answers {
                let Some(place) = self.places.of(partition) else { continue };
                let Some(end) = answer.ok().filter(|_| !is_throttled) else {
                    place.note_no_end();
                    continue;
                };
                if place.note_low_end(end.offset, now) {
                    self.places.refused.push(partition);
                    continue;
                }
                if let Some(remedy) = place.note_end(end.offset, now, self.settings.reader.quiet_limit) {
                    renews |= remedy == Remedy::LookAndRenew;
                    // It may be neither who sleeps: what lies there may be such that the client has nothing to show of it.
                    self.prober.what_is(partition, place.position);
                }
            }
        }
        if renews {
            self.renew();
        }
    }
}

impl LogReader for Reader {
    fn read_from(&mut self, partition: PartitionSlot, from: ReadFrom) {
        let Some(place) = self.places.of(partition) else { return };
        let begin = place.begin(from, Instant::now());
        let (behind, epoch) = place.last();
        if begin != Begin::Later {
            self.consumer.read_from(partition, from.offset);
        }
        if begin == Begin::Confirming {
            self.consumer.confirm(partition, behind, epoch);
        }
    }

    fn stop(&mut self, partition: PartitionSlot) {
        if let Some(place) = self.places.of(partition) {
            *place = ReadPosition::default();
        }
        self.consumer.stop(partition);
    }

    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize {
        let told = self.step(visitor);
        let places = &mut self.places;
        let shown = self.consumer.poll(|event| places.show(event, visitor));
        if shown > 0 {
            self.unanswered_timer.heard();
        }
        told + shown
    }

    async fn wait(&self, limit: Duration) {
        let is_asking = !self.questions.is_empty() || self.renewal.is_some();
        self.consumer.wait(if is_asking { limit.min(ANSWER_WAIT) } else { limit }).await;
    }

    fn ask_offsets(&mut self, partitions: &[PartitionSlot], spec: OffsetSpec) -> QuestionId {
        let id = QuestionId::next();
        self.ask(id, partitions, spec);
        id
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        let Some(index) = self.questions.iter().position(|asked| asked.id == question) else {
            return Some(Answers::new());
        };
        let answers = self.questions[index].query.take()?;
        let Question { spec, .. } = self.questions.swap_remove(index);
        self.note_answers(spec, &answers);
        Some(answers)
    }
}
