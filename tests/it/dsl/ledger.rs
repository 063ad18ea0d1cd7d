//! The ledger file, read and written as another implementation would.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LedgerFile {
    pub partition_ranges: Vec<PartitionRanges>,
    pub adjust_consumable_offsets: bool,
    pub last_consumable_offsets: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PartitionRanges {
    pub ranges: Option<Vec<OffsetRange>>,
    pub tolerate_data_loss: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct OffsetRange {
    pub lower: i64,
    pub upper: i64,
}

/// Its name in the working directory.
pub fn file_name(topic: &str) -> String {
    format!("valid_offsets_{topic}.json")
}

impl LedgerFile {
    /// One list of ranges for each partition.
    pub fn of(partitions: &[&[(i64, i64)]]) -> Self {
        let range = |&(lower, upper): &(i64, i64)| OffsetRange { lower, upper };
        let ranges = |ranges: &&[(i64, i64)]| Some(ranges.iter().map(range).collect());
        let partition = |list| PartitionRanges { ranges: ranges(list), tolerate_data_loss: false };
        Self {
            partition_ranges: partitions.iter().map(partition).collect(),
            adjust_consumable_offsets: false,
            last_consumable_offsets: vec![0; partitions.len()],
        }
    }

    /// The one of a topic, `None` when there is none yet. It must be whole at any moment.
    #[track_caller]
    pub fn find(folder: &Path, topic: &str) -> Option<Self> {
        let text = fs::read(folder.join(file_name(topic))).ok()?;
        let text = String::from_utf8(text).expect("a ledger that is text");
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in ledger {text}")))
    }

    #[track_caller]
    pub fn read(folder: &Path, topic: &str) -> Self {
        Self::find(folder, topic).expect("a ledger file")
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a ledger as text")
    }

    /// The ranges of each partition.
    pub fn ranges(&self) -> Vec<Vec<(i64, i64)>> {
        let pair = |range: &OffsetRange| (range.lower, range.upper);
        let partitions = self.partition_ranges.iter();
        partitions.map(|part| part.ranges.iter().flatten().map(pair).collect()).collect()
    }

    /// How many offsets it lists.
    pub fn count(&self) -> i64 {
        self.ranges().iter().flatten().map(|(lower, upper)| upper - lower).sum()
    }

    /// Whether it lists an offset.
    pub fn lists(&self, partition: usize, offset: i64) -> bool {
        self.ranges()[partition].iter().any(|(lower, upper)| (*lower..*upper).contains(&offset))
    }

    /// That it lists everything from 0 to where the logs end, in one range each.
    #[track_caller]
    pub fn expect_all_up_to(&self, ends: &[i64]) {
        let all: Vec<Vec<_>> =
            ends.iter().map(|end| if *end == 0 { vec![] } else { vec![(0, *end)] }).collect();
        assert_eq!(self.ranges(), all);
    }
}
