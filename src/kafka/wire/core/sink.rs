//! Records on their way to the brokers: one request for all partitions of a broker, sent when there is room for one.
//!
//! What is buffered goes as soon as fewer than the allowed requests are in flight to its leader: the busier a broker is,
//! the larger the next request gets, without any clock. On the data path: once buffers have grown nothing is allocated.

mod transactions;

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc};

use super::{
    cluster::Leader,
    connection::ConnectionError,
    idempotence::ProducerId,
    machine::{LinkId, Slices},
    network::{Network, Peer, Purpose, Tag},
    partition::{Batch, Cause, PartitionQueue, Settled},
    producer::{NotTaken, Own},
    verdict::is_about_leader,
};
use crate::{
    kafka::wire::{
        batch::{Codec, CrcShift, NewRecord, Packer},
        protocol::{Api, Decoder, LeaderHint, ProduceRequest, ProduceResponse, ProducedPartition, TopicRef},
    },
    mutants::enforced,
    partitions::{PartitionSlot, PartitionTable},
};

/// How records are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SinkSettings {
    /// How long a batch waits for more records, µs.
    pub linger_us: u64,
    /// The largest batch, in bytes, header included, before it is packed.
    pub batch_most_bytes: usize,
    /// What batches are packed with.
    pub codec: Codec,
    /// The largest request's batches, in bytes before they are packed, unless one is larger.
    pub request_most_bytes: usize,
    /// Requests in flight to one broker.
    pub requests_in_flight: usize,
    /// So many records may be on their way: with that, no batch waits for more.
    pub records_most: usize,
    /// How long a broker may wait for its replicas, ms.
    pub replicas_ms: i32,
    /// How long a broker may take to answer, µs.
    pub answer_us: u64,
    /// How long it may still take once another broker leads one of the partitions, µs.
    pub deposed_us: u64,
}

/// The request of a slot in the list of requests.
pub(crate) type RequestSlot = usize;

/// A Produce, without its batches: they lie in their partitions' queues.
#[derive(Debug, Default)]
struct Request {
    link: Option<LinkId>,
    /// The partitions, in the order of their batches.
    partitions: Vec<PartitionSlot>,
    head: Vec<u8>,
    cuts: Vec<usize>,
    bytes: usize,
}

/// What is to be written on a link.
#[derive(Debug)]
struct Outgoing {
    link: LinkId,
    requests: VecDeque<RequestSlot>,
    /// Bytes of the first one that have been written.
    written: usize,
}

/// A broker, and the partitions that it leads.
#[derive(Debug)]
struct Led {
    broker: i32,
    partitions: Vec<(PartitionSlot, Leader)>,
    /// Which partition is first in the next request: where not all fit, they take turns.
    first: usize,
}

/// Everything that is on its way.
#[derive(Debug)]
pub(crate) struct Sink {
    settings: SinkSettings,
    table: Arc<PartitionTable>,
    /// By slot.
    partitions: Vec<PartitionQueue>,
    led: Vec<Led>,
    /// The state of the cluster that `led` was made of.
    led_of: Option<u64>,
    requests: Vec<Request>,
    unused: Vec<RequestSlot>,
    outgoing: Vec<Outgoing>,
    settled: VecDeque<Settled>,
    spare: Vec<Batch>,
    packer: Option<Packer>,
    /// For partitions that have not sent anything.
    producer: Option<ProducerId>,
    /// A partition has none.
    wants_producer: bool,
    /// The transaction that is open; `None`: there are none.
    transaction: Option<transactions::Transaction>,
    /// Partitions with records that are not part of it yet.
    unadmitted: Vec<PartitionSlot>,
    records: usize,
    buffered: usize,
    /// When a batch has lingered long enough, µs.
    due_us: u64,
    /// The batches of the next request.
    gathered: Vec<Gathered>,
}

/// A batch of the next request.
#[derive(Clone, Copy, Debug)]
struct Gathered {
    slot: PartitionSlot,
    /// Its place in the partition's queue.
    position: usize,
    leader: Leader,
}

