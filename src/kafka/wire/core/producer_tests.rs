//! The producer against a scripted broker: `kafka-protocol` reads its requests and writes the answers.

#[path = "producer_tests/scripted.rs"]
mod scripted;

use kafka_protocol::messages::{BrokerId, produce_response::LeaderIdAndEpoch};

use self::scripted::{Cluster, OF_OTHER, Received, SINK, TOPIC};
use super::*;
use crate::kafka::wire::{
    core::{machine::Machine, partition::Fate},
    protocol::Api,
};

#[test]
fn records_of_all_partitions_of_a_broker_go_in_one_request() {
    let mut cluster = Cluster::new(SINK, &[1, 2, 1]);
    for token in 0..6 {
        cluster.push(u32::try_from(token).unwrap() % 3, token).unwrap();
    }
    assert!(cluster.produced.is_empty(), "not before the next step");
    cluster.run();
    let sent: Vec<_> = cluster.produced.iter().map(|received| received.batches.clone()).collect();
    assert_eq!(sent, [vec![(1, 0, 1, 0, 2), (1, 2, 1, 0, 2)], vec![(2, 1, 1, 0, 2)]]);
    cluster.answer_oldest(0);
    cluster.answer_oldest(0);
    assert_eq!(cluster.settled.len(), 3);
    assert!(cluster.settled.iter().all(|(_, fate)| *fate == Fate::Acked { base_offset: 1_000 }));
}

#[test]
fn what_is_buffered_goes_when_a_request_is_answered() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.answer_oldest(0);
    for token in 1..10 {
        cluster.push(0, token).unwrap();
        cluster.run();
    }
    let counts = |cluster: &Cluster| -> Vec<i32> {
        cluster.produced.iter().flat_map(|received| received.batches.iter().map(|sent| sent.4)).collect()
    };
    assert_eq!(counts(&cluster), [1, 1], "two requests are in flight");
    cluster.answer_oldest(0);
    assert_eq!(counts(&cluster), [1, 7]);
}

#[test]
fn a_request_keeps_to_its_size_and_partitions_take_turns() {
    let mut cluster =
        Cluster::new(SinkSettings { request_most_bytes: 250, requests_in_flight: 1, ..SINK }, &[1; 4]);
    for token in 0..40 {
        cluster.push(u32::try_from(token).unwrap() % 4, token).unwrap();
    }
    let mut seen = Vec::new();
    cluster.run();
    while let [(_, partition, ..)] = cluster.oldest()[..] {
        seen.push(partition);
        cluster.answer_oldest(0);
    }
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
fn a_request_names_each_of_its_topics_once_wherever_its_turn_begins() {
    // Three batches of four records have room.
    let settings = SinkSettings { request_most_bytes: 400, requests_in_flight: 1, ..SINK };
    let mut cluster = Cluster::of_two(settings, &[1; 2]);
    let asked = |cluster: &Cluster| cluster.oldest().iter().map(|sent| sent.1).collect::<Vec<_>>();
    for token in 0..16 {
        cluster.push(u32::try_from(token).unwrap() % 4, token).unwrap();
    }
    cluster.run();
    assert_eq!(asked(&cluster), [0, 1, OF_OTHER], "the other topic's second has to wait");
    for token in 16..19 {
        cluster.push(u32::try_from(token).unwrap() % 4, token).unwrap();
    }
    cluster.answer_oldest(0);
    assert_eq!(asked(&cluster), [0, 1, OF_OTHER, OF_OTHER + 1], "and is the first that is gathered");
    cluster.answer_oldest(0);
    assert_eq!(cluster.settled.len(), 7);
    assert!(
        cluster.settled.iter().all(|(_, fate)| matches!(fate, Fate::Acked { .. })),
        "{:?}",
        cluster.settled
    );
}

#[test]
fn a_batch_lingers_unless_there_is_no_room_for_more() {
    let mut cluster = Cluster::new(SinkSettings { linger_us: 5_000, records_most: 3, ..SINK }, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    assert!(cluster.produced.is_empty());
    assert_eq!(cluster.producer.next_deadline_us(cluster.now_us), cluster.now_us + 5_000);
    cluster.pass(5_000);
    assert_eq!(cluster.oldest(), [(1, 0, 1, 0, 1)]);
    cluster.answer_oldest(0);
    for token in 1..4 {
        cluster.push(0, token).unwrap();
    }
    assert_eq!(cluster.push(0, 9), Err(NotTaken::Full));
    cluster.run();
    assert_eq!(cluster.oldest(), [(1, 0, 1, 1, 3)]);
}

#[test]
fn a_connection_that_breaks_is_opened_again_and_the_same_is_sent_once_more() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.cut_oldest();
    cluster.push(0, 1).unwrap();
    cluster.pass(100_000);
    assert_eq!(cluster.oldest(), [(1, 0, 1, 0, 1)]);
    cluster.answer_oldest(0);
    assert_eq!(cluster.oldest(), [(1, 0, 1, 1, 1)]);
    cluster.answer_oldest(0);
    let fates: Vec<_> = cluster.settled.iter().map(|(_, fate)| *fate).collect();
    assert_eq!(fates, [Fate::Acked { base_offset: 1_000 }, Fate::Acked { base_offset: 1_001 }]);
}

#[test]
fn an_election_moves_what_is_on_its_way_in_its_order() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.push(0, 1).unwrap();
    cluster.leaders[0] = (2, 2);
    cluster.answer_oldest(6);
    cluster.pass(50_000);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 0, 1)]);
    cluster.answer_oldest(0);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 1, 1)]);
}

