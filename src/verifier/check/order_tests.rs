use super::*;
use crate::record::proof::Numbering;

fn plain(run: u64, sequence: u64) -> Proof {
    Proof { run, sequence, timestamp_ms: None, micros: None, transaction: None }
}

/// What comes of reading these, in this order.
fn read(proofs: &[Proof]) -> Vec<Option<Anomaly>> {
    let mut order = Order::default();
    let take = |(offset, proof)| order.take(offset, proof, true).err().map(|error| error.anomaly);
    let mut found: Vec<_> = (0..).zip(proofs).map(take).collect();
    if let Some(error) = order.finish() {
        found.push(Some(error.anomaly));
    }
    found
}

fn read_plain(numbers: &[u64]) -> Vec<Option<Anomaly>> {
    read(&numbers.iter().map(|number| plain(1, *number)).collect::<Vec<_>>())
}

const DUPLICATE: Option<Anomaly> = Some(Anomaly::Duplicate);
const REORDER: Option<Anomaly> = Some(Anomaly::Reorder);

#[test]
fn numbers_that_go_up_are_in_order() {
    assert_eq!(read_plain(&[5, 6, 7, 9, 100]), [None; 5]);
}

#[test]
fn a_number_that_comes_again_is_a_duplicate() {
    assert_eq!(read_plain(&[5, 5]), [None, DUPLICATE]);
    assert_eq!(read_plain(&[5, 6, 7, 6, 8]), [None, None, None, DUPLICATE, None]);
    assert_eq!(read_plain(&[1, 2, 4, 5, 2, 4]), [None, None, None, None, DUPLICATE, DUPLICATE]);
}

#[test]
fn a_number_that_comes_late_is_out_of_order() {
    assert_eq!(read_plain(&[0, 2, 1, 3]), [None, None, REORDER, None]);
    // A batch that lies too late is one fault, not one for each of its records.
    assert_eq!(read_plain(&[0, 3, 4, 1, 2, 5]), [None, None, None, REORDER, None, None]);
    assert_eq!(read_plain(&[0, 2, 1, 1]), [None, None, REORDER, DUPLICATE]);
}

#[test]
fn runs_do_not_disturb_each_other() {
    let proofs: Vec<_> =
        [(1, 7), (2, 0), (1, 8), (2, 1), (1, 8), (3, 0)].map(|(run, number)| plain(run, number)).to_vec();
    assert_eq!(read(&proofs), [None, None, None, None, DUPLICATE, None]);
}

#[test]
fn where_each_run_s_records_lie_is_remembered() {
    let mut order = Order::of_all();
    let log = [(0, 1, 7), (1, 2, 0), (2, 1, 8), (3, 1, 9), (5, 1, 10), (6, 2, 3), (7, 2, 4), (8, 2, 3)];
    for (offset, run, number) in log {
        // What is there twice is found, and its place is the first one.
        let _ = order.take(offset, &plain(run, number), true);
    }
    order.take(9, &plain(2, 5), true).unwrap();
    let ranges = |ranges: &[(i64, i64)]| ranges.iter().map(|(first, last)| *first..=*last).collect();
    assert_eq!(
        order.runs(),
        [(1, ranges(&[(0, 0), (2, 3), (5, 5)])), (2, ranges(&[(1, 1), (6, 7), (9, 9)]))]
    );
    // A number that is missing leaves its place to others.
    let mut order = Order::of_all();
    for (offset, run, number) in [(0, 1, 0), (1, 2, 0), (2, 1, 2)] {
        order.take(offset, &plain(run, number), true).unwrap();
    }
    assert_eq!(order.runs(), [(1, ranges(&[(0, 0), (2, 2)])), (2, ranges(&[(1, 1)]))]);
    assert_eq!(Order::default().runs(), []);
}

#[test]
fn behind_a_jump_everything_is_in_order() {
    let mut order = Order::default();
    order.take(0, &plain(1, 5), true).unwrap();
    order.restart();
    assert_eq!(order.last(), None);
    order.take(0, &plain(1, 5), true).unwrap();
    order.restart();
    order.take(0, &plain(1, 2), true).unwrap();
}

/// Records of transactions with so many records each, those with a `false` aborted and left out.
fn transactions(sizes: &[(u32, bool)]) -> Vec<Proof> {
    let mut numbers = Numbering::default();
    let mut visible = Vec::new();
    for (index, (size, committed)) in (0..).zip(sizes) {
        for _ in 0..*size {
            let (sequence, transaction) = numbers.number(Some(index));
            visible.extend(committed.then_some(Proof {
                run: 1,
                sequence,
                timestamp_ms: None,
                micros: None,
                transaction,
            }));
        }
        numbers.end_transaction(*committed);
    }
    visible
}

const SIZES: [(u32, bool); 6] = [(3, true), (2, false), (1, true), (0, true), (4, false), (3, true)];

#[test]
fn whole_transactions_are_whole() {
    let visible = transactions(&SIZES);
    assert_eq!(read(&visible), vec![None; visible.len()]);
}

/// The first offset at which a transaction shows to be torn.
fn torn_at(proofs: &[Proof]) -> Option<i64> {
    let mut order = Order::default();
    let mut torn = (0..).zip(proofs).find_map(|(offset, proof)| order.take(offset, proof, true).err());
    torn = torn.or_else(|| order.finish());
    torn.map(|error| {
        assert_eq!(error.anomaly, Anomaly::TornTransaction);
        error.offset
    })
}

