//! Questions between scripted leaders and whoever asks.

use super::*;
use crate::{kafka::wire::protocol::Encoder, partitions::TopicPartition};

const SLOT: PartitionSlot = PartitionSlot::new(0);
const DEADLINE_US: u64 = 5_000_000;
const EPOCH_END: What = What::EpochEnd { epoch: 2 };
const END: What = What::End { read_committed: true };

/// Partitions are led by broker 10 or 20, even ones and odd ones, in epoch 3.
#[expect(clippy::unnecessary_wraps, reason = "not everybody is led")]
fn leader(slot: PartitionSlot) -> Result<Leader, i16> {
    Ok(Leader { broker: if slot.index().is_multiple_of(2) { 10 } else { 20 }, epoch: 3 })
}

/// None is open about three partitions of a topic.
fn questions() -> Questions {
    Questions::new(Arc::new(PartitionTable::of_topic("t", 0..3)))
}

fn slots<const N: usize>(numbers: [u32; N]) -> [PartitionSlot; N] {
    numbers.map(PartitionSlot::new)
}

/// The next request, with the broker that it is for.
#[derive(Debug, PartialEq, Eq)]
struct Next {
    broker: i32,
    number: u64,
    body: QuestionBody,
}

fn next(
    questions: &mut Questions,
    now_us: u64,
    leader: impl Fn(PartitionSlot) -> Result<Leader, i16>,
) -> Option<Next> {
    let broker = *questions.wanted(now_us, &leader).first()?;
    let QuestionRequest { number, body, .. } = questions.next_request(broker, now_us, leader).unwrap();
    Some(Next { broker, number, body })
}

/// Partition, error, offset, epoch.
fn answer(questions: &mut Questions, number: u64, what: What, all: &[(i32, i16, i64, i32)], now_us: u64) {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, false);
    encoder.i32(0);
    encoder.array_length(1);
    encoder.string("t");
    encoder.array(all, |encoder, &(partition, error, offset, epoch)| {
        if matches!(what, What::EpochEnd { .. }) {
            encoder.i16(error);
            encoder.i32(partition);
            encoder.i32(epoch);
        } else {
            encoder.i32(partition);
            encoder.i16(error);
            encoder.i64(-1);
        }
        encoder.i64(offset);
        if !matches!(what, What::EpochEnd { .. }) {
            encoder.i32(epoch);
        }
    });
    let version = if matches!(what, What::EpochEnd { .. }) { 3 } else { 4 };
    questions.answered(number, version, Decoder::new(&out, false), now_us).unwrap();
}

#[expect(clippy::unnecessary_wraps, reason = "as it is answered")]
fn found(offset: i64, epoch: i32) -> Answer {
    Ok(Found { offset, epoch, leader_epoch: 3 })
}

#[test]
fn each_leader_is_asked_once_about_all_its_partitions() {
    let mut questions = questions();
    let id = questions.ask(&slots([0, 1, 2]), END, DEADLINE_US, 0);
    let first = next(&mut questions, 0, leader).unwrap();
    let asked = |partition| OffsetQuestion { partition, leader_epoch: 3 };
    let body =
        |partitions| QuestionBody::Offsets { partitions, timestamp: Timestamp::Latest, read_committed: true };
    assert_eq!((first.broker, first.body), (10, body(vec![asked(0), asked(2)])));
    let second = next(&mut questions, 0, leader).unwrap();
    assert_eq!((second.broker, second.body), (20, body(vec![asked(1)])));
    assert_eq!(next(&mut questions, 0, leader), None);
    answer(&mut questions, second.number, END, &[(1, 0, 11, 3)], 0);
    assert_eq!(questions.answers(id), None);
    answer(&mut questions, first.number, END, &[(2, 0, 12, 3), (0, 0, 10, 3)], 0);
    let [zero, one, two] = slots([0, 1, 2]);
    let answers = vec![(zero, found(10, 3)), (one, found(11, 3)), (two, found(12, 3))];
    assert_eq!(questions.answers(id), Some(answers));
    assert_eq!(questions.next_deadline_us(0), u64::MAX);
}

