use proptest::prelude::*;

use super::*;
use crate::{
    ledger::OffsetRun,
    record::{
        Header, ProducedBatch,
        proof::{InTransaction, Numbering, PROOF_HEADER},
    },
};

const RULES: Rules =
    Rules { visible: Visible::All, proof_header: true, whole_transactions: false, ledger_grows: false };

/// A record without a key or a value, and without a second header.
fn record(offset: i64, first_header: Option<Header<'_>>) -> RecordView<'_> {
    RecordView {
        offset,
        leader_epoch: 0,
        sent_ms: None,
        has_sound_headers: true,
        first_header,
        second_header: None,
        key: None,
        value: None,
        batch: None,
    }
}

fn ledger() -> PartitionLedger {
    let mut ledger = PartitionLedger::default();
    ledger.insert(OffsetRun { lower: 0, upper: 100 });
    ledger
}

fn check(state: &mut PartitionState, offset: i64, epoch: i32, id: &str) -> Result<(Checked, bool), Anomaly> {
    let record = RecordView {
        offset,
        leader_epoch: epoch,
        sent_ms: None,
        has_sound_headers: true,
        first_header: Some((RECORD_ID_HEADER.as_bytes(), id.as_bytes())),
        second_header: None,
        key: None,
        value: Some(b""),
        batch: None,
    };
    state.check(&record, Some(&ledger()), RULES).map_err(|broken| broken.anomaly)
}

fn id(offset: i64) -> String {
    format!("000000.{offset:018}")
}

#[test]
fn records_in_their_place_are_valid() {
    let mut state = PartitionState::default();
    for offset in 5..10 {
        assert_eq!(check(&mut state, offset, 3, &id(offset)), Ok((Checked::Valid, false)));
    }
    assert_eq!(check(&mut state, 10, 4, &id(10)), Ok((Checked::Valid, false)), "the epoch may go up");
}

#[test]
fn epoch_that_goes_back_is_found_before_anything_else() {
    let mut state = PartitionState::default();
    check(&mut state, 5, 3, &id(5)).unwrap();
    assert_eq!(check(&mut state, 5, 2, "nonsense"), Err(Anomaly::EpochBack));
}

#[test]
fn unknown_epoch_is_no_step_back() {
    let mut state = PartitionState::default();
    check(&mut state, 5, 3, &id(5)).unwrap();
    assert_eq!(check(&mut state, 6, -1, &id(6)), Ok((Checked::Valid, false)));
}

#[test]
fn repeated_and_earlier_offsets_are_found() {
    for next in [5, 4] {
        let mut state = PartitionState::default();
        check(&mut state, 5, 3, &id(5)).unwrap();
        assert_eq!(check(&mut state, next, 3, &id(next)), Err(Anomaly::Nonmonotonic));
    }
}

#[test]
fn a_jump_forward_is_a_gap() {
    let mut state = PartitionState::default();
    assert_eq!(check(&mut state, 5, 3, &id(5)), Ok((Checked::Valid, false)), "the first is none");
    assert_eq!(check(&mut state, 8, 3, &id(8)), Ok((Checked::Valid, true)));
}

#[test]
fn between_transactions_only_what_was_promised_leaves_a_gap() {
    let committed = Rules { visible: Visible::Committed, ..RULES };
    let mut promised = PartitionLedger::default();
    promised.insert(OffsetRun { lower: 0, upper: 6 });
    promised.insert(OffsetRun { lower: 12, upper: 14 });
    let mut state = PartitionState::default();
    let mut gap_at = |offset| {
        let id = id(offset);
        let record = record(offset, Some((RECORD_ID_HEADER.as_bytes(), id.as_bytes())));
        state.check(&record, Some(&promised), committed).unwrap().1
    };
    assert_eq!([3, 5, 12, 14].map(&mut gap_at), [false, true, false, true]);
}

#[test]
fn wrong_id_matters_only_in_the_ledger_s_scope() {
    for wrong in [id(6), String::new(), format!("ABORTED MSG: {}", id(5)), "000001.000000000000000005".into()]
    {
        assert_eq!(check(&mut PartitionState::default(), 5, 3, &wrong), Err(Anomaly::WrongOffset), "{wrong}");
    }
    assert_eq!(check(&mut PartitionState::default(), 100, 3, &id(6)), Ok((Checked::OutOfScope, false)));
}

#[test]
fn header_must_come_first_and_bear_its_name() {
    let text = id(5);
    for header in [None, Some((b"other".as_slice(), text.as_bytes()))] {
        let broken = PartitionState::default().check(&record(5, header), Some(&ledger()), RULES).unwrap_err();
        assert_eq!(broken.anomaly, Anomaly::WrongOffset);
        assert!(broken.expected.contains(&text), "{broken:?}");
    }
    assert_eq!(
        PartitionState::default().check(&record(5, None), None, RULES),
        Ok((Checked::OutOfScope, false))
    );
}

#[test]
fn jumping_readers_keep_watch_on_the_epoch() {
    let mut state = PartitionState::default();
    check(&mut state, 50, 3, &id(50)).unwrap();
    state.reposition();
    assert_eq!(check(&mut state, 7, 3, &id(7)), Ok((Checked::Valid, false)), "a jump is no gap");
    state.reposition();
    assert_eq!(check(&mut state, 6, 2, &id(6)), Ok((Checked::Valid, false)), "older records, older epoch");
    state.reposition();
    assert_eq!(check(&mut state, 9, 1, &id(9)), Err(Anomaly::EpochBack), "behind one of a later epoch");
}

#[test]
fn state_goes_on_behind_a_fault() {
    let mut state = PartitionState::default();
    check(&mut state, 5, 3, &id(5)).unwrap();
    check(&mut state, 5, 3, &id(5)).unwrap_err();
    assert_eq!(check(&mut state, 6, 3, &id(6)), Ok((Checked::Valid, false)));
}

/// A record as the producer sends it, which can be altered.
#[derive(Clone)]
struct Sent {
    id: Vec<u8>,
    name: Vec<u8>,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    time_ms: Option<i64>,
    second: (Vec<u8>, Vec<u8>),
}

fn sent(names: i64, sequence: u64, transaction: Option<InTransaction>) -> Sent {
    let (id, name, value) = (id(names).into_bytes(), RECORD_ID_HEADER.as_bytes().to_vec(), b"value".to_vec());
    let proof = Proof { run: 7, sequence, timestamp_ms: Some(1_000), micros: None, transaction };
    let content = Content::new(Some(&id), proof::digest_of(Some(&value)), (&name, &id));
    let second = (PROOF_HEADER.into(), proof::encode(&proof, &content).as_bytes().to_vec());
    Sent { key: id.clone(), id, name, value: Some(value), time_ms: Some(1_000), second }
}

impl Sent {
    fn at(&self, offset: i64) -> RecordView<'_> {
        RecordView {
            offset,
            leader_epoch: 0,
            sent_ms: self.time_ms,
            has_sound_headers: true,
            first_header: Some((&self.name, &self.id)),
            second_header: Some((&self.second.0, &self.second.1)),
            key: Some(&self.key),
            value: self.value.as_deref(),
            batch: None,
        }
    }
}

