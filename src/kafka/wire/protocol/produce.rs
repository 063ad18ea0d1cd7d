//! Writing record batches. On the data path: nothing is allocated, batches are sent from where they lie.

use super::{Api, DecodeError, Decoder, Encoder, TopicRef, begin_frame, finish_frame};

/// A Produce request that is put together around batches, which are not copied.
///
/// The buffer gets everything but the batches; `cuts` gets, for each partition, where in the buffer its batch belongs.
/// What goes out is then the buffer up to the first cut, the first batch, the buffer up to the second cut, and so on.
#[derive(Debug)]
pub struct ProduceRequest<'a> {
    out: &'a mut Vec<u8>,
    cuts: &'a mut Vec<usize>,
    start: usize,
    version: i16,
    bytes_elsewhere: usize,
}

/// Acknowledged by all replicas that are in sync.
const ACKS_ALL: i16 = -1;

impl<'a> ProduceRequest<'a> {
    /// Begins a request for partitions of so many topics, in buffers that are reused.
    #[must_use]
    pub fn begin(
        (version, correlation_id, client_id): (i16, i32, &str),
        (transactional_id, timeout_ms): (Option<&str>, i32),
        topics: usize,
        out: &'a mut Vec<u8>,
        cuts: &'a mut Vec<usize>,
    ) -> Self {
        let start = begin_frame(Api::Produce, version, correlation_id, client_id, out);
        let mut request = Self { out, cuts, start, version, bytes_elsewhere: 0 };
        let mut encoder = request.encoder();
        encoder.nullable_string(transactional_id);
        encoder.i16(ACKS_ALL);
        encoder.i32(timeout_ms);
        encoder.array_length(topics);
        request
    }

    /// A topic, of which so many partitions follow. Up to version 12 it is named, from 13 on it has its id.
    pub fn begin_topic(&mut self, topic: TopicRef<'_>, partitions: usize) {
        debug_assert_eq!(matches!(topic, TopicRef::Id(_)), self.version >= 13);
        let mut encoder = self.encoder();
        encoder.topic(topic);
        encoder.array_length(partitions);
    }

    /// A partition, whose batch takes so many bytes.
    pub fn partition(&mut self, partition: i32, batch_bytes: usize) {
        let mut encoder = self.encoder();
        encoder.i32(partition);
        encoder.array_length(batch_bytes);
        self.cuts.push(self.out.len());
        self.bytes_elsewhere += batch_bytes;
        self.encoder().no_tags();
    }

    /// All partitions of the topic are there.
    pub fn end_topic(&mut self) {
        self.encoder().no_tags();
    }

    /// Everything is there. Returns how many bytes go out, those of the batches included.
    #[must_use]
    pub fn finish(mut self) -> usize {
        self.encoder().no_tags();
        finish_frame(self.out, self.start, self.bytes_elsewhere);
        self.out.len() - self.start + self.bytes_elsewhere
    }

    fn encoder(&mut self) -> Encoder<'_> {
        Encoder::new(self.out, Api::Produce.is_flexible(self.version))
    }
}

/// Who leads a partition by now (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    /// The broker; -1 is not known.
    pub leader: i32,
    /// Its epoch; -1 is not known.
    pub epoch: i32,
}

impl LeaderHint {
    /// Of a broker that says nothing of it.
    pub const NONE: Self = Self { leader: -1, epoch: -1 };

    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let hint = Self { leader: decoder.i32()?, epoch: decoder.i32()? };
        decoder.skip_tags()?;
        Ok(hint)
    }
}

/// What became of a partition's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedPartition<'a> {
    /// Its topic.
    pub topic: TopicRef<'a>,
    /// Its number.
    pub partition: i32,
    /// An error, or 0.
    pub error: i16,
    /// Offset of the batch's first record; -1 where the broker does not say: it had the batch already.
    pub base_offset: i64,
    /// The time that the broker gave the records, ms since 1970; -1: they have their own.
    pub log_append_time_ms: i64,
    /// The first offset of the log.
    pub log_start_offset: i64,
    /// The first record that was refused, counted from 0 within the batch, and why; it is the cause of the error.
    pub refused_record: Option<(i32, Option<&'a str>)>,
    /// The error in the broker's words.
    pub message: Option<&'a str>,
    /// Who leads the partition by now.
    pub leader: LeaderHint,
}

/// What is answered as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceResponse {
    /// How long it asks us to wait, ms.
    pub throttle_time_ms: i32,
}

impl ProduceResponse {
    /// Reads an answer, and shows each partition of it.
    ///
    /// # Errors
    /// It is no such message. Partitions that were shown by then have been read rightly.
    pub fn decode<'a>(
        version: i16,
        mut decoder: Decoder<'a>,
        mut each: impl FnMut(ProducedPartition<'a>),
    ) -> Result<Self, DecodeError> {
        for _ in 0..decoder.array_length()? {
            let topic = decoder.topic(version >= 13)?;
            for _ in 0..decoder.array_length()? {
                each(produced(version, topic, &mut decoder)?);
            }
            decoder.skip_tags()?;
        }
        let throttle_time_ms = decoder.i32()?;
        // The addresses of brokers that hints name are the next Metadata's to tell.
        decoder.skip_tags()?;
        Ok(Self { throttle_time_ms })
    }
}

fn produced<'a>(
    version: i16,
    topic: TopicRef<'a>,
    decoder: &mut Decoder<'a>,
) -> Result<ProducedPartition<'a>, DecodeError> {
    let mut produced = ProducedPartition {
        topic,
        partition: decoder.i32()?,
        error: decoder.i16()?,
        base_offset: decoder.i64()?,
        log_append_time_ms: decoder.i64()?,
        log_start_offset: decoder.i64()?,
        refused_record: None,
        message: None,
        leader: LeaderHint::NONE,
    };
    if version >= 8 {
        for _ in 0..decoder.array_length()? {
            let refused = (decoder.i32()?, decoder.nullable_string()?);
            decoder.skip_tags()?;
            produced.refused_record.get_or_insert(refused);
        }
        produced.message = decoder.nullable_string()?;
    }
    decoder.tags(|tag, field| {
        if tag == 0 {
            produced.leader = LeaderHint::decode(field)?;
        }
        Ok(())
    })?;
    Ok(produced)
}