#[test]
fn different_questions_do_not_share_a_request_and_equal_ones_do() {
    let mut questions = questions();
    let ids =
        [What::Start, END, EPOCH_END, EPOCH_END].map(|what| questions.ask(&slots([0]), what, DEADLINE_US, 0));
    let numbers: Vec<_> = (0..3).map(|_| next(&mut questions, 0, leader).unwrap()).collect();
    assert_eq!(next(&mut questions, 0, leader), None);
    let epoch = EpochQuestion { partition: 0, current_epoch: 3, epoch: 2 };
    assert_eq!(numbers[2].body, QuestionBody::EpochEnds(vec![epoch]));
    answer(&mut questions, numbers[2].number, EPOCH_END, &[(0, 0, -1, -1)], 0);
    answer(&mut questions, numbers[0].number, What::Start, &[(0, 0, 4, 1)], 0);
    answer(&mut questions, numbers[1].number, END, &[(0, 0, 5, 3)], 0);
    let answers = ids.map(|id| questions.answers(id).unwrap()[0].1);
    assert_eq!(answers, [found(4, 1), found(5, 3), found(-1, -1), found(-1, -1)]);
}

#[test]
fn who_does_not_lead_has_not_answered() {
    for error in [code::NOT_LEADER_OR_FOLLOWER, code::FENCED_LEADER_EPOCH, code::UNKNOWN_TOPIC_OR_PARTITION] {
        let mut questions = questions();
        let id = questions.ask(&slots([0]), END, DEADLINE_US, 0);
        let first = next(&mut questions, 0, leader).unwrap();
        assert!(!questions.take_stale());
        answer(&mut questions, first.number, END, &[(0, error, -1, -1)], 7);
        assert!(questions.take_stale(), "{error}");
        assert_eq!(next(&mut questions, 7, leader), None);
        assert_eq!(questions.next_deadline_us(7), 7 + BACK_OFF_US);
        assert_eq!(questions.next_deadline_us(7 + BACK_OFF_US), DEADLINE_US);
        let second = next(&mut questions, 7 + BACK_OFF_US, |_| Ok(Leader { broker: 30, epoch: 4 })).unwrap();
        assert_eq!(second.broker, 30);
        answer(&mut questions, second.number, END, &[(0, 0, 9, 4)], 8);
        assert_eq!(
            questions.answers(id),
            Some(vec![(SLOT, Ok(Found { offset: 9, epoch: 4, leader_epoch: 4 }))])
        );
    }
}

#[test]
fn an_offset_that_is_none_is_no_answer_but_an_epoch_s_end_may_be_unknown() {
    let mut questions = questions();
    questions.ask(&slots([0]), END, DEADLINE_US, 0);
    let number = next(&mut questions, 0, leader).unwrap().number;
    answer(&mut questions, number, END, &[(0, 0, -1, -1)], 0);
    assert!(next(&mut questions, BACK_OFF_US, leader).is_some());
}

#[test]
fn a_refusal_is_an_answer() {
    let mut questions = questions();
    let id = questions.ask(&slots([0]), EPOCH_END, DEADLINE_US, 0);
    let number = next(&mut questions, 0, leader).unwrap().number;
    let refused = code::TOPIC_AUTHORIZATION_FAILED;
    answer(&mut questions, number, EPOCH_END, &[(0, refused, -1, -1)], 0);
    assert_eq!(questions.answers(id), Some(vec![(SLOT, Err(NoAnswer::Error(refused)))]));
}

#[test]
fn who_is_not_named_is_asked_again() {
    let mut questions = questions();
    let id = questions.ask(&slots([0, 2]), END, DEADLINE_US, 0);
    let number = next(&mut questions, 0, leader).unwrap().number;
    answer(&mut questions, number, END, &[(2, 0, 5, 3), (4, 0, 6, 3)], 0);
    assert_eq!(questions.answers(id), None);
    let again = next(&mut questions, BACK_OFF_US, leader).unwrap();
    let asked = OffsetQuestion { partition: 0, leader_epoch: 3 };
    assert!(matches!(again.body, QuestionBody::Offsets { partitions, .. } if partitions == [asked]));
}