#[test]
fn a_missing_record_of_a_transaction_is_named_by_the_one_behind_it() {
    // Records 0 1 2 | 5 | 10 11 12 of three transactions.
    for (missing, behind) in [(1, 1), (2, 2), (4, 4), (5, 5)] {
        let mut visible = transactions(&SIZES);
        visible.remove(missing);
        assert_eq!(torn_at(&visible), Some(behind), "{missing}");
        assert_eq!(read(&visible).into_iter().flatten().collect::<Vec<_>>(), [Anomaly::TornTransaction]);
    }
}

#[test]
fn a_missing_head_shows_where_something_was_read_before() {
    let mut visible = transactions(&[(2, true), (3, true)]);
    visible.remove(2);
    assert_eq!(torn_at(&visible), Some(2));
    // A log whose start was taken by retention, and a reader that begins in the middle.
    assert_eq!(torn_at(&visible[2..]), None);
    let mut beginning = Order::of_all();
    let (offset, proof) = (1, visible[2]);
    assert!(beginning.take(offset, &proof, true).is_ok(), "nobody knows yet whether it comes late");
    let torn = beginning.finish().expect("the head is missing in the whole log");
    assert_eq!((torn.anomaly, torn.offset), (Anomaly::TornTransaction, offset));
    let stranger = plain(9, 0);
    assert_eq!(torn_at(&[&[stranger], &visible[2..]].concat()), Some(1), "the first of its run");
}

#[test]
fn order_within_a_transaction_is_another_matter() {
    let visible = transactions(&[(2, true), (3, true), (1, true)]);
    let swapped: Vec<_> = [0, 1, 3, 2, 4, 5].map(|index| visible[index]).to_vec();
    assert_eq!(read(&swapped), [None, None, None, REORDER, None, None]);
    let repeated: Vec<_> = [0, 1, 2, 3, 2, 4, 5].map(|index| visible[index]).to_vec();
    assert_eq!(read(&repeated), [None, None, None, None, DUPLICATE, None, None]);
}

#[test]
fn whole_transactions_that_are_missing_are_not_torn_but_lost() {
    let mut visible = transactions(&SIZES);
    visible.remove(3);
    assert_eq!(read(&visible), vec![None; 6]);
}

#[test]
fn the_last_transaction_s_end_is_the_ledger_s_business() {
    let mut visible = transactions(&SIZES);
    visible.pop();
    assert_eq!(read(&visible), vec![None; visible.len()]);
}

#[test]
fn what_may_have_gone_tears_no_transaction() {
    let mut visible = transactions(&SIZES);
    visible.remove(1);
    let mut order = Order::default();
    assert!(visible.iter().all(|proof| order.take(0, proof, false).is_ok()), "compacted");
    let mut order = Order::default();
    order.take(0, &visible[0], true).unwrap();
    order.pass_over();
    assert!(visible[1..].iter().all(|proof| order.take(0, proof, true).is_ok()), "a record was unreadable");
}

#[test]
fn what_is_remembered_has_a_limit() {
    let mut order = Order::default();
    for run in 0..RUNS as u64 + 10 {
        order.take(0, &plain(run, 1), true).unwrap();
    }
    assert_eq!((order.runs.len(), order.last()), (RUNS, Some((RUNS as u64 + 9, 1))));
    for number in 0..RANGES as u64 + 10 {
        order.take(0, &plain(0, number * 2), true).unwrap();
    }
    assert!(order.runs[order.current].seen.len() <= RANGES);
}

#[test]
fn it_is_remembered_where_a_number_was_read() {
    let mut order = Order::default();
    let mut read = |offset, sequence| {
        let error = order.take(offset, &plain(1, sequence), true).err();
        error.and_then(|error| error.before)
    };
    // Numbers 5, 6 and 7, then a gap of ten offsets, then 8 and, as some are missing, 20.
    for (offset, sequence) in [(100, 5), (101, 6), (102, 7), (113, 8), (114, 20)] {
        assert_eq!(read(offset, sequence), None);
    }
    let places = [5, 6, 7, 8, 20].map(|sequence| read(200, sequence));
    assert_eq!(places, [Some(100), Some(101), Some(102), Some(113), Some(114)]);
}

#[test]
fn who_follows_lies_right_behind() {
    let mut order = Order::default();
    order.take(100, &plain(1, 5), true).unwrap();
    assert!(
        order.takes_fast_path(101, 1, 6) && !order.takes_fast_path(103, 1, 7),
        "somebody else's record lies between"
    );
    order.take(103, &plain(1, 7), true).unwrap();
    assert!(order.takes_fast_path(104, 1, 8));
    assert_eq!(order.take(110, &plain(1, 6), true).unwrap_err().before, Some(101));
    assert_eq!(order.take(111, &plain(1, 8), true).unwrap_err().before, Some(104));
}

#[test]
fn places_have_a_limit() {
    let mut order = Order::default();
    for number in 0..PLACES as u64 + 10 {
        order.take(i64::try_from(number).unwrap() * 2, &plain(1, number), true).unwrap();
    }
    assert!(order.runs[order.current].places.len() <= PLACES);
    assert_eq!(order.take(1, &plain(1, 3), true).unwrap_err().before, None, "forgotten");
}
