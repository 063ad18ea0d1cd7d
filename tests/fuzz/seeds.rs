//! What inputs begin with: what brokers and clients really write.

use kafka_protocol::{
    messages::{
        ApiKey, ApiVersionsResponse, FetchResponse, MetadataResponse, ProduceResponse,
        SaslAuthenticateResponse, SaslHandshakeResponse,
        api_versions_response::ApiVersion,
        fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData},
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
        produce_response::{PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::{Encodable, StrBytes},
};
use proofload::inside::{
    batch::{BatchProducer, BatchValue, BatchWriter, Codec, CrcShift, NewRecord, Packer},
    protocol::Api,
};

use super::targets::spoken;

/// One for each request and version, and some that have something in them.
pub fn responses() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (which, (api, version)) in (0..=u8::MAX).zip(spoken()) {
        all.push([&[which][..], &[0; 64]].concat());
        all.push([&[which][..], &[1; 64]].concat());
        if let Some(body) = answer(api, version) {
            let tags: &[u8] = if api.is_flexible(version) && api != Api::ApiVersions { &[0] } else { &[] };
            all.push([&[which, 0, 0, 0, 7][..], tags, &body].concat());
        }
    }
    all
}

fn answer(api: Api, version: i16) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let written = match api {
        Api::Produce => {
            let partition = PartitionProduceResponse::default().with_base_offset(7);
            let topic = TopicProduceResponse::default().with_partition_responses(vec![partition]);
            ProduceResponse::default().with_responses(vec![topic]).encode(&mut bytes, version)
        }
        Api::Fetch => {
            let aborted = AbortedTransaction::default().with_first_offset(3);
            let partition = PartitionData::default()
                .with_aborted_transactions(Some(vec![aborted]))
                .with_records(Some(batch(Codec::None).into()));
            let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
            FetchResponse::default().with_responses(vec![topic]).encode(&mut bytes, version)
        }
        Api::Metadata => {
            let broker = MetadataResponseBroker::default().with_host(StrBytes::from_static_str("b"));
            let partition = MetadataResponsePartition::default().with_replica_nodes(vec![1.into()]);
            let topic = MetadataResponseTopic::default()
                .with_name(Some(StrBytes::from_static_str("t").into()))
                .with_partitions(vec![partition]);
            let answer = MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic]);
            answer.encode(&mut bytes, version)
        }
        _ => return None,
    };
    written.ok().map(|()| bytes)
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut writer = BatchWriter::with_capacity(512);
    for value in [&b"one"[..], &[7; 300], b""] {
        let headers = &[(&b"0000000000000000000000.000000000000000000"[..], &b""[..])][..];
        let value = BatchValue::Copied(value);
        let record = NewRecord { timestamp_ms: 5, key: b"key", value, headers };
        writer.push(&record);
    }
    if let Some(mut packer) = Packer::new(codec) {
        writer.pack(&mut packer);
    }
    let producer = BatchProducer { id: 1, epoch: 0, base_sequence: 0, transactional: false };
    writer.seal(producer, &CrcShift::by(8));
    let mut bytes = Vec::new();
    writer.slices().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

/// One of each codec, and two at once.
pub fn batches() -> Vec<Vec<u8>> {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let mut all: Vec<_> = codecs.into_iter().map(batch).collect();
    all.push([batch(Codec::None), batch(Codec::Zstd)].concat());
    all
}

/// In pieces with their lengths before them.
fn pieces(bodies: &[Vec<u8>]) -> Vec<u8> {
    let piece = |body: &Vec<u8>| [&[u8::try_from(body.len()).unwrap_or(u8::MAX)][..], body].concat();
    bodies.iter().flat_map(piece).collect()
}

fn versions() -> Vec<u8> {
    let range = |api: ApiKey| ApiVersion::default().with_api_key(api as i16).with_max_version(1);
    let keys = [ApiKey::SaslHandshake, ApiKey::SaslAuthenticate, ApiKey::Metadata].map(range).to_vec();
    let mut bytes = Vec::new();
    let answer = ApiVersionsResponse::default().with_api_keys(keys);
    answer.encode(&mut bytes, 3).expect("an answer that can be written");
    bytes
}

/// What a broker speaks, whole and in two pieces.
pub fn connections() -> Vec<Vec<u8>> {
    let body = versions();
    let length = u8::try_from(body.len() + 4).unwrap_or(u8::MAX);
    let frame = [&[0, 0, 0, length, 0, 0, 0, 0][..], &body].concat();
    let (front, back) = frame.split_at(6);
    vec![pieces(std::slice::from_ref(&frame)), pieces(&[front.to_vec(), back.to_vec()])]
}

/// An admission by each mechanism, as far as it can be made beforehand.
pub fn logins() -> Vec<Vec<u8>> {
    const CHALLENGE: &[u8] = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    let mut handshake = Vec::new();
    let plain = StrBytes::from_static_str("PLAIN");
    let answer = SaslHandshakeResponse::default().with_mechanisms(vec![plain]);
    answer.encode(&mut handshake, 1).expect("an answer that can be written");
    let authenticate = |bytes: &'static [u8]| {
        let mut body = Vec::new();
        let answer = SaslAuthenticateResponse::default().with_auth_bytes(bytes.into());
        answer.encode(&mut body, 1).expect("an answer that can be written");
        body
    };
    let all = (0..4).flat_map(|which| {
        [&b""[..], CHALLENGE, b"v=abcd", b"e=other-error"].map(|bytes| {
            let bodies = [versions(), handshake.clone(), authenticate(bytes), authenticate(b"v=x")];
            [vec![which], pieces(&bodies)].concat()
        })
    });
    all.collect()
}