/// What an answer says beside the fate of batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    /// For so long the broker reads nothing more, ms.
    pub throttle_ms: i32,
    /// Somebody else may lead a partition by now.
    pub is_about_leader: bool,
    /// Who leads which partition by now.
    pub hints: Vec<(PartitionSlot, LeaderHint)>,
    /// The first error, or 0.
    pub error: i16,
}

/// The first version of Produce that names topics by their ids.
const BY_ID_FROM: i16 = 13;
/// The first version that adds its partitions to the transaction.
const ADDS_PARTITIONS_FROM: i16 = 12;

impl Sink {
    /// Nothing is on its way.
    #[must_use]
    pub(crate) fn new(settings: SinkSettings, table: Arc<PartitionTable>) -> Self {
        Self {
            settings,
            partitions: table.slots().map(|slot| PartitionQueue::new(table.partition(slot))).collect(),
            table,
            led: Vec::new(),
            led_of: None,
            requests: Vec::new(),
            unused: Vec::new(),
            outgoing: Vec::new(),
            settled: VecDeque::new(),
            spare: Vec::new(),
            packer: Packer::new(settings.codec),
            producer: None,
            wants_producer: false,
            transaction: None,
            unadmitted: Vec::new(),
            records: 0,
            buffered: 0,
            due_us: u64::MAX,
            gathered: Vec::new(),
        }
    }

