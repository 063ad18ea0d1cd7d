use proptest::prelude::*;

use super::*;
use crate::ledger::{KeyAck, LatestValues, Ledger, OffsetRun, files::format};

const PARTITIONS: usize = 2;

fn acked(partition: i32, lower: i64, upper: i64) -> Entry {
    Entry::Acked { partition, runs: vec![OffsetRun { lower, upper }], last_consumable: None }
}

fn latest(key_index: u64, offset: i64) -> Entry {
    Entry::Latest(vec![(0, KeyAck { key_index: Some(key_index), offset, value_bytes: 24, tombstone: false })])
}

fn text_of(ledger: &Ledger) -> Vec<u8> {
    let mut text = Vec::new();
    format::encode(ledger, &mut text).unwrap();
    text
}

/// A journal with these batches, that goes on from these texts.
fn journal(texts: &[u64], batches: &[&[Entry]]) -> Vec<u8> {
    let (first, others) = texts.split_first().unwrap();
    let others = others.iter().map(|digest| follows(*digest));
    let batches = batches.iter().map(|batch| entries(batch));
    [header("t", *first)].into_iter().chain(others).chain(batches).collect::<Vec<_>>().concat()
}

fn decoded(text: &[u8], ledger: u64) -> Option<Vec<Entry>> {
    decode(text, "t", ledger)
}

#[test]
fn the_text_is_lines_with_their_digests() {
    let batch = [acked(1, 5, 8), Entry::Truncated { partition: 0, offset: 3 }, latest(7, 5)];
    let text = String::from_utf8(journal(&[0x1f, 2], &[&batch])).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert!(lines.iter().all(|(stated, json)| *stated == hex(digest(json.as_bytes()))), "{text}");
    let json: Vec<_> = lines.iter().map(|(_, json)| *json).collect();
    assert_eq!(
        json,
        [
            r#"{"Format":1,"Topic":"t","Follows":"000000000000001f"}"#,
            r#"{"Follows":"0000000000000002"}"#,
            concat!(
                r#"{"Entries":[{"Acked":{"Partition":1,"Runs":[{"Lower":5,"Upper":8}],"LastConsumable":null}},"#,
                r#"{"Truncated":{"Partition":0,"Offset":3}},"#,
                r#"{"Latest":[[0,{"KeyIndex":7,"Offset":5,"ValueBytes":24,"Tombstone":false}]]}]}"#
            ),
        ]
    );
    assert_eq!(decoded(text.as_bytes(), 2).unwrap(), batch);
}

#[test]
fn it_says_nothing_beside_a_text_that_it_does_not_go_on_from() {
    let batch = [acked(0, 0, 5)];
    let text = journal(&[1, 2], &[&batch]);
    assert_eq!(decoded(&text, 1).unwrap(), batch);
    assert_eq!(decoded(&text, 2).unwrap(), batch);
    assert_eq!(decoded(&text, 3), None, "somebody has replaced the ledger");
    assert_eq!(decode(&text, "u", 1), None, "another topic's");
    let later = Header { format: 2, topic: "t".to_owned(), follows: hex(1) };
    assert_eq!(decoded(&line(&later), 1), None, "a format that is not known");
}

#[test]
fn a_torn_line_ends_it_wherever_it_is_torn() {
    let (whole, torn) = (journal(&[1], &[&[acked(0, 0, 5)]]), entries(&[acked(0, 5, 9)]));
    for bytes in 0..torn.len() {
        let text = [&whole[..], &torn[..bytes]].concat();
        assert_eq!(decoded(&text, 1).unwrap(), [acked(0, 0, 5)], "{bytes} bytes of the last line");
    }
    let text = [whole, torn].concat();
    assert_eq!(decoded(&text, 1).unwrap().len(), 2);
    for bytes in 0..header("t", 1).len() {
        assert_eq!(decoded(&text[..bytes], 1), None, "{bytes} bytes of the first line");
    }
}