/// What a reader with the ledger makes of records at consecutive offsets.
fn read(first: i64, records: &[Sent], rules: Rules) -> Vec<Result<Checked, Anomaly>> {
    let mut state = PartitionState::default();
    let check = |(offset, sent): (i64, &Sent)| {
        let checked = state.check(&sent.at(offset), Some(&ledger()), rules);
        checked.map(|(checked, _)| checked).map_err(|broken| broken.anomaly)
    };
    (first..).zip(records).map(check).collect()
}

#[test]
fn a_header_of_somebody_else_is_not_ours_by_chance() {
    let mut signed = sent(5, 0, None);
    signed.second.0 = b"signature".to_vec();
    signed.second.1[23] ^= 1;
    assert_eq!(read(5, &[signed], RULES), [Ok(Checked::Valid)], "as long as ours, and begins as ours");
}

#[test]
fn altered_bytes_are_corrupt_whatever_else_they_say() {
    let sound = sent(5, 0, None);
    assert_eq!(read(5, std::slice::from_ref(&sound), RULES), [Ok(Checked::Valid)]);
    let alterations: [fn(&mut Sent); 9] = [
        |sent| sent.key[3] ^= 1,
        |sent| sent.value.as_mut().unwrap()[0] ^= 1,
        |sent| sent.value = None,
        |sent| sent.name[3] ^= 1,
        |sent| sent.id[24] ^= 1,
        |sent| sent.time_ms = Some(1_001),
        |sent| sent.second.0[2] ^= 1,
        |sent| sent.second.1[10] ^= 1,
        |sent| sent.second.1[23] ^= 1,
    ];
    for (number, alter) in alterations.into_iter().enumerate() {
        let mut altered = sound.clone();
        alter(&mut altered);
        for offset in [5, 500] {
            let read = read(offset, std::slice::from_ref(&altered), RULES);
            assert_eq!(read, [Err(Anomaly::Corrupt)], "{number} at {offset}");
        }
        let unchecked = Rules { proof_header: false, ..RULES };
        let read = read(500, std::slice::from_ref(&altered), unchecked);
        assert_eq!(read, [Ok(Checked::OutOfScope)], "{number} unchecked");
    }
}