    /// Records that were taken and whose fate has not been told.
    #[must_use]
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Whether no more record is taken for now.
    #[must_use]
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.records >= self.settings.records_most && enforced("wire-records-most")
    }

    /// Takes a record for a partition.
    ///
    /// # Errors
    /// It is larger than a batch may be.
    #[inline]
    pub(crate) fn push(
        &mut self,
        slot: PartitionSlot,
        record: &NewRecord<'_>,
        token: usize,
        now_us: u64,
    ) -> Result<(), NotTaken> {
        let queue = &mut self.partitions[slot.index()];
        let (spare, most_bytes) = (&mut self.spare, self.settings.batch_most_bytes);
        let new_batch = || spare.pop().unwrap_or_default();
        if let Err(batch) = queue.push(record, token, most_bytes, new_batch, now_us) {
            self.spare.push(*batch);
            return Err(NotTaken::TooLarge);
        }
        // The first of them, for all partitions.
        self.wants_producer |= self.records == 0 && self.producer.is_none();
        self.records += 1;
        self.buffered += 1;
        Ok(())
    }

    /// Whether a partition has no producer id.
    #[must_use]
    pub(crate) fn wants_producer(&self) -> bool {
        self.wants_producer
    }

    /// A producer id that has not been used: every partition that has none gets it.
    pub(crate) fn set_producer(&mut self, producer: ProducerId) {
        self.producer = Some(producer);
        self.wants_producer = false;
        self.partitions.iter_mut().for_each(|queue| queue.set_producer(producer));
    }

    /// The next batch whose fate is known. It comes back with [`Self::recycle`].
    pub(crate) fn next_settled(&mut self) -> Option<Settled> {
        let settled = self.settled.pop_front()?;
        self.records -= settled.batch.tokens().len();
        Some(settled)
    }

    /// Whether there is such a batch.
    #[must_use]
    pub(crate) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    /// A batch that is done with.
    pub(crate) fn recycle(&mut self, mut batch: Batch) {
        batch.clear();
        self.spare.push(batch);
    }

    /// Sends what may be sent.
    pub(crate) fn send(&mut self, network: &mut Network<Own>, shift: &CrcShift, now_us: u64) {
        self.note_leaders(network, now_us);
        self.due_us = u64::MAX;
        if self.buffered == 0 {
            return;
        }
        for index in 0..self.led.len() {
            let peer = Peer { broker: self.led[index].broker, purpose: Purpose::Data };
            let Some(link) = network.ready(peer, now_us) else { continue };
            let most = self.settings.requests_in_flight;
            while network.connection_ref(link).is_some_and(|connection| connection.has_room(most, now_us))
                && self.gather(index, now_us)
            {
                if let Err(error) = self.start(link, network, shift, now_us) {
                    network.fail(link, error, now_us);
                }
            }
        }
    }

    /// Sorts partitions by their leaders anew, if these have changed.
    fn note_leaders(&mut self, network: &mut Network<Own>, now_us: u64) {
        let now = Some(network.cluster.version());
        if std::mem::replace(&mut self.led_of, now) == now {
            return;
        }
        self.led.iter_mut().for_each(|led| led.partitions.clear());
        for slot in self.table.slots() {
            let Some(leader) = network.cluster.leader(slot) else { continue };
            let known = self.led.iter().position(|led| led.broker == leader.broker);
            let index = known.unwrap_or_else(|| {
                self.led.push(Led { broker: leader.broker, partitions: Vec::new(), first: 0 });
                self.led.len() - 1
            });
            self.led[index].partitions.push((slot, leader));
        }
        self.led.retain(|led| !led.partitions.is_empty());
        self.hurry_the_deposed(network, now_us);
    }

    /// A broker that leads no more may be gone for good: nothing goes to its successor before it answers, or its
    /// connection is closed.
    fn hurry_the_deposed(&self, network: &mut Network<Own>, now_us: u64) {
        for request in &self.requests {
            let is_deposed = |slot: &PartitionSlot| {
                let queue = &self.partitions[slot.index()];
                let leader = network.cluster.leader(*slot);
                leader.is_some() && queue.leader_in_flight().is_some_and(|before| Some(before) != leader)
            };
            if let Some(link) = request.link
                && request.partitions.iter().any(is_deposed)
                && let Some(connection) = network.connection(link)
            {
                connection.hurry(now_us + self.settings.deposed_us);
            }
        }
    }

    /// Puts the next request to a broker together: which batches. Returns whether it may go now.
    fn gather(&mut self, index: usize, now_us: u64) -> bool {
        let Self { settings, partitions, led, gathered, due_us, unadmitted, .. } = self;
        let Led { partitions: candidates, first, .. } = &mut led[index];
        gathered.clear();
        let (mut bytes, mut is_due, mut earliest_us) = (0, self.records >= settings.records_most, u64::MAX);
        let count = candidates.len();
        for step in 0..count {
            let turn = (*first + step) % count;
            let (slot, leader) = candidates[turn];
            let queue = &mut partitions[slot.index()];
            let Some(position) = queue.next(leader, now_us) else {
                if queue.wants_admission() {
                    unadmitted.push(slot);
                }
                let not_before_us = queue.not_before_us();
                if not_before_us > now_us {
                    earliest_us = earliest_us.min(not_before_us);
                }
                continue;
            };
            let batch_bytes = queue.bytes(position);
            if !gathered.is_empty() && bytes + batch_bytes > settings.request_most_bytes {
                // It has to wait for the next request, and is the first there.
                *first = turn;
                is_due = true;
                break;
            }
            bytes += batch_bytes;
            gathered.push(Gathered { slot, position, leader });
            let due_us = queue.due_us(position, settings.linger_us);
            is_due |= due_us <= now_us;
            earliest_us = earliest_us.min(due_us);
        }
        if !is_due || gathered.is_empty() {
            *due_us = (*due_us).min(earliest_us);
        }
        is_due && !gathered.is_empty()
    }

    /// Sends what was gathered.
    fn start(
        &mut self,
        link: LinkId,
        network: &mut Network<Own>,
        shift: &CrcShift,
        now_us: u64,
    ) -> Result<(), ConnectionError> {
        let Some((connection, cluster)) = network.connection_and_cluster(link) else { return Ok(()) };
        // One that is newer would have brokers add partitions that the coordinator is asked to add.
        let is_former = self.transaction.as_ref().is_some_and(|open| !open.adds_partitions);
        let newest = if is_former { ADDS_PARTITIONS_FROM - 1 } else { i16::MAX };
        let spoken = connection.version(Api::Produce)?.min(newest);
        let transactional_id = self.transaction.as_ref().map(|open| &*open.id);
        let (version, topics) = cluster.topics(spoken, BY_ID_FROM);
        let table = &self.table;
        let topic_of = |gathered: &Gathered| table.place(gathered.slot).topic;
        if table.topics().len() > 1 {
            // A request names a topic once: a broker leaves out what follows a second time.
            self.gathered.sort_unstable_by_key(|gathered| (topic_of(gathered), gathered.slot));
        }
        let by_topic = || self.gathered.chunk_by(|one, next| topic_of(one) == topic_of(next));
        let number = self.unused.pop().unwrap_or_else(|| {
            self.requests.push(Request::default());
            self.requests.len() - 1
        });
        let deadline_us = connection.deadline_us(now_us, self.settings.answer_us);
        let (correlation_id, client_id) =
            connection.register(Api::Produce, version, deadline_us, Tag::Own(Own::Produce(number)));
        let Request { link: of, partitions, head, cuts, bytes } = &mut self.requests[number];
        (*of, *bytes) = (Some(link), 0);
        partitions.clear();
        head.clear();
        cuts.clear();
        let ids = (version, correlation_id, &*client_id);
        let mut request = ProduceRequest::begin(
            ids,
            (transactional_id, self.settings.replicas_ms),
            by_topic().count(),
            head,
            cuts,
        );
        for of_topic in by_topic() {
            request.begin_topic(topics.at(topic_of(&of_topic[0])), of_topic.len());
            for &Gathered { slot, position, leader } in of_topic {
                let queue = &mut self.partitions[slot.index()];
                if let Some(packer) = &mut self.packer {
                    queue.pack(position, packer);
                }
                self.buffered -= queue.start(position, number, leader, shift);
                request.partition(queue.partition(), queue.bytes(position));
                partitions.push(slot);
            }
            request.end_topic();
        }
        *bytes = request.finish();
        connection.measure(self.gathered.len(), *bytes);
        match self.outgoing.iter_mut().find(|outgoing| outgoing.link == link) {
            Some(outgoing) => outgoing.requests.push_back(number),
            None => self.outgoing.push(Outgoing { link, requests: [number].into(), written: 0 }),
        }
        Ok(())
    }

    /// What is to be written on a link next.
    pub(crate) fn output<'a>(&'a self, link: LinkId, slices: &mut Slices<'a>) {
        let Some(outgoing) = self.outgoing.iter().find(|outgoing| outgoing.link == link) else { return };
        let mut passed = outgoing.written;
        for slot in &outgoing.requests {
            let taken = self.pieces(*slot, |piece| {
                let from = passed.min(piece.len());
                passed -= from;
                if slices.push(&piece[from..]) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if taken.is_break() {
                return;
            }
        }
    }

    /// A request's bytes, piece by piece, until one of them is not taken any more.
    fn pieces<'a>(
        &'a self,
        slot: RequestSlot,
        mut each: impl FnMut(&'a [u8]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Request { partitions, head, cuts, .. } = &self.requests[slot];
        let mut from = 0;
        for (partition, cut) in partitions.iter().zip(cuts) {
            each(&head[from..*cut])?;
            if let Some(batch) = self.partitions[partition.index()].of_request(slot) {
                batch.writer().slices().try_for_each(&mut each)?;
            }
            from = *cut;
        }
        each(&head[from..])
    }

    /// So many bytes of a link's output have been written.
    pub(crate) fn wrote(&mut self, link: LinkId, mut bytes: usize) {
        let Some(outgoing) = self.outgoing.iter_mut().find(|outgoing| outgoing.link == link) else { return };
        while let Some(slot) = outgoing.requests.front() {
            let missing = self.requests[*slot].bytes - outgoing.written;
            if bytes < missing {
                outgoing.written += bytes;
                return;
            }
            bytes -= missing;
            outgoing.written = 0;
            outgoing.requests.pop_front();
        }
    }

    /// Takes in a broker's answer to a request, as far as it can be read. `slot_of` finds the partitions that it names.
    ///
    /// # Errors
    /// It cannot be read as a whole, or leaves something out: of the rest nobody knows what became of it, and the
    /// connection has to be closed.
    pub(crate) fn answered(
        &mut self,
        slot: RequestSlot,
        (version, body): (i16, Decoder<'_>),
        slot_of: impl Fn(TopicRef<'_>, i32) -> Option<PartitionSlot>,
        now_us: u64,
    ) -> Result<Answered, ConnectionError> {
        let mut answered = Answered::default();
        let decoded = ProduceResponse::decode(version, body, |produced| {
            if let Some(partition) = slot_of(produced.topic, produced.partition) {
                self.settle(partition, slot, &produced, now_us);
                answered.is_about_leader |= is_about_leader(produced.error);
                if answered.error == 0 {
                    answered.error = produced.error;
                }
                if produced.leader != LeaderHint::NONE {
                    answered.hints.push((partition, produced.leader));
                }
            }
        });
        let is_written = !self.outgoing.iter().any(|outgoing| outgoing.requests.contains(&slot));
        let is_whole = self.release(slot, true, now_us);
        match decoded {
            _ if !is_written => Err(ConnectionError::TooEarly(Api::Produce)),
            Ok(response) if is_whole => {
                answered.throttle_ms = response.throttle_time_ms;
                Ok(answered)
            }
            Ok(_) => Err(ConnectionError::Incomplete(Api::Produce)),
            Err(error) => Err(ConnectionError::Unreadable { api: Api::Produce, version, error }),
        }
    }

    fn settle(
        &mut self,
        partition: PartitionSlot,
        slot: RequestSlot,
        produced: &ProducedPartition<'_>,
        now_us: u64,
    ) {
        let Self { partitions, settled, buffered, .. } = self;
        let queue = &mut partitions[partition.index()];
        *buffered += queue.of_request(slot).map_or(0, |batch| batch.tokens().len());
        queue.answered(slot, (produced.error, produced.base_offset), now_us, &mut |batch| {
            *buffered -= batch.batch.tokens().len();
            settled.push_back(batch);
        });
        self.wants_producer |= queue.wants_producer();
    }

    /// A request is over: what of it has no answer has none. Returns whether all had. `began`: it may have reached the
    /// broker.
    fn release(&mut self, slot: RequestSlot, began: bool, now_us: u64) -> bool {
        let Self { requests, partitions, settled, buffered, .. } = self;
        let mut is_whole = true;
        for partition in &requests[slot].partitions {
            let queue = &mut partitions[partition.index()];
            let Some(batch) = queue.of_request(slot) else { continue };
            is_whole = false;
            *buffered += batch.tokens().len();
            queue.lost(slot, began, now_us, &mut |batch| {
                *buffered -= batch.batch.tokens().len();
                settled.push_back(batch);
            });
            self.wants_producer |= queue.wants_producer();
        }
        requests[slot].link = None;
        requests[slot].partitions.clear();
        self.unused.push(slot);
        is_whole
    }

    /// A connection is over: nobody knows what became of the requests that had been begun on it.
    pub(crate) fn lost(&mut self, link: LinkId, now_us: u64) {
        let unwritten = self.outgoing.iter().position(|outgoing| outgoing.link == link);
        let outgoing = unwritten.map(|index| self.outgoing.swap_remove(index));
        let not_begun = |slot: RequestSlot| {
            let Some(Outgoing { requests, written, .. }) = &outgoing else { return false };
            let place = requests.iter().position(|other| *other == slot);
            place.is_some_and(|place| place > 0 || *written == 0)
        };
        for slot in 0..self.requests.len() {
            if self.requests[slot].link == Some(link) {
                self.release(slot, !not_begun(slot), now_us);
            }
        }
    }

    /// The links on which something is in flight.
    #[must_use]
    pub(crate) fn links(&self) -> Vec<LinkId> {
        self.requests.iter().filter_map(|request| request.link).collect()
    }

    /// Gives up on everything, for this cause; nothing may be in flight any more.
    pub(crate) fn give_up(&mut self, cause: Cause) {
        let Self { partitions, settled, .. } = self;
        for queue in partitions {
            queue.give_up(cause, &mut |batch| settled.push_back(batch));
            self.wants_producer |= queue.wants_producer();
        }
        self.buffered = 0;
    }

    /// When something is to be sent although nothing else happens, µs.
    #[must_use]
    pub(crate) fn next_deadline_us(&self) -> u64 {
        self.due_us
    }
}
