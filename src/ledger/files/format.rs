//! The JSON of `valid_offsets_{topic}.json`, field for field as the contract has it.

use std::{
    fmt,
    io::{self, Write},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

use crate::ledger::{Ledger, OffsetRun, PartitionLedger};

/// The file as it is written: from where its ranges lie, as there can be millions of them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewFile<'a> {
    partition_ranges: Vec<NewPartition<'a>>,
    adjust_consumable_offsets: bool,
    last_consumable_offsets: Vec<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewPartition<'a> {
    #[serde(serialize_with = "ranges")]
    ranges: &'a PartitionLedger,
    tolerate_data_loss: bool,
}

/// The file as it is read.
#[derive(Deserialize)]
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Partition {
    #[serde(default)]
    ranges: Ranges,
    #[serde(default)]
    tolerate_data_loss: bool,
}

/// The ranges of a partition, as a set from the start: there can be millions of them.
#[derive(Default)]
struct Ranges {
    part: PartitionLedger,
    /// The first that is none.
    wrong: Option<Range>,
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::default())
    }
}

impl<'de> Visitor<'de> for Ranges {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of ranges, or null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut ranges: A) -> Result<Self, A::Error> {
        while let Some(range) = ranges.next_element::<Range>()? {
            if range.lower < 0 || range.upper < range.lower {
                self.wrong.get_or_insert(range);
            } else {
                self.part.insert(OffsetRun { lower: range.lower, upper: range.upper });
            }
        }
        Ok(self)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    lower: i64,
    upper: i64,
}

/// Writes the ledger as the file's text.
pub(crate) fn encode(ledger: &Ledger, out: impl Write) -> io::Result<()> {
    let tolerate_data_loss = ledger.tolerate_data_loss;
    let file = NewFile {
        partition_ranges: ledger
            .partitions()
            .iter()
            .map(|ranges| NewPartition { ranges, tolerate_data_loss })
            .collect(),
        adjust_consumable_offsets: ledger.adjust_consumable_offsets,
        last_consumable_offsets: ledger.partitions().iter().map(|part| part.last_consumable).collect(),
    };
    // Vectors, numbers and booleans: nothing here can fail to become JSON.
    Ok(serde_json::to_writer(out, &file)?)
}

fn ranges<S: Serializer>(part: &PartitionLedger, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(part.runs().map(|run| Range { lower: run.lower, upper: run.upper }))
}

/// The ledger that a file's text describes, or what is wrong with it.
pub(crate) fn decode(text: &[u8]) -> Result<Ledger, String> {
    let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let parts = file.partition_ranges.unwrap_or_default();
    let mut ledger = Ledger::new(parts.len());
    ledger.adjust_consumable_offsets = file.adjust_consumable_offsets;
    ledger.tolerate_data_loss = parts.iter().any(|part| part.tolerate_data_loss);
    let last = file.last_consumable_offsets.unwrap_or_default();
    for (index, part) in parts.into_iter().enumerate() {
        let Ranges { part, wrong } = part.ranges;
        if let Some(Range { lower, upper }) = wrong {
            return Err(format!(
                "partition {index}: Lower {lower} and Upper {upper} are no range of offsets"
            ));
        }
        let last_consumable = last.get(index).copied().unwrap_or(0);
        ledger.partitions[index] = PartitionLedger { last_consumable, ..part };
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ledger: &Ledger) -> Vec<u8> {
        let mut text = Vec::new();
        encode(ledger, &mut text).unwrap();
        text
    }

    #[test]
    fn text_is_the_contract_s() {
        let mut ledger = Ledger::new(1);
        ledger.partition_mut(0).unwrap().insert(OffsetRun { lower: 0, upper: 120 });
        assert_eq!(
            String::from_utf8(text(&ledger)).unwrap(),
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
        assert_eq!(decode(&text(&ledger)).unwrap(), ledger);
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
