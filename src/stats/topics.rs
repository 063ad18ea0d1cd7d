//! The topics that all workers of a run have in common, as `/status` and `/metrics` name them.

use serde_json::{Map, Value};

/// Topics that are named one by one.
const NAMED: usize = 8;
/// What workers say of each partition.
const OF_PARTITIONS: [&str; 3] = ["max_offsets_produced", "max_offsets_consumed", "lost_offsets"];

/// The topics of a run, with their partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topics(Vec<(String, usize)>);

impl Topics {
    /// These, whose partitions lie one behind the other in what workers count.
    #[must_use]
    pub(crate) fn new(topics: Vec<(String, usize)>) -> Self {
        Self(topics)
    }

    /// Their names: one by one with commas, or the first and the last of many.
    #[must_use]
    pub(crate) fn label(&self) -> String {
        let name = |topic: &(String, usize)| topic.0.clone();
        match self.0.as_slice() {
            [first, .., last] if self.0.len() > NAMED => format!("{} to {}", first.0, last.0),
            topics => topics.iter().map(name).collect::<Vec<_>>().join(","),
        }
    }

    /// Where there are several, partitions are named `topic/partition` in a worker's object, which has the place that each has
    /// among those of all topics.
    pub(super) fn name_partitions(&self, worker: &mut Value) {
        if self.0.len() < 2 {
            return;
        }
        match worker {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::Object(places) if OF_PARTITIONS.contains(&name.as_str()) => {
                            self.rename(places);
                        }
                        inner => self.name_partitions(inner),
                    }
                }
            }
            Value::Array(all) => all.iter_mut().for_each(|one| self.name_partitions(one)),
            _ => {}
        }
    }

    fn rename(&self, places: &mut Map<String, Value>) {
        let named = std::mem::take(places).into_iter().map(|(place, value)| {
            let name = place.parse().ok().and_then(|place| self.partition_at(place));
            (name.unwrap_or(place), value)
        });
        places.extend(named);
    }

    fn partition_at(&self, place: usize) -> Option<String> {
        let mut rest = place;
        for (topic, partitions) in &self.0 {
            if rest < *partitions {
                return Some(format!("{topic}/{rest}"));
            }
            rest -= partitions;
        }
        None
    }
}

impl From<String> for Topics {
    fn from(topic: String) -> Self {
        Self(vec![(topic, usize::MAX)])
    }
}

impl From<&str> for Topics {
    fn from(topic: &str) -> Self {
        topic.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn topics_are_named_all_or_from_the_first_to_the_last() {
        let label =
            |count: usize| Topics::new((0..count).map(|number| (format!("t-{number}"), 1)).collect()).label();
        assert_eq!((label(1).as_str(), label(3).as_str()), ("t-0", "t-0,t-1,t-2"));
        assert_eq!(label(9), "t-0 to t-8");
        assert_eq!(Topics::from("t").label(), "t");
    }

    #[test]
    fn partitions_of_several_topics_are_named_with_them() {
        let status = json!([
            {"topic": "a,b", "sent": 3, "max_offsets_produced": {"0": 7, "2": 9}},
            {"validator": {"max_offsets_consumed": {"1": 5, "9": 6}, "lost_offsets": null}},
        ]);
        let mut named = status.clone();
        Topics::new(vec![("a".into(), 2), ("b".into(), 1)]).name_partitions(&mut named);
        assert_eq!(
            named,
            json!([
                {"topic": "a,b", "sent": 3, "max_offsets_produced": {"a/0": 7, "b/0": 9}},
                {"validator": {"max_offsets_consumed": {"a/1": 5, "9": 6}, "lost_offsets": null}},
            ])
        );
        let mut alone = status.clone();
        Topics::from("a").name_partitions(&mut alone);
        assert_eq!(alone, status, "the contract's");
    }
}