#[test]
fn a_hint_names_the_new_leader_at_once() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    let hint = LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(2);
    cluster.answer_with(6, |_, partition| partition.with_current_leader(hint.clone()), |whole| whole);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 0, 1)], "without waiting, and without asking");
}

#[test]
fn a_broker_that_froze_is_given_up_soon_once_another_leads() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.leaders[0] = (2, 2);
    // Whoever asks learns of the new leader; the old one says nothing.
    cluster.producer.network.cluster.suspect();
    cluster.pass(20_000);
    cluster.produced.clear();
    cluster.pass(270_000);
    assert!(cluster.produced.is_empty(), "it may still answer");
    cluster.pass(100_000);
    assert_eq!(cluster.oldest(), [(2, 0, 1, 0, 1)]);
}

#[test]
fn an_answer_that_leaves_a_partition_out_or_is_unreadable_ends_the_connection() {
    for is_cut_off in [false, true] {
        let mut cluster = Cluster::new(SINK, &[1, 1]);
        cluster.push(0, 0).unwrap();
        cluster.push(1, 1).unwrap();
        cluster.run();
        if is_cut_off {
            let Received { link, correlation_id, .. } = cluster.produced.pop_front().unwrap();
            let frame = [&9_i32.to_be_bytes()[..], &correlation_id.to_be_bytes(), &[0, 2, 0, 0, 0]].concat();
            cluster.deliver(link, &frame);
            cluster.run();
        } else {
            cluster.answer_with(0, |_, partition| partition.with_index(0), |whole| whole);
        }
        let told: Vec<_> = cluster.settled.iter().map(|(token, _)| *token).collect();
        assert_eq!(told, if is_cut_off { vec![] } else { vec![0] });
        cluster.pass(100_000);
        let again = cluster.oldest();
        assert_eq!(again.len(), if is_cut_off { 2 } else { 1 });
        assert_eq!(again.last(), Some(&(1, 1, 1, 0, 1)), "the same once more: a copy counts once");
    }
}

#[test]
fn an_answer_to_what_was_not_even_written_ends_the_connection() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.answer_oldest(0);
    cluster.push(0, 1).unwrap();
    cluster.producer.step(cluster.now_us);
    let link = cluster.links.last().unwrap().link;
    let request = cluster.output(link);
    let (correlation_id, written) =
        (i32::from_be_bytes(*request[8..].first_chunk().unwrap()), request.len() - 1);
    cluster.producer.wrote(link, written);
    let batches = vec![(1, 0, 1, 1, 1)];
    cluster.produced.push_back(Received { link, correlation_id, batches });
    cluster.answer_oldest(0);
    assert!(cluster.links.iter().all(|open| open.link != link));
}

