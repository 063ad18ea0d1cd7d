//! Produce.

use kafka_protocol::{
    messages::{
        ProduceRequest, ProduceResponse, TopicName,
        produce_request::PartitionProduceData,
        produce_response::{BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::StrBytes,
};

use super::{
    acks::{Acks, Need},
    admission::{self, Refused},
    code::{
        CONCURRENT_TRANSACTIONS, INVALID_PRODUCER_EPOCH, INVALID_RECORD, INVALID_REQUIRED_ACKS,
        INVALID_TXN_STATE, NOT_ENOUGH_REPLICAS, OUT_OF_ORDER_SEQUENCE_NUMBER, PRODUCER_FENCED,
        TRANSACTION_ABORTABLE, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, UNKNOWN_SERVER_ERROR, UNKNOWN_TOPIC_ID,
        UNKNOWN_TOPIC_OR_PARTITION,
    },
    log::Landed,
    producers::Producers,
    quirks::Quirk,
    server::{Awaited, Canary, Head, Outcome, Server, Unreadable, read},
};
use crate::kafka::wire::batch::{Batch, Unpacker};

/// The first version of which a partition is made part of the transaction (KIP-890).
const ADDS_PARTITIONS: i16 = 12;
/// The first version that knows `TRANSACTION_ABORTABLE`.
const KNOWS_ABORTABLE: i16 = 11;
/// The first version with ids in place of names.
const BY_ID: i16 = 13;

impl Server {
    pub(super) fn produce(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        if head.version < 3 {
            // Nobody speaks these: no topics in, none out.
            return Ok(Outcome::Answer(old_answer(head), 0));
        }
        let request: ProduceRequest = read(head, body)?;
        if request.topic_data.iter().map(|topic| topic.partition_data.len()).sum::<usize>() > 1 {
            self.largest_produce = self.largest_produce.max(body.len());
        }
        let whole = whole_error(&request);
        let transactional_id = request.transactional_id.as_ref().map(|id| id.to_string());
        let mut is_refused = whole.is_some();
        let (mut answer, mut needs) = (ProduceResponse::default(), Vec::new());
        for topic in &request.topic_data {
            let known = self.name_of(head, &topic.name, topic.topic_id.into_bytes());
            let mut partitions = Vec::new();
            for data in &topic.partition_data {
                let result = match (whole, &known) {
                    (Some(code), _) => Err(code.into()),
                    (None, None) => Err(UNKNOWN_TOPIC_ID.into()),
                    (None, Some(name)) => {
                        self.write(head, (name, transactional_id.as_deref()), data, request.acks)
                    }
                };
                is_refused |= result.is_err();
                if let (Ok(landed), Some(name), -1) = (&result, &known, request.acks) {
                    let place = (answer.responses.len(), partitions.len());
                    let (topic, partition) = (name.clone(), data.index);
                    needs.push(Need { topic, place, partition, end: landed.next_offset });
                }
                partitions.push(told(data.index, result));
            }
            let topic = TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions);
            answer.responses.push(topic);
        }
        if request.acks == 0 {
            return Ok(if is_refused { Outcome::Close } else { Outcome::Silence });
        }
        let throttle_ms = self.throttle.sent(&head.client_id, body.len(), self.now_us());
        answer.throttle_time_ms = i32::try_from(throttle_ms).unwrap_or(i32::MAX);
        let until_us = self.now_us() + u64::try_from(request.timeout_ms).unwrap_or(0) * 1_000;
        let mut acks = Acks { answer, needs, muted_ms: throttle_ms };
        let acked = self.acked_now(head, &mut acks, false);
        Ok(match acked {
            Some(answer) => Outcome::Answer(answer, throttle_ms),
            None => Outcome::Wait(Awaited::Acks(acks), until_us),
        })
    }

    /// A topic's name; `None`: no topic has that id.
    fn name_of(&self, head: &Head, name: &TopicName, id: [u8; 16]) -> Option<String> {
        if head.version < BY_ID {
            return Some(name.to_string());
        }
        self.topic_of(&id).map(|topic| topic.name.clone())
    }

    fn write(
        &mut self,
        head: &Head,
        (topic, transactional_id): (&str, Option<&str>),
        data: &PartitionProduceData,
        acks: i16,
    ) -> Result<Landed, Refused> {
        let (flavour, wall_ms, canary) = (self.flavour, self.wall_ms(), self.canary);
        let settings = self.topics.get(topic).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?.settings.clone();
        self.partition(topic, data.index).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
        let bytes = data.records.clone().unwrap_or_default();
        let batch = admission::front(&bytes)?.ok_or(INVALID_RECORD)?.alone()?;
        let producer = (batch.producer_id(), batch.producer_epoch());
        if batch.is_transactional() {
            let id = transactional_id.ok_or(INVALID_TXN_STATE)?;
            self.check_transaction(head, id, producer, (topic, data.index))?;
        }
        let partition = self.partition(topic, data.index).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
        let least = settings.min_in_sync.min(partition.replicas.len());
        let (epoch, in_sync) = (partition.led_as(head.node).1, partition.in_sync.len());
        partition.led_by(head.node, None)?;
        if acks == -1 && in_sync < least {
            return Err(NOT_ENOUGH_REPLICAS.into());
        }
        let quirk = self.quirks.of_batch();
        if let Quirk::Before(code) = quirk {
            return Err(code.into());
        }
        let partition = self.partition(topic, data.index).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
        let is_true_leader = partition.leader == head.node;
        let replica = partition.led_by(head.node, None)?;
        let coming = admission::admit(&batch, &settings, flavour, wall_ms)?;
        if canary == Some(Canary::AcksInVain) && coming.first_sequence % 7 == 3 {
            let end = replica.log.end();
            return Ok(Landed { base_offset: end, next_offset: end, log_append_time_ms: -1 });
        }
        if canary == Some(Canary::ForgetsProducers) {
            replica.log.producers = Producers::default();
        }
        let end = replica.log.end();
        let landed = replica.log.append(&batch, &coming, epoch, (&settings, wall_ms));
        if landed == Err(OUT_OF_ORDER_SEQUENCE_NUMBER) && replica.log.has(&coming) {
            self.said_again.extend(numbers(&batch).map(|(_, number)| number));
            return Err(OUT_OF_ORDER_SEQUENCE_NUMBER.into());
        }
        let landed = landed?;
        if is_true_leader && landed.base_offset >= end {
            numbers(&batch)
                .for_each(|(delta, number)| partition.past.wrote(landed.base_offset + delta, number, epoch));
        }
        partition.replicate();
        self.duplicates += usize::from(landed.base_offset < end);
        self.tell(|| {
            let (what, at) = (if landed.base_offset < end { "again" } else { "new" }, landed.base_offset);
            format!("  partition {}: {coming:?}, {what}, at {at}", data.index)
        });
        if let Quirk::After(code) = quirk { Err(code.into()) } else { Ok(landed) }
    }

    /// Whether a batch may be part of this transaction. A partition that has records of it already asks nobody.
    fn check_transaction(
        &mut self,
        head: &Head,
        id: &str,
        producer: (i64, i16),
        (topic, index): (&str, i32),
    ) -> Result<(), i16> {
        let partition = self.partition(topic, index).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
        if partition.led_by(head.node, None)?.log.producers.has_open(producer.0, producer.1) {
            return Ok(());
        }
        let place = (topic.to_owned(), index);
        if head.version >= ADDS_PARTITIONS {
            let added = self.coordinator.add(id, producer, &[place]);
            return added.map_err(|code| if code == PRODUCER_FENCED { INVALID_PRODUCER_EPOCH } else { code });
        }
        self.coordinator.verify(id, producer, &place).map_err(|code| match code {
            TRANSACTION_ABORTABLE if head.version < KNOWS_ABORTABLE => INVALID_TXN_STATE,
            CONCURRENT_TRANSACTIONS => NOT_ENOUGH_REPLICAS,
            code => code,
        })
    }
}

/// The numbers that a batch's records have for values, each with its record's place.
fn numbers(batch: &Batch<'_>) -> std::vec::IntoIter<(i64, u64)> {
    let mut codecs = Unpacker::new(1 << 20);
    let records = codecs.unpack(batch).map(|unpacked| batch.records(unpacked));
    let number = |(delta, record): (i64, crate::kafka::wire::batch::RecordRef<'_>)| {
        let value = record.value.and_then(|value| value.try_into().ok());
        value.map(|value| (delta, u64::from_be_bytes(value)))
    };
    let all: Vec<_> = (0..).zip(records.into_iter().flatten().flatten()).filter_map(number).collect();
    all.into_iter()
}

/// What makes every partition fail.
fn whole_error(request: &ProduceRequest) -> Option<i16> {
    if !(-1..=1).contains(&request.acks) {
        return Some(INVALID_REQUIRED_ACKS);
    }
    for data in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
        let bytes = data.records.clone().unwrap_or_default();
        match admission::front(&bytes) {
            Err(code) => return Some(code),
            Ok(Some(front)) if front.is_transactional() && request.transactional_id.is_none() => {
                return Some(TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
            }
            Ok(_) => {}
        }
    }
    None
}

fn told(index: i32, result: Result<Landed, Refused>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(-1);
    match result {
        Ok(landed) => answer
            .with_base_offset(landed.base_offset)
            .with_log_append_time_ms(landed.log_append_time_ms)
            .with_log_start_offset(0),
        Err(refused) => {
            let message = Some(StrBytes::from_static_str("refused"));
            let records = refused.record.into_iter().map(|record| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(record)
                    .with_batch_index_error_message(message.clone())
            });
            answer
                .with_error_code(refused.code)
                .with_base_offset(-1)
                .with_log_start_offset(-1)
                .with_record_errors(records.collect())
                .with_error_message((refused.code != UNKNOWN_SERVER_ERROR).then_some(message).flatten())
        }
    }
}

fn old_answer(head: &Head) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend(head.correlation_id.to_be_bytes());
    let (no_topics, no_throttle) = ([0; 4], [0; 4]);
    frame.extend(no_topics);
    if head.version >= 1 {
        frame.extend(no_throttle);
    }
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}
