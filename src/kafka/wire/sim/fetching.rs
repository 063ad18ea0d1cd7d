//! Fetch.

use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, TopicName,
    fetch_request::FetchPartition,
    fetch_response::{AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData},
};

use super::{
    code::{OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION},
    log::Limits,
    server::{Awaited, Canary, Head, Outcome, Server, Unreadable, answered, read, written},
    sessions::Belongs,
};
use crate::kafka::wire::protocol::TopicId;

/// The first version with ids in place of names.
const BY_ID: i16 = 13;
/// What is not there yet is not asked for again so soon, µs.
const HURRY_US: u64 = 25_000;

/// A partition that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// As the request names it: empty where it has an id.
    name: String,
    id: TopicId,
    wanted: FetchPartition,
}

impl Part {
    /// What tells it from others.
    pub(super) fn key(&self) -> (String, i32) {
        let name = if self.name.is_empty() { format!("{:?}", self.id) } else { self.name.clone() };
        (name, self.wanted.partition)
    }
}

/// What a request wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    belongs: Belongs,
    parts: Vec<Part>,
    max_bytes: i32,
    min_bytes: usize,
    read_committed: bool,
}

/// What a part gets.
struct Got {
    data: PartitionData,
    bytes: usize,
    /// It is not waited for more.
    is_urgent: bool,
}

