//! Every message in every version, held against what the `kafka-protocol` crate makes of it.

use std::sync::Arc;

use kafka_protocol::{
    messages::{
        self as theirs, TopicName, fetch_response as fetched, metadata_response as metadata,
        produce_response as produced,
    },
    protocol::{Decodable, Encodable, StrBytes},
};
use proptest::prelude::*;

use super::*;
use crate::partitions::TopicPartition;

#[path = "oracle_tests/records.rs"]
mod records;

/// Values for the fields of a message.
#[derive(Clone, Debug)]
struct Fields {
    code: i16,
    number: i32,
    offset: i64,
    flag: bool,
    name: String,
    text: Option<String>,
    bytes: Vec<u8>,
    id: TopicId,
    /// Of a list's elements: a partition, an offset, an epoch.
    list: Vec<(i32, i64, i32)>,
}

fn fields() -> impl Strategy<Value = Fields> {
    let scalars = (any::<i16>(), any::<i32>(), any::<i64>(), any::<bool>());
    // Long enough for lengths of two bytes.
    let texts = ("[a-z.]{0,200}", proptest::option::of("[ -~]{0,20}"), any::<[u8; 16]>());
    let lists = (
        proptest::collection::vec(any::<u8>(), 0..300),
        proptest::collection::vec((any::<i32>(), any::<i64>(), any::<i32>()), 0..5),
    );
    (scalars, texts, lists).prop_map(|((code, number, offset, flag), (name, text, id), (bytes, list))| {
        Fields { code, number, offset, flag, name, text, bytes, id, list }
    })
}

impl Fields {
    fn name(&self) -> StrBytes {
        StrBytes::from_string(self.name.clone())
    }

    fn text(&self) -> Option<StrBytes> {
        self.text.clone().map(StrBytes::from_string)
    }

    fn topic_name(&self) -> TopicName {
        TopicName(self.name())
    }

    /// A topic as requests of a version name it, where ids come in with another one.
    fn topic(&self, version: i16, ids_from: i16) -> TopicRef<'_> {
        if version >= ids_from { TopicRef::Id(self.id) } else { TopicRef::Name(&self.name) }
    }

    /// Their type for ids is of another crate: it is taken from something that has one.
    fn id_of_theirs(&self) -> theirs::metadata_request::MetadataRequestTopic {
        let mut bytes = self.id.to_vec();
        bytes.extend([0, 0]);
        theirs::metadata_request::MetadataRequestTopic::decode(&mut &*bytes, 12).unwrap()
    }
}

/// Every version of a request that is spoken.
fn versions(api: Api) -> std::ops::RangeInclusive<i16> {
    let (first, last) = api.spoken();
    first..=last
}

/// What they read of a request of ours; nothing may be left.
fn read_by_them<R: Request, T: Decodable>(request: &R, version: i16) -> T {
    let mut out = Vec::new();
    request.encode(version, &mut Encoder::new(&mut out, R::API.is_flexible(version)));
    let mut rest = &*out;
    let read = T::decode(&mut rest, version).unwrap_or_else(|error| panic!("version {version}: {error}"));
    assert!(rest.is_empty(), "version {version}: {} bytes are left", rest.len());
    read
}

/// The bytes of a response of theirs.
fn written_by_them(response: &impl Encodable, version: i16) -> Vec<u8> {
    let mut out = Vec::new();
    response.encode(&mut out, version).unwrap_or_else(|error| panic!("version {version}: {error}"));
    out
}

