use super::*;
use crate::kafka::wire::batch::{BatchValue, Batches, Codec, Packer};

const FIRST: Leader = Leader { broker: 1, epoch: 5 };
const SECOND: Leader = Leader { broker: 2, epoch: 6 };
const PRODUCER: ProducerId = ProducerId { id: 7, epoch: 0 };
const OUT_OF_ORDER: i16 = 45;
const TOO_LARGE: i16 = 10;
const NOT_LEADER: i16 = 6;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const TIMED_OUT: i16 = 7;

/// A queue, and what it said of its batches: the first token of each, and its fate.
struct Tested {
    queue: PartitionQueue,
    settled: Vec<(usize, Fate)>,
    shift: CrcShift,
    next_request: usize,
}

impl Tested {
    /// With so many batches of two records each; the tokens of the first one are 0 and 1.
    fn with_batches(count: usize) -> Self {
        let mut tested = Self {
            queue: PartitionQueue::new(0),
            settled: Vec::new(),
            shift: CrcShift::by(0),
            next_request: 0,
        };
        tested.queue.set_producer(PRODUCER);
        for batch in 0..count {
            tested.push(2 * batch);
            tested.push(2 * batch + 1);
            tested.queue.queue[batch].is_full = true;
        }
        tested
    }

    /// Warm: the first leader has acked something.
    fn warm(count: usize) -> Self {
        let mut tested = Self::with_batches(count + 1);
        let request = tested.start(FIRST).unwrap();
        tested.answer(request, 0);
        tested.settled.clear();
        tested
    }

    fn push(&mut self, token: usize) {
        let record =
            NewRecord { timestamp_ms: 1, key: b"key", value: BatchValue::Copied(b"value"), headers: &[] };
        self.queue.push(&record, token, 1_000, Batch::new, 0).unwrap();
    }

    fn start(&mut self, leader: Leader) -> Option<usize> {
        self.start_at(leader, 0)
    }

    fn start_at(&mut self, leader: Leader, now_us: u64) -> Option<usize> {
        let place = self.queue.next(leader, now_us)?;
        let request = self.next_request;
        self.next_request += 1;
        self.queue.start(place, request, leader, &self.shift);
        Some(request)
    }

    fn answer(&mut self, request: usize, error: i16) {
        let settled = &mut self.settled;
        self.queue.answered(request, (error, 100), 0, &mut |batch| {
            settled.push((batch.batch.tokens()[0], batch.fate));
        });
    }

    fn lose(&mut self, request: usize, began: bool) {
        let settled = &mut self.settled;
        self.queue.lost(request, began, 0, &mut |batch| {
            settled.push((batch.batch.tokens()[0], batch.fate));
        });
    }