#[test]
fn the_broker_s_own_time_is_no_alteration() {
    let mut stamped = sent(5, 0, None);
    stamped.time_ms = None;
    assert_eq!(read(5, &[stamped], RULES), [Ok(Checked::Valid)]);
}

#[test]
fn a_record_sent_once_and_stored_twice_is_a_duplicate() {
    // The ledger reaches to 99: it lists both places, or only the first.
    for (start, last) in [(50, Err(Anomaly::WrongOffset)), (99, Ok(Checked::OutOfScope))] {
        let (first, second) = (sent(start, 0, None), sent(start + 1, 1, None));
        let read = read(start, &[first.clone(), first, second], RULES);
        let again = if start == 99 { Anomaly::Duplicate } else { Anomaly::WrongOffset };
        assert_eq!(read, [Ok(Checked::Valid), Err(again), last], "{start}");
    }
}

#[test]
fn what_was_acked_in_its_second_place_only_is_a_duplicate() {
    let mut state = PartitionState::default();
    let mut ledger = PartitionLedger::default();
    ledger.insert(OffsetRun { lower: 201, upper: 202 });
    let mut check = |offset: i64, sent: &Sent| {
        state.check(&sent.at(offset), Some(&ledger), RULES).map_err(|broken| broken.anomaly)
    };
    let record = sent(201, 0, None);
    assert_eq!(check(200, &record), Ok((Checked::OutOfScope, false)));
    assert_eq!(check(201, &record), Err(Anomaly::Duplicate));
}

#[test]
fn without_a_ledger_what_comes_twice_is_a_duplicate() {
    let (record, nothing_listed) = (sent(200, 0, None), PartitionLedger::default());
    for ledger in [None, Some(&nothing_listed)] {
        let mut state = PartitionState::default();
        let mut check =
            |offset: i64| state.check(&record.at(offset), ledger, RULES).map_err(|broken| broken.anomaly);
        assert_eq!(check(200), Ok((Checked::Valid, false)));
        assert_eq!(check(201), Err(Anomaly::Duplicate));
    }
}

/// As librdkafka writes them again when it raises its producer epoch by itself.
#[test]
fn what_was_acked_nowhere_and_comes_twice_may_be_the_client_s_doing() {
    let records = [sent(200, 0, None), sent(201, 1, None), sent(202, 2, None)];
    let copies = [&records[..], &records[1..]].concat();
    let found = read(200, &copies, RULES);
    assert_eq!(found[..3], [Ok(Checked::Valid), Ok(Checked::Valid), Ok(Checked::Valid)]);
    assert_eq!([again(&found[3]), again(&found[4])], [(201, false, 203), (202, false, 204)]);
    // A copy that lies where the record was to land names its place.
    let late = [sent(203, 0, None), sent(204, 1, None), sent(205, 2, None), sent(203, 0, None)];
    assert_eq!(again(&read(200, &late, RULES)[3]), (200, true, 203));
}

/// Where it was read before, whether it names its place, and where the accusation says that it lies.
#[track_caller]
fn again(found: &Result<Checked, Anomaly>) -> (i64, bool, i64) {
    let Ok(Checked::SentAgain(again)) = found else { panic!("{found:?}") };
    let SentAgain { before, valid, accusation } = &**again;
    assert_eq!((accusation.anomaly, accusation.evidence.acked_here), (Anomaly::Duplicate, Some(false)));
    (*before, *valid, accusation.offset)
}

