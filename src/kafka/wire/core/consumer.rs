//! A client that reads partitions: a source, its questions, and the connections that they go over.

use std::{rc::Rc, sync::Arc};

use super::{
    asking::send_questions,
    client::Client,
    code,
    connection::{ConnectionError, Response},
    group_places::{PlaceAsk, PlaceWord},
    machine::LinkId,
    network::{Network, NetworkSettings, Peer, Purpose, Tag},
    placing::Placing,
    questions::{QuestionId, Questions, What},
    source::{AnswerError, Source, SourceSettings, TurnKey, Visitor},
};
use crate::{
    kafka::wire::protocol::{Api, FetchRequest, TopicRef},
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// The first Fetch that names topics by their ids.
const FETCH_BY_ID: i16 = 13;
/// How often it is told that nobody can say who leads, µs.
const DENIAL_US: u64 = 1_000_000;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Records, in this turn.
    Fetch(TurnKey),
    /// A question, by its number.
    Question(u64),
    /// A question to or about a group's coordinator.
    Place(PlaceAsk),
}

/// How a client reads.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerSettings {
    /// Its connections.
    pub network: NetworkSettings,
    /// Its fetches.
    pub source: SourceSettings,
    /// How long a broker may take for a Fetch, beside the time for which it was asked to wait, µs.
    pub fetch_us: u64,
}

/// Reads a table's partitions.
#[derive(Debug)]
pub(crate) struct Consumer {
    table: Arc<PartitionTable>,
    network: Network<Sent>,
    source: Source,
    questions: Questions,
    /// The group for whose member it reads, if for any.
    placing: Option<Placing>,
    fetch_us: u64,
    /// The cluster's version by which the source knows its leaders.
    led: Option<u64>,
    /// Some partition that is read has no leader.
    has_leaderless: bool,
    /// Questions have been answered since somebody looked.
    has_answers: bool,
    /// When it was told last that nobody can say who leads, µs.
    denied_us: Option<u64>,
    /// Used again and again.
    due: Vec<TurnKey>,
    /// Used again and again.
    missing: Vec<(usize, PartitionSlot)>,
}

impl Consumer {
    /// Reads nothing yet.
    #[must_use]
    pub(crate) fn new(settings: ConsumerSettings, table: &Arc<PartitionTable>) -> Self {
        let source = Source::new(settings.source, table);
        Self::of(settings, source, table)
    }

    /// Reads for a member of a group, and nothing yet.
    #[must_use]
    pub(crate) fn in_group(settings: ConsumerSettings, group: Rc<str>, table: &Arc<PartitionTable>) -> Self {
        let placing = Placing::new(group, settings.source.read_committed);
        Self { placing: Some(placing), ..Self::new(settings, table) }
    }

    /// Reads nothing yet, with so many seats; see [`Source::with_seats`].
    #[must_use]
    pub(crate) fn with_seats(settings: ConsumerSettings, seats: usize, table: &Arc<PartitionTable>) -> Self {
        let source = Source::with_seats(settings.source, seats);
        Self::of(settings, source, table)
    }