    fn bytes_of(&self, request: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.queue
            .of_request(request)
            .unwrap()
            .writer()
            .slices()
            .for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    /// Producer id and first sequence number of what goes out with a request.
    fn number(&self, request: usize) -> (i64, i32) {
        let bytes = self.bytes_of(request);
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        assert!(batch.fits_its_checksum());
        (batch.producer_id(), batch.base_sequence())
    }
}

const ACKED: Fate = Fate::Acked { base_offset: 100 };

fn failed(error: i16) -> Fate {
    Fate::Failed(Cause::Broker(error))
}

fn unknown(error: i16) -> Fate {
    Fate::Unknown(Cause::Broker(error))
}

#[test]
fn one_batch_goes_alone_until_the_leader_has_acked_it_then_up_to_five() {
    let mut tested = Tested::with_batches(9);
    let first = tested.start(FIRST).unwrap();
    assert_eq!(tested.start(FIRST), None);
    tested.answer(first, 0);
    assert_eq!(tested.settled, [(0, ACKED)]);
    let requests: Vec<_> = std::iter::from_fn(|| tested.start(FIRST)).collect();
    assert_eq!(requests.len(), 5);
    let numbers: Vec<_> = requests.iter().map(|request| tested.number(*request)).collect();
    assert_eq!(numbers, [(7, 2), (7, 4), (7, 6), (7, 8), (7, 10)]);
}

#[test]
fn nothing_goes_to_a_new_leader_before_the_old_one_has_answered() {
    let mut tested = Tested::warm(4);
    let (first, second) = (tested.start(FIRST).unwrap(), tested.start(FIRST).unwrap());
    assert_eq!(tested.start(SECOND), None);
    tested.answer(first, NOT_LEADER);
    assert_eq!(tested.start(SECOND), None, "one is still in flight");
    tested.answer(second, NOT_LEADER);
    let again = tested.start(SECOND).unwrap();
    assert_eq!(tested.number(again), (7, 2), "the first one goes first");
    assert_eq!(tested.start(SECOND), None, "and alone, until this leader has acked it");
    tested.answer(again, 0);
    assert!(tested.start(SECOND).is_some() && tested.start(SECOND).is_some());
}

#[test]
fn a_leader_that_leads_again_counts_as_another_one() {
    let mut tested = Tested::warm(4);
    let again = Leader { broker: FIRST.broker, epoch: FIRST.epoch + 2 };
    assert!(tested.start(again).is_some());
    assert_eq!(tested.start(again), None);
}

#[test]
fn what_is_sent_again_is_the_same_byte_for_byte() {
    let mut tested = Tested::warm(0);
    tested.push(10);
    let request = tested.start(FIRST).unwrap();
    let bytes = tested.bytes_of(request);
    tested.lose(request, true);
    tested.push(11);
    let again = tested.start(SECOND).unwrap();
    assert_eq!(tested.bytes_of(again), bytes);
    tested.answer(again, 0);
    let behind = tested.start(SECOND).unwrap();
    assert_eq!(tested.number(behind), (7, 3), "what came later is another batch");
}

#[test]
fn sequence_numbers_wrap() {
    let mut tested = Tested::warm(2);
    tested.queue.next_sequence = i32::MAX;
    let (last, first) = (tested.start(FIRST).unwrap(), tested.start(FIRST).unwrap());
    assert_eq!((tested.number(last), tested.number(first)), ((7, i32::MAX), (7, 1)));
}

#[test]
fn what_failed_in_passing_goes_first_when_all_are_answered() {
    let mut tested = Tested::warm(3);
    let requests = [(); 2].map(|()| tested.start(FIRST).unwrap());
    tested.answer(requests[0], TIMED_OUT);
    assert_eq!(tested.start_at(FIRST, u64::MAX), None, "the second is still in flight");
    tested.answer(requests[1], OUT_OF_ORDER);
    assert_eq!(tested.settled, [], "the first was missing: no more is known");
    let again = [(); 3].map(|()| tested.start_at(FIRST, u64::MAX).unwrap());
    assert_eq!(again.map(|request| tested.number(request)), [(7, 2), (7, 4), (7, 6)]);
}

#[test]
fn an_old_copy_that_the_broker_has_forgotten_is_in_the_log() {
    let mut tested = Tested::warm(2);
    let requests = [(); 2].map(|()| tested.start(FIRST).unwrap());
    tested.answer(requests[0], TIMED_OUT);
    tested.answer(requests[1], 0);
    let again = tested.start_at(FIRST, u64::MAX).unwrap();
    tested.answer(again, OUT_OF_ORDER);
    assert_eq!(tested.settled, [(4, ACKED), (2, Fate::AckedNoOffset)]);
}

/// A leader that has lost what it knew of a producer calls everything out of order.
#[test]
fn an_old_copy_that_another_leader_does_not_know_may_be_lost() {
    for next in [SECOND, Leader { epoch: FIRST.epoch + 1, ..FIRST }] {
        let mut tested = Tested::warm(2);
        let requests = [(); 2].map(|()| tested.start(FIRST).unwrap());
        tested.answer(requests[0], TIMED_OUT);
        tested.answer(requests[1], 0);
        for _ in 0..=MOST_DOUBTS {
            let again = tested.start_at(next, u64::MAX).unwrap();
            tested.answer(again, OUT_OF_ORDER);
        }
        assert_eq!(tested.settled, [(4, ACKED), (2, unknown(OUT_OF_ORDER))], "{next:?}");
    }
}

/// Such a leader was deposed, perhaps, and has not heard of it.
#[test]
fn a_new_leader_that_lacks_what_was_acked_is_asked_again_some_times() {
    let mut tested = Tested::warm(1);
    for _ in 0..5 {
        let request = tested.start_at(SECOND, u64::MAX).unwrap();
        tested.answer(request, OUT_OF_ORDER);
        assert_eq!(tested.settled, [], "nothing is known");
    }
    let request = tested.start_at(SECOND, u64::MAX).unwrap();
    tested.answer(request, OUT_OF_ORDER);
    assert_eq!(tested.settled, [(2, unknown(OUT_OF_ORDER))], "it is believed in the end");
    let mut tested = Tested::warm(1);
    let request = tested.start_at(SECOND, u64::MAX).unwrap();
    tested.answer(request, OUT_OF_ORDER);
    let request = tested.start_at(FIRST, u64::MAX).unwrap();
    tested.answer(request, 0);
    assert_eq!(tested.settled, [(2, ACKED)], "the one that leads has it all");
}

#[test]
fn a_gap_that_nothing_explains_is_an_unknown_outcome_and_the_end_of_the_producer_id() {
    let mut tested = Tested::warm(3);
    let requests = [(); 2].map(|()| tested.start(FIRST).unwrap());
    tested.answer(requests[0], OUT_OF_ORDER);
    assert_eq!(
        tested.settled,
        [(2, unknown(OUT_OF_ORDER)), (6, failed(OUT_OF_ORDER))],
        "what was not sent is certainly not in the log"
    );
    assert!(!tested.queue.wants_producer(), "one is still in flight");
    tested.answer(requests[1], OUT_OF_ORDER);
    assert_eq!(tested.settled[2..], [(4, failed(OUT_OF_ORDER))], "the one before it is what is missing");
    assert!(tested.queue.wants_producer());
    tested.push(20);
    assert_eq!(tested.start(FIRST), None, "it waits for an id");
    tested.queue.set_producer(ProducerId { id: 8, epoch: 0 });
    let request = tested.start(FIRST).unwrap();
    assert_eq!(tested.number(request), (8, 0));
    assert_eq!(tested.start(FIRST), None);
}

#[test]
fn what_is_refused_fails_with_what_is_behind_it() {
    let mut tested = Tested::warm(3);
    let requests = [(); 2].map(|()| tested.start(FIRST).unwrap());
    tested.answer(requests[0], TOO_LARGE);
    tested.push(20);
    tested.answer(requests[1], OUT_OF_ORDER);
    assert_eq!(tested.settled, [(2, failed(TOO_LARGE)), (6, failed(TOO_LARGE)), (4, failed(TOO_LARGE))]);
    tested.queue.set_producer(ProducerId { id: 8, epoch: 0 });
    let request = tested.start(FIRST).unwrap();
    assert_eq!(tested.number(request), (8, 0), "what was sent after that is not concerned");
}

#[test]
fn what_is_refused_after_an_attempt_without_an_answer_may_be_in_the_log() {
    for (began, fate) in [(true, unknown(TOO_LARGE)), (false, failed(TOO_LARGE))] {
        let mut tested = Tested::warm(1);
        let request = tested.start(FIRST).unwrap();
        tested.lose(request, began);
        let again = tested.start(FIRST).unwrap();
        tested.answer(again, TOO_LARGE);
        assert_eq!(tested.settled, [(2, fate)]);
    }
}

#[test]
fn another_connection_begins_with_one_batch() {
    let mut tested = Tested::warm(3);
    let requests = [(); 2].map(|()| tested.start(FIRST).unwrap());
    tested.lose(requests[0], true);
    tested.lose(requests[1], true);
    assert!(tested.start(FIRST).is_some());
    assert_eq!(tested.start(FIRST), None);
}

#[test]
fn whoever_gives_up_learns_what_may_be_in_the_log() {
    let mut tested = Tested::warm(2);
    tested.start(FIRST).unwrap();
    let settled = &mut tested.settled;
    tested.queue.give_up(Cause::GivenUp, &mut |batch| settled.push((batch.batch.tokens()[0], batch.fate)));
    assert_eq!(tested.settled, [(2, Fate::Unknown(Cause::GivenUp)), (4, Fate::Failed(Cause::GivenUp))]);
    assert!(tested.queue.is_empty() && tested.queue.wants_producer(), "numbers are missing now");
}

#[test]
fn pauses_grow_and_another_leader_need_not_wait() {
    let mut tested = Tested::warm(1);
    let mut now_us = 0;
    for pause_us in [20_000, 40_000, 80_000] {
        let request = tested.start_at(FIRST, now_us).unwrap();
        let settled = &mut tested.settled;
        let fate = |batch: Settled| settled.push((0, batch.fate));
        tested.queue.answered(request, (NOT_LEADER, -1), now_us, &mut { fate });
        assert_eq!(tested.queue.not_before_us(), now_us + pause_us);
        assert_eq!(tested.queue.next(FIRST, now_us + pause_us - 1), None);
        assert_eq!(tested.queue.next(SECOND, now_us), Some(0));
        now_us += pause_us;
    }
    assert_eq!(tested.settled, []);
}

#[test]
fn a_batch_keeps_to_its_size_and_a_record_that_is_larger_is_not_taken() {
    let mut queue = PartitionQueue::new(0);
    let mut push = |token, value: &[u8]| {
        let value = BatchValue::Copied(value);
        let record = NewRecord { timestamp_ms: 1, key: b"", value, headers: &[] };
        queue.push(&record, token, 1_000, Batch::new, 0).is_ok()
    };
    assert!((0..7).all(|token| push(token, &[0; 300])));
    assert!(!push(7, &[0; 1_000]));
    assert!(push(8, &[]));
    let tokens: Vec<_> = queue.queue.iter().map(|batch| batch.tokens().to_vec()).collect();
    assert_eq!(tokens, [vec![0, 1, 2], vec![3, 4, 5], vec![6], vec![8]]);
    assert!(queue.queue.iter().all(|batch| batch.writer.bytes() <= 1_000));
}

#[test]
fn a_batch_waits_for_more_unless_it_is_full_or_was_sent() {
    let mut tested = Tested::warm(0);
    tested.push(10);
    assert_eq!(tested.queue.due_us(0, 500), 500);
    tested.queue.queue[0].is_full = true;
    assert_eq!(tested.queue.due_us(0, 500), 0);
    assert_eq!(tested.queue.due_us(1, 500), u64::MAX);
}

#[test]
fn a_batch_is_packed_once_and_sent_again_byte_for_byte() {
    let mut tested = Tested::with_batches(0);
    for token in 0..100 {
        let record =
            NewRecord { timestamp_ms: 1, key: b"", value: BatchValue::Copied(b"valuevalue"), headers: &[] };
        tested.queue.push(&record, token, 10_000, Batch::new, 0).unwrap();
    }
    let plain_bytes = tested.queue.bytes(0);
    let mut packer = Packer::new(Codec::Lz4).unwrap();
    tested.queue.pack(0, &mut packer);
    let first = tested.start(FIRST).unwrap();
    let bytes = |tested: &Tested, request| {
        let mut out = Vec::new();
        tested
            .queue
            .of_request(request)
            .unwrap()
            .writer()
            .slices()
            .for_each(|slice| out.extend_from_slice(slice));
        out
    };
    let sent = bytes(&tested, first);
    let batch = Batches::new(&sent).next().unwrap().unwrap();
    assert_eq!((batch.codec(), batch.count(), batch.fits_its_checksum()), (Some(Codec::Lz4), 100, true));
    assert_eq!(tested.queue.bytes(0), sent.len());
    assert!(sent.len() < plain_bytes / 2, "{} of {plain_bytes}", sent.len());
    tested.lose(first, true);
    tested.queue.pack(0, &mut packer);
    let second = tested.start(SECOND).unwrap();
    assert_eq!(bytes(&tested, second), sent);
}

const NEXT_EPOCH: ProducerId = ProducerId { id: 7, epoch: 1 };

impl Tested {
    /// Epoch, first sequence number and whether it is a transaction's, of what goes out with a request.
    fn of_transaction(&self, request: usize) -> (i16, i32, bool) {
        let bytes = self.bytes_of(request);
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        (batch.producer_epoch(), batch.base_sequence(), batch.is_transactional())
    }