#[test]
fn a_connection_that_goes_and_an_answer_that_is_none_leave_it_open() {
    let mut questions = questions();
    questions.ask(&slots([0]), END, DEADLINE_US, 0);
    let number = next(&mut questions, 0, leader).unwrap().number;
    questions.failed(number, 0);
    assert!(questions.take_stale());
    let number = next(&mut questions, BACK_OFF_US, leader).unwrap().number;
    questions.answered(number, 4, Decoder::new(&[1], false), BACK_OFF_US).unwrap_err();
    assert!(next(&mut questions, 3 * BACK_OFF_US, leader).is_some());
}

#[test]
fn the_pause_grows_while_there_is_no_answer() {
    let mut questions = questions();
    questions.ask(&slots([0]), END, u64::MAX, 0);
    let mut now_us = 0;
    for times in [1, 2, 4, 8, 8] {
        let number = next(&mut questions, now_us, leader).unwrap().number;
        answer(&mut questions, number, END, &[(0, code::OFFSET_NOT_AVAILABLE, -1, -1)], now_us);
        now_us += times * BACK_OFF_US;
        assert_eq!(next(&mut questions, now_us - 1, leader), None);
    }
}

#[test]
fn who_is_nearly_due_goes_with_who_is() {
    let mut questions = questions();
    for (slot, asked_us) in [(0, 0), (2, EARLY_US - 1)] {
        questions.ask(&slots([slot]), EPOCH_END, DEADLINE_US, 0);
        let number = next(&mut questions, asked_us, leader).unwrap().number;
        questions.failed(number, asked_us);
    }
    questions.ask(&slots([0]), What::EpochEnd { epoch: 1 }, DEADLINE_US, 0);
    let asked = |partition, epoch| EpochQuestion { partition, current_epoch: 3, epoch };
    let body = |asked: &[EpochQuestion]| QuestionBody::EpochEnds(asked.to_vec());
    let both = next(&mut questions, BACK_OFF_US, leader).unwrap();
    assert_eq!(both.body, body(&[asked(0, 2), asked(2, 2)]), "a request asks one thing of a partition");
    let other = next(&mut questions, BACK_OFF_US, leader).unwrap();
    assert_eq!(other.body, body(&[asked(0, 1)]));
}

#[test]
fn without_a_leader_there_is_an_error_at_the_deadline() {
    let mut questions = questions();
    let id = questions.ask(&slots([0]), END, DEADLINE_US, 0);
    let other = questions.ask(&slots([1]), END, DEADLINE_US, 0);
    let leaders = |slot| if slot == SLOT { Err(code::LEADER_NOT_AVAILABLE) } else { leader(slot) };
    let request = next(&mut questions, 0, leaders).unwrap();
    assert_eq!(request.broker, 20, "whoever has one is asked");
    assert!(questions.take_stale());
    questions.expire(DEADLINE_US - 1);
    assert!(!questions.is_answered(id));
    questions.expire(DEADLINE_US);
    assert_eq!(questions.answers(id), Some(vec![(SLOT, Err(NoAnswer::Error(code::LEADER_NOT_AVAILABLE)))]));
    // What comes later is nobody's.
    answer(&mut questions, request.number, END, &[(1, 0, 5, 3)], DEADLINE_US);
    assert_eq!(questions.answers(other), Some(vec![(PartitionSlot::new(1), Err(NoAnswer::TimedOut))]));
}

#[test]
fn answers_that_nobody_takes_are_forgotten() {
    let mut questions = questions();
    questions.ask(&slots([0]), END, DEADLINE_US, 0);
    questions.expire(DEADLINE_US);
    questions.expire(DEADLINE_US + KEPT_US - 1);
    assert_eq!(questions.open.len(), 1);
    questions.expire(DEADLINE_US + KEPT_US);
    assert!(questions.open.is_empty());
}