/// Of what a reader is shown while it waits for more, the ledger of the beginning knows nothing.
#[test]
fn a_ledger_that_lists_nothing_yet_is_waited_for_where_more_is_to_come() {
    let (record, nothing_listed) = (sent(200, 0, None), PartitionLedger::default());
    for ledger_grows in [false, true] {
        let (mut state, rules) = (PartitionState::default(), Rules { ledger_grows, ..RULES });
        let mut check = |offset: i64| state.check(&record.at(offset), Some(&nothing_listed), rules);
        check(200).expect("the first is sound");
        assert_eq!(matches!(check(201), Ok((Checked::SentAgain(_), false))), ledger_grows);
    }
}

#[test]
fn records_stored_in_another_order_than_sent_are_out_of_order() {
    let records = [sent(200, 0, None), sent(202, 2, None), sent(201, 1, None), sent(203, 3, None)];
    let valid = || Ok(Checked::Valid);
    assert_eq!(
        read(200, &records, RULES),
        [valid(), Ok(Checked::OutOfScope), Err(Anomaly::Reorder), valid()]
    );
}

#[test]
fn the_ledger_s_word_comes_before_the_order() {
    let read = read(5, &[sent(5, 0, None), sent(5, 0, None)], RULES);
    assert_eq!(read, [Ok(Checked::Valid), Err(Anomaly::WrongOffset)]);
}

#[test]
fn another_offset_is_no_duplicate_of_what_was_read_again() {
    let mut state = PartitionState::default();
    let records = [sent(200, 0, None), sent(201, 1, None)];
    let mut check = |offset: i64, sent: &Sent| {
        state.check(&sent.at(offset), None, RULES).map_err(|broken| broken.anomaly)
    };
    check(200, &records[0]).unwrap();
    check(201, &records[1]).unwrap();
    assert_eq!(check(200, &records[0]), Err(Anomaly::Nonmonotonic));
    check(201, &records[1]).unwrap();
    state.reposition();
    assert!(state.check(&records[0].at(200), None, RULES).is_ok(), "as after a rebalance");
}

#[test]
fn torn_transactions_are_found_where_all_of_it_must_be_there() {
    let mut numbers = Numbering::default();
    let mut records = Vec::new();
    for offset in 200..206 {
        let (sequence, transaction) = numbers.number(Some(u64::from(offset > 202)));
        records.push(sent(offset, sequence, transaction));
        if offset == 202 {
            numbers.end_transaction(true);
        }
    }
    records.remove(1);
    let whole = Rules { visible: Visible::Committed, whole_transactions: true, ..RULES };
    for (rules, torn) in [(whole, true), (Rules { whole_transactions: false, ..whole }, false)] {
        let mut state = PartitionState::default();
        let check = |sent: &Sent| {
            let offset = record::parse_record_id(&sent.id).unwrap();
            state.check(&sent.at(offset), None, rules).err().map(|broken| (broken.anomaly, broken.offset))
        };
        let found: Vec<_> = records.iter().filter_map(check).collect();
        assert_eq!(found, if torn { vec![(Anomaly::TornTransaction, 202)] } else { vec![] });
    }
}

#[test]
fn a_torn_transaction_at_the_end_is_found_when_all_is_read() {
    let mut state = PartitionState::default();
    let whole = Rules { visible: Visible::Committed, whole_transactions: true, ..RULES };
    for position in [0, 2] {
        let transaction = Some(InTransaction { index: 0, position, previous: 0, skipped: 0 });
        let record = sent(200 + i64::from(position), position.into(), transaction);
        state.check(&record.at(200 + i64::from(position)), None, whole).unwrap();
    }
    assert_eq!(
        state.finish().map(|broken| (broken.anomaly, broken.offset)),
        Some((Anomaly::TornTransaction, 202))
    );
    assert_eq!(state.finish(), None);
}

