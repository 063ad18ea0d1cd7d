//! What a probe is written in: requests by name, and answers in a few words.

use std::{collections::HashMap, fmt::Write, time::Duration};

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use proofload::inside::{
    protocol::{
        AddPartitionsRequest, AddPartitionsResponse, Api, CoordinatorKind, Decoder, Encoder, EndTxnRequest,
        EndTxnResponse, EpochQuestion, FetchPartition, FetchRequest, FetchResponse, FindCoordinatorRequest,
        FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse, LeaderEpochRequest,
        LeaderEpochResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
        OffsetQuestion, ProduceRequest, ProduceResponse, Request, ResponseHeader, Timestamp, TopicId,
        TopicRef, TopicRefs, begin_frame, encode_request, finish_frame,
    },
    shard::TopicPartition,
};

use super::{Asked, Closed, Kind, World, batches, batches::Made, expected::Expected};

/// How long a scene waits for what is sure to come.
const PATIENCE: Duration = Duration::from_mins(1);
const CLIENT_ID: &str = "probe";

/// A probe under way: a topic of its own, connections, and what was said.
pub(crate) struct Scene<'w> {
    pub world: &'w dyn World,
    /// Its name. It has to be made: see [`Scene::make_topic`].
    pub topic: String,
    pub client_id: &'static str,
    connections: HashMap<i32, Box<dyn Asked + 'w>>,
    node: i32,
    correlation: i32,
    said: Vec<String>,
    is_wrong: bool,
}

