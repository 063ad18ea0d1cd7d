//! Messages that carry records, held against what the `kafka-protocol` crate makes of them.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn produce_requests(fields in fields()) {
        for version in versions(Api::Produce) {
            let (mut out, mut cuts) = (vec![1, 2, 3], Vec::new());
            let start = out.len();
            let mut request =
                ProduceRequest::begin((version, 5, "c"), (fields.text.as_deref(), 30_000), 1, &mut out, &mut cuts);
            request.begin_topic(fields.topic(version, 13), 2);
            request.partition(fields.number, fields.bytes.len());
            request.partition(7, 4);
            request.end_topic();
            let size = request.finish();
            let mut whole = out[start..cuts[0]].to_vec();
            whole.extend(&fields.bytes);
            whole.extend(&out[cuts[0]..cuts[1]]);
            whole.extend([9; 4]);
            whole.extend(&out[cuts[1]..]);
            prop_assert_eq!(whole.len(), size);
            let length = i32::try_from(size - 4).unwrap();
            prop_assert_eq!(&whole[..4], &length.to_be_bytes());

            let mut rest = &whole[4..];
            let header_version = if Api::Produce.is_flexible(version) { 2 } else { 1 };
            let header = theirs::RequestHeader::decode(&mut rest, header_version).unwrap();
            prop_assert_eq!((header.request_api_key, header.request_api_version, header.correlation_id), (0, version, 5));
            let read = theirs::ProduceRequest::decode(&mut rest, version).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(read.transactional_id.as_ref().map(|id| id.as_str()), fields.text.as_deref());
            prop_assert_eq!((read.acks, read.timeout_ms), (-1, 30_000));
            let topic = &read.topic_data[0];
            if version >= 13 {
                prop_assert_eq!(topic.topic_id.as_bytes(), &fields.id);
            } else {
                prop_assert_eq!(topic.name.as_str(), &fields.name);
            }
            prop_assert_eq!((topic.partition_data[0].index, topic.partition_data[1].index), (fields.number, 7));
            prop_assert_eq!(&topic.partition_data[0].records.as_ref().unwrap()[..], &fields.bytes);
            prop_assert_eq!(&topic.partition_data[1].records.as_ref().unwrap()[..], &[9; 4]);
        }
    }

    #[test]
    fn produce_responses(fields in fields()) {
        for version in versions(Api::Produce) {
            let partitions = fields.list.iter().map(|(partition, offset, epoch)| {
                let mut partition = produced::PartitionProduceResponse::default().with_index(*partition)
                    .with_error_code(fields.code).with_base_offset(*offset).with_log_append_time_ms(3)
                    .with_log_start_offset(fields.offset);
                if version >= 8 {
                    let refused = [2, 5].map(|index| produced::BatchIndexAndErrorMessage::default()
                        .with_batch_index(index).with_batch_index_error_message(fields.text()));
                    partition = partition.with_record_errors(refused.to_vec()).with_error_message(fields.text());
                }
                if version >= 10 {
                    let leader = produced::LeaderIdAndEpoch::default().with_leader_id(1.into()).with_leader_epoch(*epoch);
                    partition = partition.with_current_leader(leader);
                }
                partition
            });
            let mut topic = produced::TopicProduceResponse::default().with_partition_responses(partitions.collect());
            topic = if version >= 13 {
                topic.with_topic_id(fields.id_of_theirs().topic_id)
            } else {
                topic.with_name(fields.topic_name())
            };
            let mut answer = theirs::ProduceResponse::default().with_responses(vec![topic]).with_throttle_time_ms(11);
            if version >= 10 {
                let node = produced::NodeEndpoint::default().with_node_id(1.into()).with_host(fields.name()).with_port(2);
                answer = answer.with_node_endpoints(vec![node]);
            }
            let bytes = written_by_them(&answer, version);
            let mut seen = Vec::new();
            let ours = ProduceResponse::decode(version, decoder(Api::Produce, version, &bytes), |one| seen.push(one)).unwrap();
            prop_assert_eq!(ours.throttle_time_ms, 11);
            let expected: Vec<_> = fields.list.iter().map(|(partition, offset, epoch)| ProducedPartition {
                topic: fields.topic(version, 13),
                partition: *partition,
                error: fields.code,
                base_offset: *offset,
                log_append_time_ms: 3,
                log_start_offset: fields.offset,
                refused_record: (version >= 8).then_some((2, fields.text.as_deref())),
                message: if version >= 8 { fields.text.as_deref() } else { None },
                leader: if version >= 10 { LeaderHint { leader: 1, epoch: *epoch } } else { LeaderHint::NONE },
            }).collect();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn fetch_requests(fields in fields()) {
        for version in versions(Api::Fetch) {
            let (names, ids) = ([&*fields.name, "another"].map(Arc::from), [fields.id, [7; 16]]);
            let topics = if version >= 13 { TopicRefs::Ids(&ids) } else { TopicRefs::Names(&names) };
            let partitions: Vec<_> = fields.list.iter().map(|(partition, offset, epoch)| FetchPartition {
                topic: usize::from(*epoch % 2 == 0), partition: *partition, leader_epoch: *epoch, offset: *offset, last_fetched_epoch: fields.number, max_bytes: 99,
            }).collect();
            let request = FetchRequest {
                topics, partitions: &partitions, max_wait_ms: 500, min_bytes: 1,
                max_bytes: fields.number, read_committed: fields.flag, rack: &fields.name,
            };
            let read: theirs::FetchRequest = read_by_them(&request, version);
            prop_assert_eq!((read.max_wait_ms, read.min_bytes, read.max_bytes), (500, 1, fields.number));
            prop_assert_eq!((read.isolation_level, read.session_id, read.session_epoch), (fields.flag.into(), 0, -1));
            prop_assert_eq!(read.rack_id.as_str(), if version >= 11 { &*fields.name } else { "" });
            prop_assert!(read.forgotten_topics_data.is_empty() && read.replica_id.0 == -1);
            let place = |topic: &theirs::fetch_request::FetchTopic|
                usize::from(*topic.topic_id.as_bytes() == ids[1] || *topic.topic.as_str() == *names[1]);
            let named = read.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (place(topic), one)));
            let asked: Vec<_> = named.map(|(topic, one)| FetchPartition {
                topic, partition: one.partition, leader_epoch: one.current_leader_epoch, offset: one.fetch_offset,
                last_fetched_epoch: if version >= 12 { one.last_fetched_epoch } else { fields.number },
                max_bytes: one.partition_max_bytes,
            }).collect();
            prop_assert_eq!(asked, partitions);
        }
    }

    #[test]
    fn fetch_responses(fields in fields()) {
        for version in versions(Api::Fetch) {
            let partitions = fields.list.iter().map(|(partition, offset, epoch)| {
                let aborted = fields.list.iter().map(|(_, first, _)| fetched::AbortedTransaction::default()
                    .with_producer_id(fields.offset.into()).with_first_offset(*first));
                let mut partition = fetched::PartitionData::default().with_partition_index(*partition)
                    .with_error_code(fields.code).with_high_watermark(*offset).with_last_stable_offset(4)
                    .with_log_start_offset(5).with_aborted_transactions(Some(aborted.collect()))
                    .with_records(Some(fields.bytes.clone().into()));
                if version >= 11 {
                    partition = partition.with_preferred_read_replica(fields.number.into());
                }
                if version >= 12 {
                    let diverging = fetched::EpochEndOffset::default().with_epoch(*epoch).with_end_offset(6);
                    let leader = fetched::LeaderIdAndEpoch::default().with_leader_id(1.into()).with_leader_epoch(*epoch);
                    let snapshot = fetched::SnapshotId::default().with_end_offset(7).with_epoch(8);
                    partition = partition.with_diverging_epoch(diverging).with_current_leader(leader).with_snapshot_id(snapshot);
                }
                partition
            });
            let mut topic = fetched::FetchableTopicResponse::default().with_partitions(partitions.collect());
            topic = if version >= 13 {
                topic.with_topic_id(fields.id_of_theirs().topic_id)
            } else {
                topic.with_topic(fields.topic_name())
            };
            let mut answer = theirs::FetchResponse::default().with_throttle_time_ms(5).with_error_code(fields.code)
                .with_session_id(fields.number).with_responses(vec![topic]);
            if version >= 16 {
                let node = fetched::NodeEndpoint::default().with_node_id(1.into()).with_host(fields.name()).with_port(2);
                answer = answer.with_node_endpoints(vec![node]);
            }
            let bytes = written_by_them(&answer, version);
            let mut seen = Vec::new();
            let ours = FetchResponse::decode(version, decoder(Api::Fetch, version, &bytes), |one| seen.push(one)).unwrap();
            prop_assert_eq!(ours, FetchResponse { throttle_time_ms: 5, error: fields.code });
            prop_assert_eq!(seen.len(), fields.list.len());
            for (one, (partition, offset, epoch)) in seen.iter().zip(&fields.list) {
                prop_assert_eq!((one.topic, one.partition, one.error), (fields.topic(version, 13), *partition, fields.code));
                prop_assert_eq!((one.high_watermark, one.last_stable_offset, one.log_start_offset), (*offset, 4, 5));
                prop_assert_eq!(one.preferred_read_replica, if version >= 11 { fields.number } else { -1 });
                prop_assert_eq!(one.batches, &fields.bytes);
                let first_offsets: Vec<_> = one.aborted().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect();
                prop_assert_eq!(first_offsets, fields.list.iter().map(|(_, first, _)| (fields.offset, *first)).collect::<Vec<_>>());
                // What is as if it had not been said is not said.
                let diverging = DivergingEpoch { epoch: *epoch, end_offset: 6 };
                prop_assert_eq!(one.diverging, (version >= 12).then_some(diverging));
                let hint = LeaderHint { leader: 1, epoch: *epoch };
                prop_assert_eq!(one.leader, if version >= 12 { hint } else { LeaderHint::NONE });
            }
        }
    }
}