/// Reads a response of theirs, of which no byte may be left: what lies behind the last field is ignored, so that a field
/// which is not read would go unnoticed, but without the last byte there is no such message.
fn decoder(api: Api, version: i16, bytes: &[u8]) -> Decoder<'_> {
    let cut = Decoder::new(&bytes[..bytes.len() - 1], api.is_flexible(version));
    let outcome = robustness_tests::decode(api, version, cut);
    assert!(outcome.is_err(), "{api} version {version} is read without its last byte");
    Decoder::new(bytes, api.is_flexible(version))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn api_versions(fields in fields()) {
        for version in versions(Api::ApiVersions) {
            let request = ApiVersionsRequest { software: &fields.name, software_version: "1.0" };
            let read: theirs::ApiVersionsRequest = read_by_them(&request, version);
            if version >= 3 {
                prop_assert_eq!(read.client_software_name.as_str(), &fields.name);
                prop_assert_eq!(read.client_software_version.as_str(), "1.0");
            }
            let range = theirs::api_versions_response::ApiVersion::default()
                .with_api_key(1).with_min_version(2).with_max_version(fields.code);
            let mut answer = theirs::ApiVersionsResponse::default().with_error_code(3).with_api_keys(vec![range]);
            if version >= 1 {
                answer = answer.with_throttle_time_ms(fields.number);
            }
            if version >= 3 {
                let feature = theirs::api_versions_response::FinalizedFeatureKey::default()
                    .with_name(fields.name()).with_max_version_level(fields.code).with_min_version_level(1);
                answer = answer.with_finalized_features(vec![feature]).with_finalized_features_epoch(fields.offset);
            }
            let bytes = written_by_them(&answer, version);
            let ours = ApiVersionsResponse::decode(version, decoder(Api::ApiVersions, version, &bytes)).unwrap();
            prop_assert_eq!(ours.error, 3);
            prop_assert_eq!(&ours.ranges, &[ApiRange { key: 1, first: 2, last: fields.code }]);
            prop_assert_eq!(ours.throttle_time_ms, if version >= 1 { fields.number } else { 0 });
            let features = vec![FinalizedFeature { name: &fields.name, level: fields.code }];
            prop_assert_eq!(ours.features, if version >= 3 { features } else { Vec::new() });
        }
    }

    #[test]
    fn metadata_messages(fields in fields()) {
        for version in versions(Api::Metadata) {
            let names = [fields.name.as_str(), "other"];
            let read: theirs::MetadataRequest = read_by_them(&MetadataRequest { topics: Some(&names), tell_rights: false }, version);
            let asked = read.topics.unwrap();
            prop_assert_eq!(asked.len(), 2);
            prop_assert_eq!(asked[0].name.as_ref().unwrap().as_str(), &fields.name);
            prop_assert!(!read.allow_auto_topic_creation);
            let rights = MetadataRequest { topics: Some(&names), tell_rights: true };
            let rights: theirs::MetadataRequest = read_by_them(&rights, version);
            prop_assert_eq!(rights.include_topic_authorized_operations, version >= 8);
            prop_assert!(!read.include_topic_authorized_operations);
            let all: theirs::MetadataRequest = read_by_them(&MetadataRequest { topics: None, tell_rights: false }, version);
            prop_assert!(all.topics.is_none());

            let partitions = fields.list.iter().map(|(id, _, epoch)| metadata::MetadataResponsePartition::default()
                .with_error_code(fields.code).with_partition_index(*id).with_leader_id(7.into())
                .with_leader_epoch(*epoch).with_replica_nodes(vec![1.into(), 2.into()])
                .with_isr_nodes(vec![1.into()]));
            let mut topic = metadata::MetadataResponseTopic::default()
                .with_error_code(5).with_name(Some(fields.topic_name())).with_partitions(partitions.collect());
            if version >= 10 {
                topic = topic.with_topic_id(fields.id_of_theirs().topic_id);
            }
            // What stands there for rights that nobody asked for, and for some.
            let rights = if fields.flag { fields.number } else { i32::MIN };
            if version >= 8 {
                topic = topic.with_topic_authorized_operations(rights);
            }
            let broker = metadata::MetadataResponseBroker::default()
                .with_node_id(fields.number.into()).with_host(fields.name()).with_port(9092).with_rack(fields.text());
            let mut answer = theirs::MetadataResponse::default().with_throttle_time_ms(9)
                .with_brokers(vec![broker]).with_cluster_id(fields.text()).with_controller_id(3.into())
                .with_topics(vec![topic]);
            if version >= 13 {
                answer = answer.with_error_code(fields.code);
            }
            let bytes = written_by_them(&answer, version);
            let ours = MetadataResponse::decode(version, decoder(Api::Metadata, version, &bytes)).unwrap();
            prop_assert_eq!((ours.throttle_time_ms, ours.controller, ours.cluster_id), (9, 3, fields.text.as_deref()));
            prop_assert_eq!(ours.error, if version >= 13 { fields.code } else { 0 });
            prop_assert_eq!(&ours.brokers, &[Broker { id: fields.number, host: &fields.name, port: 9092 }]);
            let replicas = ours.topics[0].partitions.first().map(|one| one.replicas).unwrap_or_default();
            let known: Vec<_> = fields.list.iter().map(|(id, _, epoch)| PartitionMetadata {
                error: fields.code, partition: *id, leader: 7, leader_epoch: *epoch, replicas,
            }).collect();
            prop_assert!(known.iter().all(|one| one.replicas.ids().eq([1, 2])));
            let id = if version >= 10 { fields.id } else { TopicId::default() };
            prop_assert_eq!(&ours.topics, &[TopicMetadata {
                error: 5, name: &fields.name, id, partitions: known,
                rights: Some(rights).filter(|rights| version >= 8 && *rights != i32::MIN),
            }]);
        }
    }

    #[test]
    fn list_offsets_messages(fields in fields()) {
        for version in versions(Api::ListOffsets) {
            let questions: Vec<_> = fields.list.iter()
                .map(|(partition, _, epoch)| OffsetQuestion { partition: *partition, leader_epoch: *epoch }).collect();
            let request = ListOffsetsRequest {
                topic: &fields.name, partitions: &questions, timestamp: Timestamp::Earliest,
                read_committed: fields.flag, timeout_ms: 77,
            };
            let read: theirs::ListOffsetsRequest = read_by_them(&request, version);
            prop_assert_eq!((read.isolation_level, read.replica_id.0), (fields.flag.into(), -1));
            prop_assert_eq!(read.timeout_ms, if version >= 10 { 77 } else { 0 });
            let asked: Vec<_> = read.topics[0].partitions.iter()
                .map(|one| (one.partition_index, one.current_leader_epoch, one.timestamp)).collect();
            let epoch = |epoch: i32| if version >= 4 { epoch } else { -1 };
            prop_assert_eq!(asked, questions.iter().map(|one| (one.partition, epoch(one.leader_epoch), -2)).collect::<Vec<_>>());

            let listed = fields.list.iter().map(|(partition, offset, leader_epoch)| {
                let answer = theirs::list_offsets_response::ListOffsetsPartitionResponse::default()
                    .with_partition_index(*partition).with_error_code(fields.code).with_timestamp(4).with_offset(*offset);
                if version >= 4 { answer.with_leader_epoch(*leader_epoch) } else { answer }
            });
            let topic = theirs::list_offsets_response::ListOffsetsTopicResponse::default()
                .with_name(fields.topic_name()).with_partitions(listed.collect());
            let answer = theirs::ListOffsetsResponse::default().with_throttle_time_ms(6).with_topics(vec![topic]);
            let bytes = written_by_them(&answer, version);
            let ours = ListOffsetsResponse::decode(version, decoder(Api::ListOffsets, version, &bytes)).unwrap();
            let expected: Vec<_> = fields.list.iter().map(|(partition, offset, leader_epoch)| ListedOffset {
                partition: *partition, error: fields.code, offset: *offset, leader_epoch: epoch(*leader_epoch),
            }).collect();
            prop_assert_eq!(ours, ListOffsetsResponse { throttle_time_ms: 6, partitions: expected });
        }
    }

    #[test]
    fn leader_epoch_messages(fields in fields()) {
        for version in versions(Api::OffsetForLeaderEpoch) {
            let questions: Vec<_> = fields.list.iter().map(|(partition, _, epoch)| EpochQuestion {
                partition: *partition, current_epoch: *epoch, epoch: fields.number,
            }).collect();
            let request = LeaderEpochRequest { topic: &fields.name, partitions: &questions };
            let read: theirs::OffsetForLeaderEpochRequest = read_by_them(&request, version);
            let asked: Vec<_> = read.topics[0].partitions.iter().map(|one| EpochQuestion {
                partition: one.partition, current_epoch: one.current_leader_epoch, epoch: one.leader_epoch,
            }).collect();
            prop_assert_eq!(asked, questions);

            let ends = fields.list.iter().map(|(partition, offset, epoch)| {
                theirs::offset_for_leader_epoch_response::EpochEndOffset::default()
                    .with_partition(*partition).with_error_code(fields.code).with_leader_epoch(*epoch).with_end_offset(*offset)
            });
            let topic = theirs::offset_for_leader_epoch_response::OffsetForLeaderTopicResult::default()
                .with_topic(fields.topic_name()).with_partitions(ends.collect());
            let answer = theirs::OffsetForLeaderEpochResponse::default().with_throttle_time_ms(8).with_topics(vec![topic]);
            let bytes = written_by_them(&answer, version);
            let api = Api::OffsetForLeaderEpoch;
            let ours = LeaderEpochResponse::decode(version, decoder(api, version, &bytes)).unwrap();
            let expected: Vec<_> = fields.list.iter().map(|(partition, end_offset, epoch)| EpochEnd {
                error: fields.code, partition: *partition, epoch: *epoch, end_offset: *end_offset,
            }).collect();
            prop_assert_eq!(ours, LeaderEpochResponse { throttle_time_ms: 8, partitions: expected });
        }
    }

    #[test]
    fn producer_id_messages(fields in fields()) {
        for version in versions(Api::InitProducerId) {
            let request = InitProducerIdRequest {
                transactional_id: fields.text.as_deref(), transaction_timeout_ms: fields.number,
                current: (fields.offset, fields.code),
            };
            let read: theirs::InitProducerIdRequest = read_by_them(&request, version);
            prop_assert_eq!(read.transactional_id.as_ref().map(|id| id.as_str()), fields.text.as_deref());
            prop_assert_eq!(read.transaction_timeout_ms, fields.number);
            let current = if version >= 3 { (fields.offset, fields.code) } else { (-1, -1) };
            prop_assert_eq!((read.producer_id.0, read.producer_epoch), current);

            let answer = theirs::InitProducerIdResponse::default().with_throttle_time_ms(5).with_error_code(fields.code)
                .with_producer_id(fields.offset.into()).with_producer_epoch(6);
            let bytes = written_by_them(&answer, version);
            let ours = InitProducerIdResponse::decode(version, decoder(Api::InitProducerId, version, &bytes)).unwrap();
            prop_assert_eq!(ours, InitProducerIdResponse {
                throttle_time_ms: 5, error: fields.code, producer_id: fields.offset, producer_epoch: 6,
            });
        }
    }

    #[test]
    fn coordinator_messages(fields in fields()) {
        for version in versions(Api::FindCoordinator) {
            let request = FindCoordinatorRequest { key: &fields.name, kind: CoordinatorKind::Transaction };
            let read: theirs::FindCoordinatorRequest = read_by_them(&request, version);
            let key = if version >= 4 { read.coordinator_keys[0].as_str() } else { read.key.as_str() };
            prop_assert_eq!((key, read.key_type), (fields.name.as_str(), 1));

            let answer = theirs::FindCoordinatorResponse::default().with_throttle_time_ms(5);
            let answer = if version >= 4 {
                let coordinator = theirs::find_coordinator_response::Coordinator::default().with_key(fields.name())
                    .with_node_id(fields.number.into()).with_host(fields.name()).with_port(9)
                    .with_error_code(fields.code).with_error_message(fields.text());
                answer.with_coordinators(vec![coordinator])
            } else {
                answer.with_node_id(fields.number.into()).with_host(fields.name()).with_port(9)
                    .with_error_code(fields.code).with_error_message(fields.text())
            };
            let bytes = written_by_them(&answer, version);
            let ours = FindCoordinatorResponse::decode(version, decoder(Api::FindCoordinator, version, &bytes)).unwrap();
            let coordinator = Some(Coordinator {
                error: fields.code, message: fields.text.as_deref(), id: fields.number, host: &fields.name, port: 9,
            });
            prop_assert_eq!(ours, FindCoordinatorResponse { throttle_time_ms: 5, coordinator });
        }
    }

    #[test]
    fn add_partitions_messages(fields in fields()) {
        for version in versions(Api::AddPartitionsToTxn) {
            let names = [&*fields.name, "another"].map(Arc::from);
            let (partitions, topics) = (fields.list.iter().map(|one| one.0).collect::<Vec<_>>(), TopicRefs::Names(&names));
            let places: Vec<_> = [0, 1].into_iter().flat_map(|topic| partitions.iter().map(move |one| (topic, *one)))
                .map(|(topic, partition)| TopicPartition { topic, partition }).collect();
            let request = AddPartitionsRequest {
                transactional_id: "t", producer: (fields.offset, fields.code), topics, partitions: &places,
            };
            let read: theirs::AddPartitionsToTxnRequest = read_by_them(&request, version);
            prop_assert_eq!(read.v3_and_below_transactional_id.as_str(), "t");
            prop_assert_eq!((read.v3_and_below_producer_id.0, read.v3_and_below_producer_epoch), request.producer);
            for (topic, name) in read.v3_and_below_topics.iter().zip(&names) {
                prop_assert_eq!((&topic.partitions, topic.name.as_str()), (&partitions, &**name));
            }

            let results = partitions.iter().map(|partition| {
                theirs::add_partitions_to_txn_response::AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*partition).with_partition_error_code(fields.code)
            });
            let topic = theirs::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult::default()
                .with_name(fields.topic_name()).with_results_by_partition(results.collect());
            let answer = theirs::AddPartitionsToTxnResponse::default()
                .with_throttle_time_ms(5).with_results_by_topic_v3_and_below(vec![topic]);
            let bytes = written_by_them(&answer, version);
            let ours = AddPartitionsResponse::decode(version, decoder(Api::AddPartitionsToTxn, version, &bytes)).unwrap();
            let expected = partitions.iter().map(|partition| AddedPartition { topic: &fields.name, partition: *partition, error: fields.code });
            prop_assert_eq!(ours, AddPartitionsResponse { throttle_time_ms: 5, partitions: expected.collect() });
        }
    }

    #[test]
    fn end_txn_messages(fields in fields()) {
        for version in versions(Api::EndTxn) {
            let request = EndTxnRequest {
                transactional_id: &fields.name, producer: (fields.offset, fields.code), commit: fields.flag,
            };
            let read: theirs::EndTxnRequest = read_by_them(&request, version);
            prop_assert_eq!(read.transactional_id.as_str(), &fields.name);
            prop_assert_eq!((read.producer_id.0, read.producer_epoch), request.producer);
            prop_assert_eq!(read.committed, fields.flag);

            let mut answer = theirs::EndTxnResponse::default().with_throttle_time_ms(5).with_error_code(fields.code);
            if version >= 5 {
                answer = answer.with_producer_id(fields.offset.into()).with_producer_epoch(3);
            }
            let bytes = written_by_them(&answer, version);
            let ours = EndTxnResponse::decode(version, decoder(Api::EndTxn, version, &bytes)).unwrap();
            let next_producer = (version >= 5 && fields.offset >= 0).then_some((fields.offset, 3));
            prop_assert_eq!(ours, EndTxnResponse { throttle_time_ms: 5, error: fields.code, next_producer });
        }
    }

    #[test]
    fn offset_fetch_messages(fields in fields()) {
        use theirs::offset_fetch_response as fetched;
        for version in versions(Api::OffsetFetch) {
            let (names, is_new) = ([Arc::from(&*fields.name)], version >= 8);
            let places: Vec<_> = fields.list.iter().map(|one| TopicPartition { topic: 0, partition: one.0 }).collect();
            let request = OffsetFetchRequest {
                group: "g", topics: TopicRefs::Names(&names), partitions: &places, require_stable: fields.flag,
            };
            let read: theirs::OffsetFetchRequest = read_by_them(&request, version);
            prop_assert_eq!(read.require_stable, fields.flag && version >= 7);
            let numbers: Vec<_> = places.iter().map(|place| place.partition).collect();
            let asked: Vec<_> = if is_new {
                prop_assert_eq!(read.groups[0].group_id.as_str(), "g");
                let topics = read.groups[0].topics.iter().flatten();
                topics.map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
            } else {
                prop_assert_eq!(read.group_id.as_str(), "g");
                let topics = read.topics.iter().flatten();
                topics.map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
            };
            let expected: Vec<_> = (!numbers.is_empty()).then(|| (fields.name.clone(), numbers)).into_iter().collect();
            prop_assert_eq!(asked, expected);

            let answer = theirs::OffsetFetchResponse::default().with_throttle_time_ms(5);
            let answer = if is_new {
                let partitions = fields.list.iter().map(|(partition, offset, epoch)| {
                    fetched::OffsetFetchResponsePartitions::default().with_partition_index(*partition).with_committed_offset(*offset)
                        .with_committed_leader_epoch(*epoch).with_metadata(fields.text()).with_error_code(fields.code)
                });
                let topic = fetched::OffsetFetchResponseTopics::default()
                    .with_name(fields.topic_name()).with_partitions(partitions.collect());
                let group = fetched::OffsetFetchResponseGroup::default()
                    .with_group_id(fields.name().into()).with_topics(vec![topic]).with_error_code(7);
                answer.with_groups(vec![group])
            } else {
                let partitions = fields.list.iter().map(|(partition, offset, epoch)| {
                    fetched::OffsetFetchResponsePartition::default().with_partition_index(*partition).with_committed_offset(*offset)
                        .with_committed_leader_epoch(*epoch).with_metadata(fields.text()).with_error_code(fields.code)
                });
                let topic = fetched::OffsetFetchResponseTopic::default()
                    .with_name(fields.topic_name()).with_partitions(partitions.collect());
                answer.with_topics(vec![topic]).with_error_code(7)
            };
            let bytes = written_by_them(&answer, version);
            let ours = OffsetFetchResponse::decode(version, decoder(Api::OffsetFetch, version, &bytes)).unwrap();
            let offsets = fields.list.iter().map(|(partition, offset, _)| GroupOffset {
                topic: &fields.name, partition: *partition, error: fields.code, offset: *offset,
            });
            prop_assert_eq!(ours, OffsetFetchResponse { throttle_time_ms: 5, error: 7, offsets: offsets.collect() });
        }
    }

    #[test]
    fn sasl_messages(fields in fields()) {
        let read: theirs::SaslHandshakeRequest = read_by_them(&SaslHandshakeRequest { mechanism: &fields.name }, 1);
        prop_assert_eq!(read.mechanism.as_str(), &fields.name);
        let answer = theirs::SaslHandshakeResponse::default().with_error_code(fields.code)
            .with_mechanisms(vec![fields.name()]);
        let bytes = written_by_them(&answer, 1);
        let ours = SaslHandshakeResponse::decode(1, decoder(Api::SaslHandshake, 1, &bytes)).unwrap();
        let mechanisms = vec![fields.name.as_str()];
        prop_assert_eq!(ours, SaslHandshakeResponse { error: fields.code, mechanisms });
        for version in versions(Api::SaslAuthenticate) {
            let read: theirs::SaslAuthenticateRequest =
                read_by_them(&SaslAuthenticateRequest { bytes: &fields.bytes }, version);
            prop_assert_eq!(&read.auth_bytes[..], &fields.bytes);
            let mut answer = theirs::SaslAuthenticateResponse::default().with_error_code(fields.code)
                .with_error_message(fields.text()).with_auth_bytes(fields.bytes.clone().into());
            if version >= 1 {
                answer = answer.with_session_lifetime_ms(fields.offset);
            }
            let bytes = written_by_them(&answer, version);
            let ours = SaslAuthenticateResponse::decode(version, decoder(Api::SaslAuthenticate, version, &bytes)).unwrap();
            let lifetime_ms = if version >= 1 { fields.offset } else { 0 };
            prop_assert_eq!((ours.error, ours.message), (fields.code, fields.text.as_deref()));
            prop_assert_eq!((ours.bytes, ours.session_lifetime_ms), (&fields.bytes[..], lifetime_ms));
        }
    }

    #[test]
    fn create_topics_messages(fields in fields()) {
        for version in versions(Api::CreateTopics) {
            let settings = [("retention.ms", "5"), (fields.name.as_str(), "")];
            let request = CreateTopicRequest {
                name: &fields.name, partitions: fields.number, replication_factor: fields.code,
                settings: &settings, timeout_ms: 88,
            };
            let read: theirs::CreateTopicsRequest = read_by_them(&request, version);
            prop_assert_eq!((read.timeout_ms, read.validate_only), (88, false));
            let topic = &read.topics[0];
            prop_assert_eq!((topic.num_partitions, topic.replication_factor), (fields.number, fields.code));
            prop_assert_eq!(topic.name.as_str(), &fields.name);
            let read: Vec<_> = topic.configs.iter()
                .map(|one| (one.name.as_str(), one.value.as_ref().unwrap().as_str())).collect();
            prop_assert_eq!(read, settings);

            let mut topic = theirs::create_topics_response::CreatableTopicResult::default().with_name(fields.topic_name())
                .with_error_code(fields.code).with_error_message(fields.text());
            if version >= 5 {
                let setting = theirs::create_topics_response::CreatableTopicConfigs::default()
                    .with_name(fields.name()).with_value(fields.text()).with_read_only(true);
                topic = topic.with_num_partitions(4).with_configs(Some(vec![setting])).with_topic_config_error_code(29);
            }
            let answer = theirs::CreateTopicsResponse::default().with_throttle_time_ms(5).with_topics(vec![topic]);
            let bytes = written_by_them(&answer, version);
            let ours = CreateTopicsResponse::decode(version, decoder(Api::CreateTopics, version, &bytes)).unwrap();
            let created = CreatedTopic { name: &fields.name, error: fields.code, message: fields.text.as_deref() };
            prop_assert_eq!(ours, CreateTopicsResponse { throttle_time_ms: 5, topics: vec![created] });
        }
    }

    #[test]
    fn describe_configs_messages(fields in fields()) {
        use theirs::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym};
        for version in versions(Api::DescribeConfigs) {
            let of = if fields.flag { SettingsOf::Topic } else { SettingsOf::Broker }(&fields.name);
            let request = DescribeSettingsRequest { of, settings: &["cleanup.policy"] };
            let read: theirs::DescribeConfigsRequest = read_by_them(&request, version);
            prop_assert!(!read.include_synonyms && !read.include_documentation);
            let (asked, kind) = (&read.resources[0], if fields.flag { 2 } else { 4 });
            prop_assert_eq!((asked.resource_type, asked.resource_name.as_str()), (kind, fields.name.as_str()));
            prop_assert_eq!(read.resources[0].configuration_keys.as_ref().unwrap()[0].as_str(), "cleanup.policy");
            let synonym = DescribeConfigsSynonym::default().with_name(fields.name()).with_value(fields.text()).with_source(1);
            let mut setting = DescribeConfigsResourceResult::default()
                .with_name(fields.name()).with_value(fields.text()).with_synonyms(vec![synonym]);
            if version >= 3 {
                setting = setting.with_documentation(fields.text()).with_config_type(2);
            }
            let result = DescribeConfigsResult::default().with_error_code(fields.code).with_error_message(fields.text())
                .with_resource_type(2).with_resource_name(fields.name()).with_configs(vec![setting]);
            let answer = theirs::DescribeConfigsResponse::default().with_throttle_time_ms(5).with_results(vec![result]);
            let bytes = written_by_them(&answer, version);
            let ours = DescribeSettingsResponse::decode(version, decoder(Api::DescribeConfigs, version, &bytes)).unwrap();
            let (message, settings) = (fields.text.as_deref(), vec![Setting { name: &fields.name, value: fields.text.as_deref() }]);
            prop_assert_eq!(ours, DescribeSettingsResponse { throttle_time_ms: 5, error: fields.code, message, settings });
        }
    }
}