/// An error by its name.
pub(super) fn name(code: i16) -> String {
    let error = match code.err() {
        None => return "OK".to_owned(),
        Some(ResponseError::Unknown(code)) => return format!("error {code}"),
        Some(error) => error,
    };
    let mut name = String::new();
    for letter in format!("{error:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// What every question can be answered with.
pub(super) const CLOSED: &str = "closes the connection";

/// A producer's id and epoch.
pub(super) type Producer = (i64, i16);

impl<'w> Scene<'w> {
    pub(crate) fn new(world: &'w dyn World, topic: &str) -> Self {
        Self {
            world,
            topic: topic.to_owned(),
            client_id: CLIENT_ID,
            connections: HashMap::new(),
            node: i32::from(world.kind() == Kind::Mock),
            correlation: 0,
            said: Vec::new(),
            is_wrong: false,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.world.kind()
    }

    /// The version in which a request is made, where nothing depends on it. The mock's answers are right in the older form
    /// only.
    pub(crate) fn version(&self, api: Api) -> i16 {
        self.usual_version(api).min(self.world.newest(api))
    }

    fn usual_version(&self, api: Api) -> i16 {
        let is_mock = self.kind() == Kind::Mock;
        match api {
            // With names in place of ids.
            Api::Produce | Api::Metadata if !is_mock => 9,
            Api::Fetch if !is_mock => 12,
            Api::EndTxn | Api::AddPartitionsToTxn if is_mock => 1,
            Api::EndTxn | Api::AddPartitionsToTxn | Api::OffsetForLeaderEpoch if !is_mock => 3,
            Api::InitProducerId if !is_mock => 4,
            Api::ListOffsets if !is_mock => 6,
            Api::OffsetForLeaderEpoch | Api::FindCoordinator => 2,
            api => api.flexible_from() - 1,
        }
    }

    /// Makes the topic, and speaks to whoever leads it from here on.
    pub(crate) fn make_topic(&mut self, settings: &[(&str, &str)]) {
        self.make_topic_of(1, 1, settings);
    }

    pub(crate) fn make_topic_of(&mut self, partitions: i32, replicas: i16, settings: &[(&str, &str)]) {
        self.world.make_topic(&self.topic, partitions, replicas, settings);
        self.find_leader();
    }

    /// Speaks to whoever leads partition 0, from here on.
    pub(crate) fn find_leader(&mut self) {
        self.node = self.until(|scene| {
            let (leader, _) = scene.leader()?;
            Some(leader)
        });
    }

    /// Who leads partition 0, and in which epoch, as this node knows it; `None`: nobody.
    pub(crate) fn leader(&mut self) -> Option<(i32, i32)> {
        let topic = self.topic.clone();
        let answer = self
            .ask(
                self.version(Api::Metadata),
                &MetadataRequest { topics: Some(&[&topic]), tell_rights: false },
            )
            .ok()?;
        let answer = MetadataResponse::decode(self.version(Api::Metadata), answer.body()).ok()?;
        let partition = answer.topics.first()?.partitions.iter().find(|one| one.partition == 0)?;
        (partition.leader >= 0).then_some((partition.leader, partition.leader_epoch))
    }

    /// Speaks to the other of two nodes from here on.
    pub(crate) fn turn_to_the_other(&mut self) {
        self.node = 1 - self.node;
    }

    /// Notes an answer, and holds it against what is expected of this kind of broker.
    pub(crate) fn expect(&mut self, what: &str, answer: impl AsRef<str>, expected: impl Into<Expected>) {
        let (answer, expected) = (answer.as_ref(), expected.into().of(self.kind()));
        let differs = answer != expected;
        self.is_wrong |= differs;
        let but = if differs { format!("    <== expected: {expected}") } else { String::new() };
        self.said.push(format!("  {what}: {answer}{but}"));
    }

    pub(crate) fn judge(&self, name: &str) {
        assert!(!self.is_wrong, "{name} on {}:\n{}\n", self.kind().name(), self.said.join("\n"));
    }

    /// How much time has passed since then.
    pub(crate) fn since(&self, then: Duration) -> Duration {
        self.world.now().saturating_sub(then)
    }

    /// Asks until there is an answer.
    pub(crate) fn until<T>(&mut self, mut ask: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = self.world.now() + PATIENCE;
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(
                self.world.now() < end,
                "in vain for {PATIENCE:?}; said so far:\n{}",
                self.said.join("\n")
            );
            self.world.pause(Duration::from_millis(10));
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let (world, node) = (self.world, self.node);
        self.connections.entry(node).or_insert_with(|| world.connect(node)).send(bytes);
    }

    /// The next frame; a connection that has ended is replaced when something is sent.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, Closed> {
        let connection = self.connections.get_mut(&self.node).ok_or(Closed)?;
        let received = connection.receive();
        if received.is_err() {
            self.connections.remove(&self.node);
        }
        received
    }

    /// A request's frame, and its correlation id.
    pub(crate) fn frame<R: Request>(&mut self, version: i16, request: &R) -> (i32, Vec<u8>) {
        self.correlation += 1;
        let mut frame = Vec::new();
        encode_request(request, version, self.correlation, self.client_id, &mut frame);
        (self.correlation, frame)
    }

    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<Answer, Closed> {
        let (correlation, frame) = self.frame(version, request);
        self.ask_raw(R::API, version, correlation, &frame)
    }

    /// A request that no encoder has.
    pub(crate) fn ask_with(
        &mut self,
        api: Api,
        version: i16,
        body: impl FnOnce(&mut Encoder<'_>),
    ) -> Result<Answer, Closed> {
        self.correlation += 1;
        let mut frame = Vec::new();
        let start = begin_frame(api, version, self.correlation, self.client_id, &mut frame);
        body(&mut Encoder::new(&mut frame, api.is_flexible(version)));
        finish_frame(&mut frame, start, 0);
        self.ask_raw(api, version, self.correlation, &frame)
    }

    fn ask_raw(&mut self, api: Api, version: i16, correlation: i32, frame: &[u8]) -> Result<Answer, Closed> {
        self.send(frame);
        self.answer(api, version, correlation)
    }

    /// The answer to a request that was sent.
    pub(crate) fn answer(&mut self, api: Api, version: i16, correlation: i32) -> Result<Answer, Closed> {
        let answer = Answer { api, version, bytes: self.receive()? };
        assert_eq!(answer.correlation(), correlation, "{api} {version}: an answer to another question");
        Ok(answer)
    }

    pub(crate) fn produce(&mut self, batch: Made) -> String {
        self.produce_bytes(&batch.bytes())
    }

    pub(crate) fn produce_bytes(&mut self, batch: &[u8]) -> String {
        let topic = self.topic.clone();
        self.produce_as(self.version(Api::Produce), (None, -1), (TopicRef::Name(&topic), 0), batch)
    }

    /// In a transaction.
    pub(crate) fn produce_in(&mut self, transactional_id: &str, version: i16, batch: Made) -> String {
        let topic = self.topic.clone();
        let batch = batch.transactional().bytes();
        self.produce_as(version, (Some(transactional_id), -1), (TopicRef::Name(&topic), 0), &batch)
    }

    /// What is answered: the error, and the first record's offset if there is one.
    pub(crate) fn produce_as(
        &mut self,
        version: i16,
        (transactional_id, acks): (Option<&str>, i16),
        (topic, partition): (TopicRef<'_>, i32),
        batch: &[u8],
    ) -> String {
        let (correlation, frame) =
            self.produce_frame(version, (transactional_id, acks), (topic, partition), batch);
        let Ok(answer) = self.ask_raw(Api::Produce, version, correlation, &frame) else {
            return CLOSED.to_owned();
        };
        produced(&answer)
    }

    pub(crate) fn produce_frame(
        &mut self,
        version: i16,
        (transactional_id, acks): (Option<&str>, i16),
        (topic, partition): (TopicRef<'_>, i32),
        batch: &[u8],
    ) -> (i32, Vec<u8>) {
        self.correlation += 1;
        let (mut frame, mut cuts) = (Vec::new(), Vec::new());
        let head = (version, self.correlation, self.client_id);
        let mut request = ProduceRequest::begin(head, (transactional_id, 10_000), 1, &mut frame, &mut cuts);
        request.begin_topic(topic, 1);
        request.partition(partition, batch.len());
        request.end_topic();
        let _ = request.finish();
        if acks != -1 {
            // Behind the header and the transactional id, which is null here.
            let null = if version >= 9 { 1 } else { 2 };
            let at = 4 + 2 + 2 + 4 + 2 + self.client_id.len() + usize::from(version >= 9) + null;
            frame[at..at + 2].copy_from_slice(&acks.to_be_bytes());
        }
        frame.splice(cuts[0]..cuts[0], batch.iter().copied());
        (self.correlation, frame)
    }

    /// A new producer id, which no partition knows.
    pub(crate) fn new_producer(&mut self) -> Producer {
        self.until(|scene| match scene.init(None, (-1, -1)) {
            (error, producer) if error == "OK" => Some(producer),
            _ => None,
        })
    }

    /// A producer id, or the next epoch of one.
    pub(crate) fn init(&mut self, transactional_id: Option<&str>, current: Producer) -> (String, Producer) {
        let request = InitProducerIdRequest { transactional_id, transaction_timeout_ms: 60_000, current };
        let Ok(answer) = self.ask(self.version(Api::InitProducerId), &request) else {
            return (CLOSED.to_owned(), (-1, -1));
        };
        let answer = InitProducerIdResponse::decode(self.version(Api::InitProducerId), answer.body());
        let answer = answer.expect("an answer");
        (name(answer.error), (answer.producer_id, answer.producer_epoch))
    }

    /// What lies behind an offset.
    pub(crate) fn fetch(&mut self, offset: i64) -> String {
        self.fetch_as(&Fetch { offset, ..FETCH })
    }

    pub(crate) fn fetch_as(&mut self, fetch: &Fetch) -> String {
        let topic = self.topic.clone();
        self.fetch_of(self.version(Api::Fetch), TopicRef::Name(&topic), fetch)
    }

    /// What is answered: the error or the batches, and what a fetch says beside them.
    pub(crate) fn fetch_of(&mut self, version: i16, topic: TopicRef<'_>, fetch: &Fetch) -> String {
        let answer = self.ask(version, &fetch.request(topic, &[fetch.partition()]));
        answer.map_or_else(|Closed| CLOSED.to_owned(), |answer| fetched(&answer))
    }

    /// Start and end of the log, as those see them who read only what is committed, or who read all.
    pub(crate) fn list_offset(
        &mut self,
        timestamp: Timestamp,
        read_committed: bool,
        leader_epoch: i32,
    ) -> String {
        let topic = self.topic.clone();
        let request = ListOffsetsRequest {
            topic: &topic,
            partitions: &[OffsetQuestion { partition: 0, leader_epoch }],
            timestamp,
            read_committed,
            timeout_ms: 10_000,
        };
        let Ok(answer) = self.ask(self.version(Api::ListOffsets), &request) else { return CLOSED.to_owned() };
        let answer =
            ListOffsetsResponse::decode(self.version(Api::ListOffsets), answer.body()).expect("an answer");
        match answer.partitions[0] {
            one if one.error == 0 => format!("{} of epoch {}", one.offset, one.leader_epoch),
            one => name(one.error),
        }
    }

    /// The end of the log.
    pub(crate) fn end(&mut self) -> String {
        self.list_offset(Timestamp::Latest, false, -1)
    }

    /// Where an epoch ends.
    pub(crate) fn epoch_end(&mut self, epoch: i32, current_epoch: i32) -> String {
        let topic = self.topic.clone();
        let partitions = &[EpochQuestion { partition: 0, current_epoch, epoch }];
        let version = self.version(Api::OffsetForLeaderEpoch);
        let request = LeaderEpochRequest { topic: &topic, partitions };
        let Ok(answer) = self.ask(version, &request) else { return CLOSED.to_owned() };
        let answer = LeaderEpochResponse::decode(version, answer.body()).expect("an answer");
        match answer.partitions[0] {
            one if one.error == 0 => format!("epoch {} ends at {}", one.epoch, one.end_offset),
            one => name(one.error),
        }
    }

    /// Speaks to the coordinator of a transactional id from here on.
    pub(crate) fn find_coordinator(&mut self, transactional_id: &str) {
        let request = FindCoordinatorRequest { key: transactional_id, kind: CoordinatorKind::Transaction };
        self.node = self.until(|scene| {
            let version = scene.version(Api::FindCoordinator);
            let answer = scene.ask(version, &request).ok()?;
            let answer = FindCoordinatorResponse::decode(version, answer.body()).ok()?;
            answer.coordinator.filter(|found| found.error == 0).map(|found| found.id)
        });
    }

    pub(crate) fn add_partition(&mut self, transactional_id: &str, producer: Producer) -> String {
        let topic = self.topic.clone();
        self.add_partitions_of(transactional_id, producer, &topic, &[0])
    }

    pub(crate) fn add_partitions_of(
        &mut self,
        transactional_id: &str,
        producer: Producer,
        topic: &str,
        partitions: &[i32],
    ) -> String {
        let version = self.version(Api::AddPartitionsToTxn);
        let place = |partition: &i32| TopicPartition { topic: 0, partition: *partition };
        let partitions: Vec<_> = partitions.iter().map(place).collect();
        let topics = TopicRefs::One(TopicRef::Name(topic));
        let request = AddPartitionsRequest { transactional_id, producer, topics, partitions: &partitions };
        let Ok(answer) = self.ask(version, &request) else { return CLOSED.to_owned() };
        let answer = AddPartitionsResponse::decode(version, answer.body()).expect("an answer");
        let mut partitions = answer.partitions;
        // They come in no order.
        partitions.sort_unstable_by_key(|one| one.partition);
        let names: Vec<_> = partitions.iter().map(|one| name(one.error)).collect();
        names.join(", ")
    }

    pub(crate) fn end_txn(&mut self, transactional_id: &str, producer: Producer, commit: bool) -> String {
        let version = self.version(Api::EndTxn);
        self.end_txn_as(version, transactional_id, producer, commit).0
    }

    /// What is answered, and the producer's id and epoch from then on.
    pub(crate) fn end_txn_as(
        &mut self,
        version: i16,
        transactional_id: &str,
        producer: Producer,
        commit: bool,
    ) -> (String, Option<Producer>) {
        let request = EndTxnRequest { transactional_id, producer, commit };
        let Ok(answer) = self.ask(version, &request) else { return (CLOSED.to_owned(), None) };
        let answer = EndTxnResponse::decode(version, answer.body()).expect("an answer");
        (name(answer.error), answer.next_producer)
    }

    /// The id of the topic.
    pub(crate) fn topic_id(&mut self) -> TopicId {
        /// The first version that tells it.
        const VERSION: i16 = 10;
        let topic = self.topic.clone();
        let answer = self
            .ask(VERSION, &MetadataRequest { topics: Some(&[&topic]), tell_rights: false })
            .expect("an answer");
        MetadataResponse::decode(VERSION, answer.body()).expect("an answer").topics[0].id
    }
}

/// The bytes of an answer.
pub(crate) struct Answer {
    pub api: Api,
    pub version: i16,
    pub bytes: Vec<u8>,
}

impl Answer {
    fn correlation(&self) -> i32 {
        i32::from_be_bytes([self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3]])
    }

    /// What stands behind the header.
    pub(crate) fn body(&self) -> Decoder<'_> {
        ResponseHeader::decode(self.api, self.version, &self.bytes).expect("a header").1
    }
}

/// An answer to a Produce: of each partition the error, and the first record's offset if there is one.
pub(super) fn produced(answer: &Answer) -> String {
    let mut words = Vec::new();
    ProduceResponse::decode(answer.version, answer.body(), |one| {
        let mut word = name(one.error);
        if one.base_offset != -1 {
            let _ = write!(word, " @{}", one.base_offset);
        }
        if let Some((index, _)) = one.refused_record {
            let _ = write!(word, ", record {index}");
        }
        words.push((one.partition, word));
    })
    .expect("an answer");
    // They come in no order.
    words.sort_unstable();
    let words: Vec<_> = words.into_iter().map(|(_, word)| word).collect();
    words.join("; ")
}

/// A Fetch of one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetch {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub last_fetched_epoch: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub read_committed: bool,
}

/// All that there is from the beginning, by whoever cares about nothing.
pub(super) const FETCH: Fetch = Fetch {
    partition: 0,
    offset: 0,
    leader_epoch: -1,
    last_fetched_epoch: -1,
    max_bytes: 1 << 20,
    partition_max_bytes: 1 << 20,
    max_wait_ms: 10,
    min_bytes: 1,
    read_committed: false,
};

impl Fetch {
    pub(crate) fn partition(&self) -> FetchPartition {
        FetchPartition {
            topic: 0,
            partition: self.partition,
            leader_epoch: self.leader_epoch,
            offset: self.offset,
            last_fetched_epoch: self.last_fetched_epoch,
            max_bytes: self.partition_max_bytes,
        }
    }

    pub(crate) fn request<'a>(
        &self,
        topic: TopicRef<'a>,
        partitions: &'a [FetchPartition],
    ) -> FetchRequest<'a> {
        FetchRequest {
            topics: TopicRefs::One(topic),
            partitions,
            max_wait_ms: self.max_wait_ms,
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            read_committed: self.read_committed,
            rack: "",
        }
    }
}

/// An answer to a Fetch: of each partition its error or batches, then the offsets from which to where.
pub(super) fn fetched(answer: &Answer) -> String {
    let mut words = Vec::new();
    let whole = FetchResponse::decode(answer.version, answer.body(), |one| {
        if one.error != 0 {
            words.push(name(one.error));
            return;
        }
        let mut word = batches::described(one.batches);
        if let Some(diverging) = one.diverging {
            let _ =
                write!(word, "; diverges where epoch {} ends at {}", diverging.epoch, diverging.end_offset);
        }
        let aborted: Vec<_> = one.aborted().map(|aborted| aborted.first_offset.to_string()).collect();
        if !aborted.is_empty() {
            let _ = write!(word, "; aborted from {}", aborted.join(" and "));
        }
        let _ = write!(word, "; start {}", one.log_start_offset);
        if one.last_stable_offset != one.high_watermark {
            let _ = write!(word, ", stable to {}", one.last_stable_offset);
        }
        words.push(format!("{word}, end {}", one.high_watermark));
    })
    .expect("an answer");
    if whole.error == 0 { words.join(" | ") } else { name(whole.error) }
}
