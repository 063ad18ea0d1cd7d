//! How far a compacted log of one partition can be read for certain.
//!
//! Compaction may take away everything but the latest record of each key, and
//! later the tombstones too. The log's last record that must survive is therefore
//! the largest offset that is still its key's latest and no tombstone.

use std::collections::HashMap;

/// Follows the acks of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumable {
    /// Latest live offset of each key of the set; unused without a key set.
    live: HashMap<u64, i64>,
    last: i64,
    /// What an earlier run wrote down: nobody knows any more which key it is of.
    resumed: i64,
}

impl Consumable {
    /// Goes on from what an earlier run wrote down.
    #[must_use]
    pub(crate) fn resume(last: i64) -> Self {
        Self { live: HashMap::new(), last, resumed: last }
    }

    /// The offset up to which the log can be read for certain; 0 before there is one.
    #[must_use]
    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    /// Takes note of an ack. `key` is the key's index in its set, `None` for a key
    /// that no other record has.
    pub(crate) fn acked(&mut self, key: Option<u64>, offset: i64, tombstone: bool) {
        match (key, tombstone) {
            (_, false) => {
                self.last = offset;
                if let Some(key) = key {
                    self.live.insert(key, offset);
                }
            }
            (Some(key), true) => {
                // Only a tombstone for the key that holds the mark moves it back.
                if self.live.remove(&key) == Some(self.last) {
                    self.last = self.live.values().copied().max().unwrap_or(self.resumed);
                }
            }
            (None, true) => {}
        }
    }

    /// Forgets everything at and above `offset`: the log was truncated there.
    pub(crate) fn truncate(&mut self, offset: i64) {
        let below = (offset - 1).max(0);
        self.live.retain(|_, live| *live < offset);
        (self.last, self.resumed) = (self.last.min(below), self.resumed.min(below));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_replay(acks in prop::collection::vec((0_u64..5, any::<bool>()), 0..80)) {
            let (mut fast, mut latest) = (Consumable::default(), BTreeMap::new());
            for (offset, (key, tombstone)) in acks.into_iter().enumerate() {
                let offset = i64::try_from(offset).unwrap();
                fast.acked(Some(key), offset, tombstone);
                latest.insert(key, (offset, tombstone));
                let plain = latest.values().filter(|(_, dead)| !dead).map(|(at, _)| *at).max().unwrap_or(0);
                prop_assert_eq!(fast.last(), plain);
            }
        }
    }

    #[test]
    fn unique_keys_need_no_memory() {
        let mut consumable = Consumable::resume(4);
        consumable.acked(None, 7, false);
        consumable.acked(None, 8, true);
        assert_eq!(consumable.last(), 7);
        assert!(consumable.live.is_empty());
    }

    #[test]
    fn a_tombstone_does_not_take_back_what_an_earlier_run_wrote_down() {
        let mut consumable = Consumable::resume(100);
        consumable.acked(Some(1), 101, false);
        consumable.acked(Some(1), 102, true);
        assert_eq!(consumable.last(), 100);
        consumable.acked(Some(2), 103, false);
        consumable.truncate(60);
        assert_eq!(consumable.last(), 59);
        consumable.acked(Some(2), 60, true);
        consumable.acked(Some(1), 61, false);
        consumable.acked(Some(1), 62, true);
        assert_eq!(consumable.last(), 59, "what was truncated is nobody's latest");
    }
}