#[test]
fn a_broker_that_throttles_is_left_alone_for_so_long() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.answer_with(0, |_, partition| partition, |whole| whole.with_throttle_time_ms(500));
    cluster.push(0, 1).unwrap();
    cluster.run();
    cluster.push(0, 2).unwrap();
    cluster.pass(400_000);
    assert_eq!(cluster.produced.len(), 1, "one request waits there");
    cluster.pass(100_000);
    assert_eq!(cluster.produced.len(), 2);
    // The one that waits has so much longer.
    cluster.pass(1_900_000);
    assert!(cluster.settled.len() == 1 && cluster.produced.len() == 2);
}

#[test]
fn a_lost_producer_id_is_replaced_and_no_other_partition_notices() {
    let mut cluster = Cluster::new(SINK, &[1, 2]);
    cluster.push(0, 0).unwrap();
    cluster.push(1, 1).unwrap();
    cluster.run();
    cluster.answer_oldest(59);
    cluster.answer_oldest(0);
    cluster.push(0, 2).unwrap();
    cluster.push(1, 3).unwrap();
    cluster.run();
    assert_eq!(cluster.settled[0], (0, Fate::Unknown(Cause::Broker(59))));
    let mut sent: Vec<_> =
        cluster.produced.iter().flat_map(|received| received.batches.iter().copied()).collect();
    sent.sort_unstable();
    assert_eq!(sent, [(1, 0, 2, 0, 1), (2, 1, 1, 1, 1)]);
}

#[test]
fn whoever_gives_up_learns_the_fate_of_each_record() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.push(0, 1).unwrap();
    cluster.producer.give_up(cluster.now_us);
    cluster.produced.clear();
    cluster.run();
    assert_eq!(cluster.settled, [(0, Fate::Unknown(Cause::GivenUp)), (1, Fate::Failed(Cause::GivenUp))]);
    cluster.push(0, 2).unwrap();
    cluster.pass(100_000);
    assert_eq!(cluster.oldest(), [(1, 0, 2, 0, 1)], "it goes on with another producer id");
}

#[test]
fn who_gets_no_producer_id_gives_back_what_waits_for_one() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.producer_ids = -9;
    cluster.push(0, 0).unwrap();
    cluster.run();
    cluster.producer.give_up(0);
    cluster.push(0, 1).unwrap();
    cluster.pass(100_000);
    assert_eq!(cluster.settled, [(0, Fate::Unknown(Cause::GivenUp)), (1, Fate::Failed(Cause::Broker(31)))]);
    assert_eq!(cluster.push(0, 2), Err(NotTaken::Finished(31)));
}

#[test]
fn an_older_broker_is_spoken_to_by_name() {
    let mut cluster = Cluster::new(SINK, &[1]);
    // Connections for records are opened with the first one.
    cluster.versions[0] = (Api::Produce, 7);
    cluster.push(0, 0).unwrap();
    cluster.producer.step(0);
    while let Some(action) = cluster.producer.poll_action() {
        cluster.act(&action);
    }
    let link = cluster.links.last().unwrap().link;
    let asked = cluster.output(link);
    cluster.producer.wrote(link, asked.len());
    cluster.serve(link, 1, &asked[4..]);
    let request = cluster.output(link);
    assert_eq!(request[4..8], [0, 0, 0, 7], "Produce, version 7");
    let name = [&[0, 5][..], TOPIC.as_bytes()].concat();
    assert!(request.windows(name.len()).any(|window| window == name));
}

#[test]
fn a_broker_that_is_too_old_is_named_with_its_versions() {
    let mut cluster = Cluster::new(SINK, &[1]);
    cluster.versions[0] = (Api::Produce, 6);
    cluster.push(0, 0).unwrap();
    cluster.run();
    let (peer, error) = cluster.producer.network().trouble().unwrap();
    assert_eq!(peer.broker, 1);
    assert!(error.to_string().contains("Produce in versions 0 to 6"), "{error}");
}
