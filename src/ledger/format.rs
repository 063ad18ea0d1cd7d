//! The JSON of `valid_offsets_{topic}.json`, field for field as the contract has it.

use serde::{Deserialize, Serialize};

use super::{Ledger, OffsetRun, PartitionLedger};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    /// `null` in a file of a producer that found no partition, and never missing: other JSON is no ledger.
    #[serde(deserialize_with = "Option::deserialize")]
    partition_ranges: Option<Vec<Partition>>,
    #[serde(default)]
    adjust_consumable_offsets: bool,
    #[serde(default)]
    last_consumable_offsets: Option<Vec<i64>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Partition {
    ranges: Option<Vec<Range>>,
    #[serde(default)]
    tolerate_data_loss: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    lower: i64,
    upper: i64,
}

/// The ledger as the file's text.
pub(super) fn encode(ledger: &Ledger) -> Vec<u8> {
    let file = File {
        partition_ranges: Some(ledger.partitions().iter().map(|part| partition(ledger, part)).collect()),
        adjust_consumable_offsets: ledger.adjust_consumable_offsets,
        last_consumable_offsets: Some(ledger.partitions().iter().map(|part| part.last_consumable).collect()),
    };
    // Vectors, numbers and booleans: nothing here can fail to become JSON.
    serde_json::to_vec(&file).unwrap_or_default()
}

fn partition(ledger: &Ledger, part: &PartitionLedger) -> Partition {
    let ranges = part.runs().map(|run| Range { lower: run.lower, upper: run.upper }).collect();
    Partition { ranges: Some(ranges), tolerate_data_loss: ledger.tolerate_data_loss }
}

/// The ledger that a file's text describes, or what is wrong with it.
pub(super) fn decode(text: &[u8]) -> Result<Ledger, String> {
    let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let parts = file.partition_ranges.unwrap_or_default();
    let mut ledger = Ledger::new(parts.len());
    ledger.adjust_consumable_offsets = file.adjust_consumable_offsets;
    ledger.tolerate_data_loss = parts.iter().any(|part| part.tolerate_data_loss);
    let last = file.last_consumable_offsets.unwrap_or_default();
    for (index, part) in parts.into_iter().enumerate() {
        let target = &mut ledger.partitions[index];
        target.last_consumable = last.get(index).copied().unwrap_or(0);
        for range in part.ranges.unwrap_or_default() {
            if range.lower < 0 || range.upper < range.lower {
                return Err(format!(
                    "partition {index}: Lower {} and Upper {} are no range of offsets",
                    range.lower, range.upper
                ));
            }
            target.insert(OffsetRun { lower: range.lower, upper: range.upper });
        }
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_the_contract_s() {
        let mut ledger = Ledger::new(1);
        ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 0, upper: 120 });
        assert_eq!(
            String::from_utf8(encode(&ledger)).unwrap(),
            r#"{"PartitionRanges":[{"Ranges":[{"Lower":0,"Upper":120}],"TolerateDataLoss":false}],"AdjustConsumableOffsets":false,"LastConsumableOffsets":[0]}"#
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut ledger = Ledger::new(3);
        for (partition, lower, upper) in [(0, 0, 7), (0, 9, 10), (2, 5, 6)] {
            ledger.partition_mut(partition).unwrap().insert(OffsetRun { lower, upper });
        }
        ledger.partition_mut(2).unwrap().last_consumable = 5;
        ledger.adjust_consumable_offsets = true;
        ledger.tolerate_data_loss = true;
        assert_eq!(decode(&encode(&ledger)).unwrap(), ledger);
    }

    #[test]
    fn nulls_and_missing_fields_of_other_writers_are_taken() {
        let ledger = decode(br#"{"PartitionRanges":[{"Ranges":null},{"Ranges":[]}]}"#).unwrap();
        assert_eq!((ledger.partitions().len(), ledger.acked_count()), (2, 0));
        assert_eq!(decode(br#"{"PartitionRanges":null}"#).unwrap().partitions().len(), 0);
    }

    #[test]
    fn what_is_no_ledger_is_refused() {
        for text in
            ["", "{", "[]", "null", "{}", r#"{"format":1}"#, r#"{"PartitionRanges":[{"Ranges":[{"Lo"#, "{}x"]
        {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
        let reversed = br#"{"PartitionRanges":[{"Ranges":[]},{"Ranges":[{"Lower":9,"Upper":3}]}]}"#;
        assert!(decode(reversed).unwrap_err().contains("partition 1"));
        assert!(decode(br#"{"PartitionRanges":[{"Ranges":[{"Lower":-9,"Upper":3}]}]}"#).is_err());
    }
}
