//! Clients that write and read partitions of several topics, whose leaders move meanwhile.

use std::sync::Arc;

use super::{
    Flavour,
    lines::{Lines, Weather},
    run,
    server::Server,
    topic::Settings,
};
use crate::{
    kafka::wire::{
        batch::{BatchValue, Codec, NewRecord},
        core::{
            consumer::{Consumer, ConsumerSettings},
            machine::Machine,
            partition::Fate,
            producer::Producer,
            questions::What,
            sink::SinkSettings,
            source::{ReadRecord, SourceEvent, SourceSettings, Visitor},
        },
    },
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
    random::Random,
};

const TOPICS: [&str; 3] = ["a", "b", "c"];
const PARTITIONS: i32 = 3;
const RECORDS: usize = 600;
const LIMIT_US: u64 = 30_000_000;
const WEATHER: Weather =
    Weather { latency_most_us: 2_000, piece_most_bytes: 300, cut: 0.0, refused: 0.0, half_open: 0.0 };
const SINK: SinkSettings = SinkSettings {
    linger_us: 0,
    batch_most_bytes: 400,
    codec: Codec::None,
    // Few batches fit: each topic's come in the middle of a request, too.
    request_most_bytes: 700,
    requests_in_flight: 2,
    records_most: 100,
    replicas_ms: 1_000,
    answer_us: 5_000_000,
    deposed_us: 300_000,
};
const SOURCE: SourceSettings = SourceSettings {
    max_wait_ms: 50,
    min_bytes: 1,
    max_bytes: 1 << 20,
    partition_max_bytes: 2_000,
    requests_at_once: 1,
    reads_ahead: true,
    read_committed: false,
    step_records: usize::MAX,
    unpacked_most_bytes: 1 << 20,
    back_off_us: 50_000,
    question_us: 5_000_000,
};

/// What was read of each partition: the tokens, in order.
struct Shown(Vec<Vec<usize>>);

impl Visitor for Shown {
    fn record(&mut self, slot: PartitionSlot, record: &ReadRecord<'_>) {
        let of_slot = &mut self.0[slot.index()];
        assert_eq!(usize::try_from(record.offset).unwrap(), of_slot.len(), "no offset is left out");
        let token = u64::from_be_bytes(record.value.unwrap().try_into().unwrap());
        of_slot.push(usize::try_from(token).unwrap());
    }

    fn event(&mut self, _slot: PartitionSlot, event: SourceEvent<'_>) {
        let is_fine =
            matches!(event, SourceEvent::Progress { .. } | SourceEvent::AtEnd { .. } | SourceEvent::Error(_));
        assert!(is_fine, "{event:?}");
    }
}

/// The partitions of one topic do not follow each other.
fn table() -> Arc<PartitionTable> {
    let mut table = PartitionTable::default();
    for partition in 0..PARTITIONS {
        for name in TOPICS {
            let topic = table.add_topic(name);
            table.add(TopicPartition { topic, partition });
        }
    }
    table.into()
}

/// Writes everything, and reads it meanwhile. Returns which tokens lie where, by slot.
fn play(flavour: Flavour, seed: u64) {
    let (table, mut random) = (table(), Random::from_seed(seed));
    let mut server = Server::new(flavour, 3, 1_700_000_000_000);
    for name in TOPICS {
        server.make_topic(name, PARTITIONS, 3, Settings::of(&[]).expect("no settings"));
    }
    let mut producer = Producer::new(run::network("writer"), SINK, &table);
    let reading = ConsumerSettings { network: run::network("reader"), source: SOURCE, fetch_us: 5_000_000 };
    let mut consumer = Consumer::new(reading, &table);
    let (mut writes, mut reads) = (Lines::new(WEATHER), Lines::new(WEATHER));
    table.slots().for_each(|slot| consumer.read_from(slot, 0, None, 0));
    let (mut shown, mut sent, mut places) = (Shown(vec![Vec::new(); table.count()]), Vec::new(), Vec::new());
    while shown.0.concat().len() < RECORDS {
        let now_us = server.now_us();
        assert!(now_us < LIMIT_US, "{seed}: {} sent, {} acked", sent.len(), places.len());
        if random.chance(0.02) {
            let topic = TOPICS[random.index(TOPICS.len())];
            server.elect_another(topic, i32::try_from(random.index(3)).unwrap());
        }
        for _ in 0..5 {
            let (slot, token) = (PartitionSlot::at(random.index(table.count())), sent.len());
            let value = BatchValue::Copied(&(token as u64).to_be_bytes());
            let record = NewRecord { timestamp_ms: 1, key: b"", value, headers: &[] };
            if token < RECORDS && producer.push(slot, &record, token).is_ok() {
                sent.push(slot);
            }
        }
        producer.handle_timeout(now_us);
        consumer.handle_timeout(now_us);
        while writes.carry(&mut producer, &mut server, &mut random)
            | reads.carry(&mut consumer, &mut server, &mut random)
        {}
        while let Some(settled) = producer.next_settled() {
            let Fate::Acked { base_offset } = settled.fate else { panic!("{seed}: {:?}", settled.fate) };
            places.extend((base_offset..).zip(settled.batch.tokens().iter().copied()));
            producer.recycle(settled.batch);
        }
        while consumer.show(usize::MAX, &mut shown, now_us) > 0 {}
        server.advance_to(now_us + 1_000);
    }
    for (offset, token) in places {
        let slot = sent[token];
        let value = server.value_at(table.topic(slot), table.partition(slot), offset);
        assert_eq!(value, Some(token as u64), "{seed}: where it was acked");
        assert_eq!(
            shown.0[slot.index()][usize::try_from(offset).unwrap()],
            token,
            "{seed}: and there it was read"
        );
    }
    let asked: Vec<_> = table.slots().collect();
    let ends = What::End { read_committed: false };
    let question = consumer.ask(&asked, ends, server.now_us() + 5_000_000, server.now_us());
    let answers = loop {
        if let Some(answers) = consumer.questions().answers(question) {
            break answers;
        }
        reads.carry(&mut consumer, &mut server, &mut random);
        server.advance_to(server.now_us() + 1_000);
        consumer.handle_timeout(server.now_us());
    };
    let found: Vec<_> = answers.into_iter().map(|(_, answer)| answer.unwrap().offset).collect();
    let lengths: Vec<_> = shown.0.iter().map(|tokens| i64::try_from(tokens.len()).unwrap()).collect();
    assert_eq!(found, lengths, "{seed}: of each topic its own end");
}

#[test]
fn partitions_of_several_topics_are_written_and_read_by_one_client_each() {
    for seed in 0..20 {
        play(if seed % 2 == 0 { Flavour::Kafka41 } else { Flavour::Kafka39 }, seed);
    }
}