#[test]
fn evidence_names_the_writer_the_neighbour_and_the_ledger_s_word() {
    let mut state = PartitionState::default();
    state.check(&sent(5, 0, None).at(5), Some(&ledger()), RULES).unwrap();
    let broken = state.check(&sent(5, 0, None).at(6), Some(&ledger()), RULES).unwrap_err();
    let evidence = serde_json::to_value(&broken.evidence).unwrap();
    let writer = serde_json::json!({ "run": "0000000000000007", "sequence": 0 });
    let expected = serde_json::json!({
        "leader_epoch": 0,
        "acked_here": true,
        "written_by": writer,
        "previous": { "offset": 5, "leader_epoch": 0, "written_by": writer },
    });
    assert_eq!(evidence, expected);
}

#[test]
fn evidence_has_what_the_batch_says_of_its_producer() {
    let batch = ProducedBatch { base_offset: 90, producer_id: 4_000, producer_epoch: 2, base_sequence: 40 };
    let record = RecordView { batch: Some(&batch), ..record(99, None) };
    let broken = PartitionState::default().check(&record, Some(&ledger()), RULES).unwrap_err();
    let evidence = serde_json::to_value(&broken.evidence).unwrap();
    assert_eq!(evidence["producer"], serde_json::json!({ "id": 4_000, "epoch": 2, "sequence": 49 }));
}

#[test]
fn what_somebody_else_calls_aborted_is_theirs() {
    let committed = Rules { visible: Visible::Committed, ..RULES };
    let theirs = record(7, Some((&b"x"[..], &b"ABORTED MSG: hello"[..])));
    let checked = PartitionState::default().check(&theirs, None, committed);
    assert_eq!(checked.unwrap().0, Checked::OutOfScope);
}

#[test]
fn a_record_that_was_to_be_aborted_is_shown_to_nobody_who_reads_what_was_committed() {
    let text = format!("ABORTED MSG: {}", id(500));
    let at = |offset| record(offset, Some((RECORD_ID_HEADER.as_bytes(), text.as_bytes())));
    let committed = Rules { visible: Visible::Committed, ..RULES };
    for offset in [5, 500] {
        let broken = PartitionState::default().check(&at(offset), Some(&ledger()), committed).unwrap_err();
        assert_eq!((broken.anomaly, broken.offset), (Anomaly::AbortedRead, offset));
    }
    let everything = PartitionState::default().check(&at(500), Some(&ledger()), RULES);
    assert_eq!(everything, Ok((Checked::OutOfScope, false)));
}

/// A record that is not like the one before it in one respect, or is.
fn twisted(twist: u8, offset: &mut i64, sequence: &mut u64) -> Sent {
    *offset += [1, 0, 3][usize::from(twist.saturating_sub(13).min(2))];
    *sequence += [1, 0, 2, 5][usize::from(twist.saturating_sub(9).min(3))];
    let transaction = InTransaction { index: 1, position: 0, previous: 0, skipped: 0 };
    let mut sent = sent(*offset, *sequence, (twist == 1).then_some(transaction));
    match twist {
        2 => sent.id[24] ^= 1,
        3 => sent.name[0] ^= 1,
        4 => sent.key[0] ^= 1,
        5 => sent.time_ms = Some(2_000),
        6 => sent.time_ms = None,
        7 => sent.second.1[10] ^= 1,
        8 => sent.second.0[0] ^= 1,
        9 => sent.second = (b"other".to_vec(), Vec::new()),
        _ => {}
    }
    sent
}

proptest! {
    /// What takes the fast path is what the checks would let pass, and leaves the same behind.
    #[test]
    fn the_short_way_leads_where_the_long_one_does(
        twists in prop::collection::vec((0..60_u8, -1..=1_i32, 0..40_u8), 1..60),
        proof_header: bool,
    ) {
        let rules = Rules { proof_header, ..RULES };
        let (mut short, mut long) = (PartitionState::from(0), PartitionState::from(0));
        let (mut offset, mut sequence, mut leader_epoch) = (0, 0, 5);
        for (twist, epochs, jump) in twists {
            if jump == 0 {
                short.reposition();
                long.reposition();
            }
            let sent = twisted(twist, &mut offset, &mut sequence);
            leader_epoch += if jump == 1 { epochs } else { 0 };
            let record = RecordView { leader_epoch, ..sent.at(offset) };
            let found = short.check(&record, Some(&ledger()), rules);
            prop_assert_eq!(found, long.check_closely(&record, Some(&ledger()), rules));
            prop_assert_eq!(&short, &long);
        }
    }
}
