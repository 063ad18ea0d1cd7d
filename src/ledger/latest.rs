//! The last acked value of each key: what a compacted log must still hold.
//!
//! The values that this program writes are numbered, so that an offset stands for
//! each of them; those of other implementations are kept as they are.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::record::{self, KeyText};

/// A record with a numbered value, or a tombstone, was acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyAck {
    /// Its key's index in the key set; `None`: its record id is its key.
    pub key_index: Option<u64>,
    /// Where it landed.
    pub offset: i64,
    /// Bytes of its value.
    pub value_bytes: usize,
    /// Whether it has none.
    pub tombstone: bool,
}

/// The last values of a topic's keys, by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatestValues {
    pub(super) partitions: Vec<BTreeMap<String, LatestValue>>,
}

/// What the last acked record of a key held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatestValue {
    /// Nothing: the key is gone.
    Tombstone,
    /// The text `value-{offset:018}` and zeros.
    Numbered {
        /// The offset.
        offset: i64,
        /// Bytes of the whole value.
        value_bytes: usize,
    },
    /// Anything else.
    Other(Box<[u8]>),
}

impl LatestValue {
    /// Whether a record with this value is the last of its key.
    #[must_use]
    pub fn is(&self, value: Option<&[u8]>) -> bool {
        match (self, value) {
            (Self::Tombstone, None) => true,
            (Self::Numbered { offset, value_bytes }, Some(value)) => {
                value.len() == *value_bytes && record::parse_numbered_value(value) == Some(*offset)
            }
            (Self::Other(other), Some(value)) => **other == *value,
            _ => false,
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Tombstone => "a tombstone".to_owned(),
            Self::Numbered { offset, value_bytes } => format!("value-{offset:018} in {value_bytes} bytes"),
            Self::Other(value) => describe(Some(value)),
        }
    }

    fn of(value: Vec<u8>) -> Self {
        match record::parse_numbered_value(&value) {
            Some(offset) => Self::Numbered { offset, value_bytes: value.len() },
            None => Self::Other(value.into()),
        }
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Tombstone => None,
            Self::Numbered { offset, value_bytes } => {
                let mut value = record::numbered_value(*offset).to_vec();
                value.resize(*value_bytes, 0);
                Some(value)
            }
            Self::Other(value) => Some(value.to_vec()),
        }
    }
}

/// A value in a few words.
#[must_use]
pub(crate) fn describe(value: Option<&[u8]>) -> String {
    const SHOWN_BYTES: usize = 32;
    match value {
        None => "a tombstone".to_owned(),
        Some(value) => {
            let start = &value[..value.len().min(SHOWN_BYTES)];
            format!("'{}' in {} bytes", start.escape_ascii(), value.len())
        }
    }
}

impl LatestValues {
    /// Nothing known of a topic with so many partitions.
    #[must_use]
    pub fn new(partitions: usize) -> Self {
        Self { partitions: vec![BTreeMap::new(); partitions] }
    }

    /// Partitions that it lists.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// New partitions of the topic start empty.
    pub fn grow(&mut self, partitions: usize) {
        if partitions > self.partitions.len() {
            self.partitions.resize_with(partitions, BTreeMap::new);
        }
    }

    /// The keys of a partition.
    #[must_use]
    pub fn keys(&self, partition: i32) -> Option<&BTreeMap<String, LatestValue>> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// The last value of a key.
    #[must_use]
    pub fn get(&self, partition: i32, key: &[u8]) -> Option<&LatestValue> {
        self.keys(partition)?.get(std::str::from_utf8(key).ok()?)
    }

    /// Takes note of an ack.
    pub fn acked(&mut self, partition: i32, ack: &KeyAck) {
        let KeyAck { key_index, offset, value_bytes, tombstone } = *ack;
        let key = match key_index {
            Some(index) => KeyText::of_set(index),
            None => KeyText::of_record_id(record::encode_record_id(offset)),
        };
        let value =
            if tombstone { LatestValue::Tombstone } else { LatestValue::Numbered { offset, value_bytes } };
        self.set(partition, String::from_utf8_lossy(key.as_bytes()).into_owned(), value);
    }

    /// The last value of this key.
    pub fn set(&mut self, partition: i32, key: String, value: LatestValue) {
        if let Some(keys) =
            usize::try_from(partition).ok().and_then(|partition| self.partitions.get_mut(partition))
        {
            keys.insert(key, value);
        }
    }
}