#[test]
fn who_cannot_be_asked_yet_keeps_nobody_else_waiting() {
    let mut questions = questions();
    questions.ask(&slots([0, 1, 2]), END, DEADLINE_US, 0);
    assert_eq!(questions.wanted(0, leader), [10, 20]);
    assert!(questions.next_request(20, 0, leader).is_some());
    assert_eq!(questions.next_request(20, 0, leader), None);
    assert_eq!(questions.wanted(0, leader), [10]);
    assert_eq!(questions.next_deadline_us(0), DEADLINE_US, "there is nothing to be done meanwhile");
}

#[test]
fn a_request_that_is_not_spoken_is_refused() {
    let mut questions = questions();
    let id = questions.ask(&slots([0]), EPOCH_END, DEADLINE_US, 0);
    let number = next(&mut questions, 0, leader).unwrap().number;
    questions.refused(number, code::UNSUPPORTED_VERSION, 0);
    assert_eq!(questions.answers(id), Some(vec![(SLOT, Err(NoAnswer::Error(code::UNSUPPORTED_VERSION)))]));
}

#[test]
fn each_topic_is_asked_about_in_a_request_of_its_own() {
    let mut table = PartitionTable::of_topic("t", [0]);
    let topic = table.add_topic("u");
    table.add(TopicPartition { topic, partition: 0 });
    let mut questions = Questions::new(Arc::new(table));
    let [one, other] = slots([0, 1]);
    let id = questions.ask(&[one, other], END, DEADLINE_US, 0);
    let lead = |_| leader(SLOT);
    let mut asked = |topic| {
        let request = questions.next_request(10, 0, lead).unwrap();
        assert_eq!(request.topic, topic);
        request.number
    };
    let numbers = [asked(0), asked(1)];
    answer(&mut questions, numbers[1], END, &[(0, 0, 7, 3)], 0);
    assert_eq!(
        questions.answers(id),
        None,
        "it says nothing of the other topic's partition with that number"
    );
    answer(&mut questions, numbers[0], END, &[(0, 0, 5, 3)], 0);
    assert_eq!(questions.answers(id), Some(vec![(one, found(5, 3)), (other, found(7, 3))]));
}

#[test]
fn an_end_that_is_asked_for_again_waits_for_another_broker_s_word() {
    const SECOND_US: u64 = 1_000_000;
    let table = Arc::new(PartitionTable::of_topic("t", 0..3));
    let mut questions = Questions::with_doubts(table);
    let ask = |questions: &mut Questions, what, now_us| questions.ask(&slots([0, 2]), what, u64::MAX, now_us);
    let ends = |questions: &mut Questions, now_us| {
        let number = next(questions, now_us, leader).expect("a question").number;
        answer(questions, number, END, &[(0, 0, 7, 3), (2, 0, 7, 3)], now_us);
    };
    ask(&mut questions, END, 0);
    assert!(!questions.take_doubt(), "nobody has said anything yet");
    ends(&mut questions, SECOND_US);
    ask(&mut questions, What::Start, 2 * SECOND_US);
    assert!(next(&mut questions, 2 * SECOND_US, leader).is_some() && !questions.take_doubt());
    let again = ask(&mut questions, END, 2 * SECOND_US);
    assert_eq!((questions.take_doubt(), questions.take_doubt()), (true, false), "once");
    assert_eq!(next(&mut questions, 3 * SECOND_US, leader), None);
    questions.heard_opinion();
    ends(&mut questions, 4 * SECOND_US);
    assert_eq!(questions.answers(again).map(|answers| answers.len()), Some(2));
    ask(&mut questions, END, 4 * SECOND_US + DOUBT_US);
    assert!(!questions.take_doubt() && next(&mut questions, 9 * SECOND_US, leader).is_some(), "much later");
}