impl Server {
    pub(super) fn fetch(&mut self, head: &Head, body: &[u8]) -> Result<Outcome, Unreadable> {
        let request: FetchRequest = read(head, body)?;
        let mut parts = Vec::new();
        for topic in &request.topics {
            parts.extend(topic.partitions.iter().map(|wanted| Part {
                name: topic.topic.to_string(),
                id: topic.topic_id.into_bytes(),
                wanted: wanted.clone(),
            }));
        }
        let forgotten: Vec<_> = request
            .forgotten_topics_data
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic.to_string(), *partition)))
            .collect();
        let session = (request.session_id, request.session_epoch);
        let (belongs, parts) = match self.sessions.resolve(session, parts, &forgotten) {
            Ok(resolved) => resolved,
            Err(code) => return Ok(answered(head, &FetchResponse::default().with_error_code(code))),
        };
        let wanted = Wanted {
            belongs,
            parts,
            max_bytes: request.max_bytes,
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
            read_committed: request.isolation_level == 1,
        };
        let wait_us = u64::try_from(request.max_wait_ms).unwrap_or(0) * 1_000;
        let answer = self.fetch_now(head, &wanted, wait_us == 0 || wanted.parts.is_empty());
        Ok(match answer {
            Some(answer) => Outcome::Answer(answer, 0),
            None => Outcome::Wait(Awaited::Records(wanted), self.now_us() + wait_us),
        })
    }

    /// The answer, if there is enough for one, or if it is not waited for any longer.
    pub(super) fn fetch_now(&mut self, head: &Head, wanted: &Wanted, is_over: bool) -> Option<Vec<u8>> {
        let (mut left, mut one_at_least) = (wanted.max_bytes, true);
        let mut all = Vec::new();
        for part in &wanted.parts {
            let got = self.get(head, part, (left, one_at_least), wanted.read_committed);
            if got.bytes > 0 {
                one_at_least = false;
            }
            left = left.saturating_sub(i32::try_from(got.bytes).unwrap_or(i32::MAX)).max(left.min(0));
            all.push(got);
        }
        let bytes: usize = all.iter().map(|got| got.bytes).sum();
        if !is_over && bytes < wanted.min_bytes && !all.iter().any(|got| got.is_urgent) {
            return None;
        }
        let mut answer = FetchResponse::default().with_session_id(wanted.belongs.id);
        for (part, got) in wanted.parts.iter().zip(all) {
            let offsets = (got.data.high_watermark, got.data.log_start_offset);
            let is_new = self.sessions.tell(wanted.belongs.id, part, offsets);
            if !wanted.belongs.is_incremental || is_new || got.is_urgent || got.bytes > 0 {
                add(&mut answer, part, got.data);
            }
        }
        Some(written(head, &answer))
    }

    fn get(&mut self, head: &Head, part: &Part, limits: (i32, bool), read_committed: bool) -> Got {
        let data = self.data_of(head, part, limits, read_committed);
        let data = data.unwrap_or_else(|code| {
            let none = PartitionData::default().with_preferred_read_replica(BrokerId(-1));
            none.with_error_code(code)
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_records(Some(Vec::new().into()))
        });
        let bytes = data.records.as_deref().map_or(0, <[u8]>::len);
        let end = if read_committed { data.last_stable_offset } else { data.high_watermark };
        // What a leader does not know to be committed is not waited for (seen of Kafka 4.1).
        let is_ahead = data.error_code == 0 && part.wanted.fetch_offset > end;
        if is_ahead {
            let place = (head.client_id.clone(), part.wanted.partition, part.wanted.fetch_offset);
            let now_us = self.now_us();
            let before_us = self.asked_ahead.insert(place, now_us);
            self.hurried += usize::from(before_us.is_some_and(|before_us| now_us < before_us + HURRY_US));
        }
        let is_urgent = is_ahead || data.error_code != 0 || data.diverging_epoch != EpochEndOffset::default();
        Got { data: data.with_partition_index(part.wanted.partition), bytes, is_urgent }
    }

    fn data_of(
        &mut self,
        head: &Head,
        part: &Part,
        (left, one_at_least): (i32, bool),
        read_committed: bool,
    ) -> Result<PartitionData, i16> {
        let (wanted, hides) = (&part.wanted, self.canary == Some(Canary::HidesABatch));
        if let Some(code) = self.quirks.of_fetch() {
            return Err(code);
        }
        let name = if head.version >= BY_ID {
            self.topic_of(&part.id).ok_or(UNKNOWN_TOPIC_ID)?.name.clone()
        } else {
            part.name.clone()
        };
        let partition = self.partition(&name, wanted.partition).ok_or(UNKNOWN_TOPIC_OR_PARTITION)?;
        let epoch = Some(wanted.current_leader_epoch).filter(|epoch| *epoch >= 0);
        let replica = partition.held_by(head.node, epoch)?;
        let log = &replica.log;
        let data = PartitionData::default()
            .with_preferred_read_replica(BrokerId(-1))
            .with_high_watermark(replica.high_watermark)
            .with_last_stable_offset(replica.stable_offset())
            .with_log_start_offset(log.start())
            .with_records(Some(Vec::new().into()));
        if wanted.last_fetched_epoch >= 0 && head.version >= 12 {
            let end = log.epochs.end_of(wanted.last_fetched_epoch, log.end());
            let (epoch, end_offset) = end.ok_or(OFFSET_OUT_OF_RANGE)?;
            if epoch < wanted.last_fetched_epoch || end_offset < wanted.fetch_offset {
                let diverging = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset);
                return Ok(data.with_diverging_epoch(diverging));
            }
        }
        if wanted.fetch_offset < log.start() || wanted.fetch_offset > log.end() {
            return Err(OFFSET_OUT_OF_RANGE);
        }
        let up_to = if read_committed { replica.stable_offset() } else { replica.high_watermark };
        let max_bytes = wanted.partition_max_bytes.min(left);
        let from = wanted.fetch_offset + i64::from(hides && wanted.fetch_offset % 5 == 2);
        let records = log.read(from, Limits { up_to, max_bytes, one_at_least })?;
        let aborted = log.producers.aborted(wanted.fetch_offset, log.end()).map(|one| {
            AbortedTransaction::default()
                .with_producer_id(one.producer_id.into())
                .with_first_offset(one.first_offset)
        });
        let aborted = (read_committed && !records.is_empty()).then(|| aborted.collect());
        Ok(data.with_records(Some(records.into())).with_aborted_transactions(aborted))
    }
}

fn add(answer: &mut FetchResponse, part: &Part, data: PartitionData) {
    let is_last = |topic: &FetchableTopicResponse| {
        topic.topic.to_string() == part.name && topic.topic_id.into_bytes() == part.id
    };
    if !answer.responses.last().is_some_and(is_last) {
        let name = TopicName(kafka_protocol::protocol::StrBytes::from_string(part.name.clone()));
        let topic = FetchableTopicResponse::default().with_topic(name);
        answer.responses.push(topic.with_topic_id(super::questions::topic_id(part.id)));
    }
    if let Some(topic) = answer.responses.last_mut() {
        topic.partitions.push(data);
    }
}