/// Base64, or `null` for a tombstone, by key.
type Texts = BTreeMap<String, Option<String>>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    latest_kv_by_partition: Option<Vec<Option<Texts>>>,
}

/// The values as the file's text.
pub(super) fn encode(values: &LatestValues) -> Vec<u8> {
    let keys = |keys: &BTreeMap<String, LatestValue>| {
        let texts =
            keys.iter().map(|(key, value)| (key.clone(), value.bytes().map(|bytes| STANDARD.encode(bytes))));
        Some(texts.collect())
    };
    let file = File { latest_kv_by_partition: Some(values.partitions.iter().map(keys).collect()) };
    // Maps of texts: nothing here can fail to become JSON.
    serde_json::to_vec(&file).unwrap_or_default()
}

/// The values that a file's text describes, or what is wrong with it.
pub(super) fn decode(text: &[u8]) -> Result<LatestValues, String> {
    let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut values = LatestValues::default();
    for (index, keys) in file.latest_kv_by_partition.unwrap_or_default().into_iter().enumerate() {
        let mut known = BTreeMap::new();
        for (key, text) in keys.unwrap_or_default() {
            let value = match text {
                None => LatestValue::Tombstone,
                Some(text) => LatestValue::of(
                    STANDARD
                        .decode(text)
                        .map_err(|error| format!("partition {index} key {key}: no base64: {error}"))?,
                ),
            };
            known.insert(key, value);
        }
        values.partitions.push(known);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_the_contract_s() {
        let mut values = LatestValues::new(2);
        values.set(0, "key-1".into(), LatestValue::Numbered { offset: 7, value_bytes: 26 });
        values.set(0, "key-2".into(), LatestValue::Tombstone);
        let base64 = STANDARD.encode(b"value-000000000000000007\0\0");
        let text = format!(r#"{{"LatestKvByPartition":[{{"key-1":"{base64}","key-2":null}},{{}}]}}"#);
        assert_eq!(String::from_utf8(encode(&values)).unwrap(), text);
        assert_eq!(decode(text.as_bytes()).unwrap(), values);
    }

    #[test]
    fn only_the_last_value_is_the_last() {
        let numbered = LatestValue::Numbered { offset: 7, value_bytes: 26 };
        assert!(numbered.is(Some(b"value-000000000000000007\0\0")));
        assert!(!numbered.is(Some(b"value-000000000000000006\0\0")), "an older one");
        assert!(!numbered.is(Some(b"value-000000000000000007\0")), "a shorter one");
        assert!(!numbered.is(Some(b"value-000000000000000007\0x")));
        assert!(!numbered.is(None));
        assert!(LatestValue::Tombstone.is(None) && !LatestValue::Tombstone.is(Some(b"")));
        let other = LatestValue::Other(b"abc"[..].into());
        assert!(other.is(Some(b"abc")) && !other.is(Some(b"abd")) && !other.is(None));
    }

    #[test]
    fn acks_leave_the_last_of_each_key() {
        let mut values = LatestValues::new(1);
        let ack = |key_index, offset, tombstone| KeyAck { key_index, offset, value_bytes: 24, tombstone };
        values.acked(0, &ack(Some(3), 5, false));
        values.acked(0, &ack(Some(3), 6, false));
        values.acked(0, &ack(Some(4), 7, true));
        values.acked(0, &ack(None, 8, false));
        assert_eq!(values.get(0, b"key-3"), Some(&LatestValue::Numbered { offset: 6, value_bytes: 24 }));
        assert_eq!(values.get(0, b"key-4"), Some(&LatestValue::Tombstone));
        assert!(values.get(0, b"000000.000000000000000008").is_some());
        assert_eq!(values.keys(0).unwrap().len(), 3);
    }

    #[test]
    fn what_others_write_is_read() {
        let values = decode(br#"{"LatestKvByPartition":[null,{"k":"YWJj"}]}"#).unwrap();
        assert_eq!(values.get(1, b"k"), Some(&LatestValue::Other(b"abc"[..].into())));
        assert_eq!(values.get(0, b"k"), None);
        assert_eq!(values.get(1, b"\xFF"), None);
        assert_eq!(decode(br#"{"LatestKvByPartition":null}"#).unwrap(), LatestValues::default());
        assert!(decode(br#"{"LatestKvByPartition":[{"k":"?"}]}"#).unwrap_err().contains("partition 0 key k"));
        assert!(decode(b"[]").is_err());
    }
}