#[test]
fn a_wrong_digest_ends_it() {
    let text = journal(&[1], &[&[acked(0, 0, 5)], &[acked(0, 5, 9)], &[acked(0, 9, 11)]]);
    let second = text.windows(9).position(|bytes| bytes == b"\"Lower\":5").unwrap();
    let mut wrong = text.clone();
    wrong[second + 8] = b'4';
    assert_eq!(decoded(&wrong, 1).unwrap(), [acked(0, 0, 5)]);
    // The name of the text that it goes on from is no less in doubt.
    let mut wrong = text;
    let first = header("t", 1).len() - 4;
    wrong[first] = b'2';
    assert_eq!((decoded(&wrong, 1), decoded(&wrong, 2)), (None, None));
}

#[test]
fn what_no_run_can_have_written_ends_it() {
    let ack = |offset, value_bytes| KeyAck { key_index: None, offset, value_bytes, tombstone: false };
    for unsound in [
        acked(0, -1, 5),
        acked(0, 9, 9),
        acked(0, i64::MIN, i64::MIN),
        Entry::Acked { partition: 0, runs: Vec::new(), last_consumable: Some(-1) },
        Entry::Truncated { partition: 0, offset: i64::MIN },
        Entry::Latest(vec![(0, ack(-1, 24))]),
        Entry::Latest(vec![(0, ack(1, usize::MAX))]),
    ] {
        let text = journal(&[1], &[&[acked(0, 0, 5)], &[unsound], &[acked(0, 5, 6)]]);
        assert_eq!(decoded(&text, 1).unwrap(), [acked(0, 0, 5)]);
    }
    let nonsense = [header("t", 1), line(&"nonsense"), entries(&[acked(0, 0, 5)])].concat();
    assert_eq!(decoded(&nonsense, 1).unwrap(), []);
}

fn entry() -> impl Strategy<Value = Entry> {
    let partition = || 0..i32::try_from(PARTITIONS).unwrap() + 1;
    let run = (0_i64..60, 1_i64..9).prop_map(|(lower, len)| OffsetRun { lower, upper: lower + len });
    let runs = prop::collection::vec(run, 1..4);
    prop_oneof![
        6 => (partition(), runs, prop::option::weighted(0.2, 0_i64..60)).prop_map(
            |(partition, runs, last_consumable)| Entry::Acked { partition, runs, last_consumable }
        ),
        2 => (partition(), 0_i64..60)
            .prop_map(|(partition, offset)| Entry::Truncated { partition, offset }),
        2 => (0_u64..4, 0_i64..60).prop_map(|(key, offset)| latest(key, offset)),
    ]
}

proptest! {
    #[test]
    fn what_was_lost_is_found_again_from_any_text(
        all in prop::collection::vec(entry(), 1..40),
        [first, second] in [0_usize..40, 0..40],
        per_line in 1_usize..5,
    ) {
        // The journal begins behind `first` entries; another text is put in the ledger's place behind `second`.
        let first = first.min(all.len());
        let second = second.clamp(first, all.len());
        let mut texts = Vec::new();
        let (mut full, mut values) = (Ledger::new(PARTITIONS), LatestValues::new(PARTITIONS));
        for (number, entry) in all.iter().map(Some).chain([None]).enumerate() {
            if number == first || number == second {
                texts.push((text_of(&full), values.clone()));
            }
            entry.inspect(|entry| entry.enter(&mut full));
            entry.inspect(|entry| entry.enter_latest(&mut values));
        }
        let digests: Vec<_> = texts.iter().map(|(text, _)| digest(text)).collect();
        let batches: Vec<_> = all[first..].chunks(per_line).collect();
        let journal = journal(&digests, &batches);
        for (text, latest) in texts {
            let (mut ledger, mut latest) = (format::decode(&text).unwrap(), latest);
            for entry in decoded(&journal, digest(&text)).unwrap() {
                entry.enter(&mut ledger);
                entry.enter_latest(&mut latest);
            }
            prop_assert_eq!(&ledger, &full);
            prop_assert_eq!(&latest, &values);
        }
    }

    #[test]
    fn no_text_is_too_strange(text in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decoded(&text, 1), None);
        decoded(&[header("t", 1), text].concat(), 1).unwrap();
    }
}