    fn of(settings: ConsumerSettings, source: Source, table: &Arc<PartitionTable>) -> Self {
        Self {
            table: table.clone(),
            network: Network::new(settings.network, table.clone()),
            source,
            questions: Questions::with_doubts(table.clone()),
            placing: None,
            fetch_us: settings.fetch_us,
            led: None,
            has_leaderless: false,
            has_answers: false,
            denied_us: None,
            due: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Whether it reads only what is committed.
    #[must_use]
    pub(crate) fn is_read_committed(&self) -> bool {
        self.source.settings().read_committed
    }

    /// Reads a partition from this offset on; see [`Source::read_from`].
    pub(crate) fn read_from(
        &mut self,
        slot: PartitionSlot,
        offset: i64,
        epoch_before: Option<i32>,
        now_us: u64,
    ) {
        self.source.read_from(slot, offset, epoch_before);
        self.led = None;
        self.drive(now_us);
    }

    /// Stops reading a partition.
    pub(crate) fn stop(&mut self, slot: PartitionSlot) {
        self.source.stop(slot);
    }

    /// Has a seat look at a partition, from an offset on.
    pub(crate) fn read_at(&mut self, seat: usize, slot: PartitionSlot, offset: i64, now_us: u64) {
        self.source.read_at(seat, slot, self.table.place(slot), offset);
        self.led = None;
        self.drive(now_us);
    }

    /// A seat looks at nothing any more.
    pub(crate) fn stop_at(&mut self, seat: usize) {
        self.source.stop_at(seat);
    }

    /// The same as [`Self::show`], of what has come for a seat.
    pub(crate) fn show_at(&mut self, seat: usize, visitor: &mut impl Visitor, now_us: u64) -> usize {
        self.has_answers = false;
        let shown = self.source.show_at(seat, visitor);
        self.drive(now_us);
        shown
    }

    /// Seats for which something has come; one may be named more than once.
    pub(crate) fn seats_with_news(&self) -> impl Iterator<Item = usize> {
        self.source.seats_with_news()
    }

    /// Whether questions have been answered since somebody looked.
    #[must_use]
    pub(crate) fn has_answers(&self) -> bool {
        self.has_answers
    }

    /// Shows what has come, one batch or one event at the most, and so many records. Returns how many records and events that were.
    pub(crate) fn show(&mut self, limit: usize, visitor: &mut impl Visitor, now_us: u64) -> usize {
        self.has_answers = false;
        let shown = self.source.show_at_most(limit, visitor);
        self.drive(now_us);
        shown
    }

    /// Asks about partitions; see [`Questions::ask`].
    pub(crate) fn ask(
        &mut self,
        slots: &[PartitionSlot],
        what: What,
        deadline_us: u64,
        now_us: u64,
    ) -> QuestionId {
        let id = self.questions.ask(slots, what, deadline_us, now_us);
        self.drive(now_us);
        id
    }

    /// The questions that were asked.
    pub(crate) fn questions(&mut self) -> &mut Questions {
        self.has_answers = false;
        &mut self.questions
    }

    /// Asks where the group has consumed a partition up to: of a topic of the table, whether that has the partition or not. An
    /// earlier question about it is none any more.
    pub(crate) fn ask_place(&mut self, place: TopicPartition, now_us: u64) {
        if let Some(placing) = &mut self.placing {
            placing.places().ask(place);
        }
        self.drive(now_us);
    }

    /// No answer about the partition is wanted any more.
    pub(crate) fn withdraw_place(&mut self, place: TopicPartition) {
        if let Some(placing) = &mut self.placing {
            placing.places().withdraw(place);
        }
    }

    /// What the group has said next of its places.
    pub(crate) fn poll_place(&mut self) -> Option<PlaceWord> {
        self.placing.as_mut()?.places().poll_word()
    }

    /// The error with which leaders refuse to say whether their logs are the ones that were read: once.
    pub(crate) fn take_unchecked(&mut self) -> Option<i16> {
        self.source.take_unchecked()
    }

    /// Does everything that can be done now.
    fn drive(&mut self, now_us: u64) {
        while let Some(lost) = self.network.poll_lost() {
            for sent in lost.unanswered {
                match sent {
                    Sent::Fetch(turn) => self.source.fetch_failed(turn, now_us),
                    Sent::Question(number) => self.questions.failed(number, now_us),
                    Sent::Place(_) => self.placing.iter_mut().for_each(Placing::not_answered),
                }
            }
        }
        for (slot, hint) in self.source.hints() {
            self.network.cluster.hint(slot, hint);
        }
        self.lead(now_us);
        self.source.settle(&mut self.questions, now_us);
        self.questions.expire(now_us);
        if self.questions.take_doubt() {
            self.network.want_opinion(now_us);
        }
        if self.network.take_opinion() {
            self.questions.heard_opinion();
        }
        send_questions(&mut self.questions, &mut self.network, Sent::Question, now_us);
        if let Some(placing) = &mut self.placing {
            placing.step(&mut self.network, Sent::Place, now_us);
        }
        if self.source.take_stale() | self.questions.take_stale() {
            self.network.cluster.suspect();
        }
        self.fetch(now_us);
    }

    /// Tells the source who leads by now, or who cannot be told.
    fn lead(&mut self, now_us: u64) {
        let cluster = &self.network.cluster;
        if self.led != Some(cluster.version()) {
            self.source.lead(|slot| cluster.leader(slot));
            self.led = Some(cluster.version());
            self.has_leaderless = self.source.without_leader().next().is_some();
        }
        if self.has_leaderless && self.denied_us.is_none_or(|denied_us| now_us >= denied_us + DENIAL_US) {
            self.deny(now_us);
        }
    }

    /// Tells that partitions are not there, or must not be read, in the cluster's words. Without a leader alone, they wait.
    fn deny(&mut self, now_us: u64) {
        let mut missing = std::mem::take(&mut self.missing);
        missing.extend(self.source.without_leader());
        for (index, slot) in missing.drain(..) {
            let cluster = &self.network.cluster;
            let error = match cluster.topic_error(slot) {
                None => continue,
                Some(code::NONE) if cluster.has(slot) => continue,
                Some(code::NONE) => code::UNKNOWN_TOPIC_OR_PARTITION,
                Some(error) => error,
            };
            self.denied_us = Some(now_us);
            self.source.deny_leader(index, error);
        }
        self.missing = missing;
    }

    /// Sends every Fetch that can go out.
    fn fetch(&mut self, now_us: u64) {
        let mut due = std::mem::take(&mut self.due);
        due.extend(self.source.due(now_us));
        for turn in due.drain(..) {
            while self.fetch_in(turn, now_us) {}
        }
        self.due = due;
    }

    /// Sends the next Fetch of a turn. Returns whether there was one that could go out.
    fn fetch_in(&mut self, turn: TurnKey, now_us: u64) -> bool {
        let Self { network, source, fetch_us, .. } = self;
        let Some(link) = network.ready(Peer { broker: turn.broker, purpose: Purpose::Data }, now_us) else {
            return false;
        };
        let Some((connection, cluster)) = network.connection_and_cluster(link) else { return false };
        if !connection.has_room(source.settings().requests_at_once, now_us) {
            return false;
        }
        let version = match connection.version(Api::Fetch) {
            Ok(version) => version,
            Err(error) => {
                network.fail(link, error.into(), now_us);
                return false;
            }
        };
        let SourceSettings { max_wait_ms, min_bytes, read_committed, .. } = *source.settings();
        let Some(fetch) = source.next_fetch(turn, now_us) else { return false };
        let (version, topics) = cluster.topics(version, FETCH_BY_ID);
        let partitions = fetch.partitions.len();
        let request = FetchRequest {
            topics,
            partitions: fetch.partitions,
            max_wait_ms,
            min_bytes,
            max_bytes: fetch.max_bytes,
            read_committed,
            rack: "",
        };
        let wait_us = u64::from(max_wait_ms.unsigned_abs()) * 1_000;
        let deadline_us = connection.deadline_us(now_us, wait_us + *fetch_us);
        connection.send_version(&request, version, deadline_us, Tag::Own(Sent::Fetch(turn)));
        connection.measure(partitions, 0);
        true
    }

    /// An answer is there.
    fn take(&mut self, link: LinkId, response: &Response<Sent>, now_us: u64) {
        let Self { network, source, questions, placing, table, .. } = self;
        let outcome = match response.tag {
            Sent::Question(number) => {
                let body = network.body(link, response);
                self.has_answers = true;
                body.and_then(|body| {
                    let answered = questions.answered(number, response.version, body, now_us);
                    let Response { api, version, .. } = *response;
                    answered.map_err(|error| ConnectionError::Unreadable { api, version, error })
                })
                .inspect(|_| pass(network, link))
            }
            Sent::Place(ask) => {
                let Some(placing) = placing else { return };
                let body = network.body(link, response);
                placing.take_in(ask, response, body, (table, now_us)).inspect(|_| pass(network, link))
            }
            Sent::Fetch(turn) => {
                let Some((connection, cluster)) = network.connection_and_cluster(link) else { return };
                let mut spare = source.spare();
                let (from, to) = connection.swap(&mut spare);
                let slot = |topic: TopicRef<'_>, partition| cluster.slot(topic, partition);
                let answered = source.fetched(turn, response.version, slot, (spare, from, to), now_us);
                answered.map(|answer| answer.throttle_time_ms).map_err(|error| unreadable(response, error))
            }
        };
        match outcome {
            Ok(throttle_ms) => network.throttle(link, response.api, throttle_ms, now_us),
            Err(error) => network.fail(link, error, now_us),
        }
    }
}

impl Client for Consumer {
    type Tag = Sent;

    fn network(&self) -> &Network<Sent> {
        &self.network
    }

    fn network_mut(&mut self) -> &mut Network<Sent> {
        &mut self.network
    }

    fn take_in(&mut self, link: LinkId, response: Response<Sent>, now_us: u64) {
        self.take(link, &response, now_us);
    }

    fn follow_up(&mut self, now_us: u64) {
        self.drive(now_us);
    }

    fn keep_time(&mut self, now_us: u64) {
        self.network.handle_timeout(now_us);
        self.drive(now_us);
    }

    fn own_deadline_us(&self, now_us: u64) -> u64 {
        let place_us = self.placing.as_ref().map_or(u64::MAX, |placing| placing.next_deadline_us(now_us));
        let read_us = self.source.next_deadline_us(now_us).min(self.questions.next_deadline_us(now_us));
        read_us.min(place_us)
    }

    fn has_own_news(&self) -> bool {
        self.source.has_arrived() || self.has_answers || self.placing.as_ref().is_some_and(Placing::has_words)
    }
}

fn pass<T: Copy>(network: &mut Network<T>, link: LinkId) {
    if let Some(connection) = network.connection(link) {
        connection.pass();
    }
}

fn unreadable(response: &Response<Sent>, error: AnswerError) -> ConnectionError {
    match error {
        AnswerError::Decode(error) => {
            ConnectionError::Unreadable { api: response.api, version: response.version, error }
        }
        AnswerError::NotAsked(_) => ConnectionError::Lost(error.to_string()),
    }
}

#[cfg(test)]
#[path = "consumer_tests.rs"]
mod tests;