    fn let_go(&mut self) {
        let settled = &mut self.settled;
        self.queue.let_go(Cause::GivenUp, &mut |batch| {
            settled.push((batch.batch.tokens()[0], batch.fate));
        });
    }
}

#[test]
fn a_transaction_goes_on_with_its_sequence_in_the_same_epoch_and_begins_anew_in_the_next() {
    let mut tested = Tested::with_batches(0);
    for (producer, expected) in
        [(PRODUCER, (0, 0, true)), (PRODUCER, (0, 1, true)), (NEXT_EPOCH, (1, 0, true))]
    {
        tested.queue.begin_transaction(producer, true);
        tested.push(0);
        let request = tested.start(FIRST).unwrap();
        assert_eq!(tested.of_transaction(request), expected);
        tested.answer(request, 0);
    }
}

#[test]
fn a_leader_that_knows_the_producer_is_trusted_in_its_next_epoch_only() {
    for (producer, in_flight) in [(NEXT_EPOCH, 2), (ProducerId { id: 8, epoch: 0 }, 1)] {
        let mut tested = Tested::warm(0);
        tested.queue.begin_transaction(producer, true);
        for batch in 0..2 {
            tested.push(batch);
            tested.queue.queue[batch].is_full = true;
        }
        let sent = std::iter::from_fn(|| tested.start(FIRST)).count();
        assert_eq!(sent, in_flight, "{producer:?}");
    }
}

#[test]
fn nothing_goes_before_the_coordinator_has_taken_the_partition_in() {
    let mut tested = Tested::with_batches(0);
    tested.queue.begin_transaction(PRODUCER, false);
    assert!(!tested.queue.wants_admission(), "there is nothing to send");
    tested.push(0);
    assert_eq!(tested.start(FIRST), None);
    assert!(tested.queue.wants_admission() && !tested.queue.wants_admission(), "it is asked once");
    assert_eq!(tested.start(FIRST), None);
    tested.queue.admit();
    let request = tested.start(FIRST).unwrap();
    tested.answer(request, 0);
    tested.queue.begin_transaction(PRODUCER, false);
    tested.push(1);
    assert_eq!(tested.start(FIRST), None, "of the next transaction it is not");
}

#[test]
fn what_is_let_go_of_is_not_sent_again_and_what_is_in_flight_is_waited_for() {
    let mut tested = Tested::warm(3);
    let (first, second) = (tested.start(FIRST).unwrap(), tested.start(FIRST).unwrap());
    tested.let_go();
    assert_eq!(tested.settled, [(6, Fate::Failed(Cause::GivenUp))]);
    tested.answer(first, NOT_ENOUGH_REPLICAS);
    assert_eq!((tested.queue.in_flight(), tested.start(FIRST)), (1, None));
    tested.answer(second, 0);
    assert_eq!(
        tested.settled[1..],
        [(2, Fate::Failed(Cause::GivenUp)), (4, Fate::Acked { base_offset: 100 })]
    );
    assert!(tested.queue.is_empty() && tested.queue.wants_producer(), "a number is missing");
}

#[test]
fn markers_that_are_being_written_are_waited_for_shortly() {
    let mut tested = Tested::with_batches(1);
    let mut now_us = 0;
    for pause_us in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 200_000, 200_000] {
        let request = tested.start_at(FIRST, now_us).unwrap();
        tested.queue.answered(request, (code::CONCURRENT_TRANSACTIONS, -1), now_us, &mut |_| panic!());
        assert_eq!(tested.queue.not_before_us() - now_us, pause_us);
        now_us = tested.queue.not_before_us();
    }
    let request = tested.start_at(FIRST, now_us).unwrap();
    tested.queue.answered(request, (code::NOT_ENOUGH_REPLICAS, -1), now_us, &mut |_| panic!());
    assert!(tested.queue.not_before_us() - now_us >= SHORTEST_PAUSE_US);
}
