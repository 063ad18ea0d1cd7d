//! What a benchmark works on: the topics with their partitions, which are listed one behind the other in one ledger.

use std::sync::Arc;

use crate::{
    app::{Lifecycle, error::RunError},
    config::BenchConfig,
    control::Control,
    kafka::OffsetAndEpoch,
    ledger::Ledger,
    partitions::{PartitionTable, TopicPartition},
    runtime::cores::placement::Placement,
    verifier::{read::closing::Closing, run_context::RunContext, shard::Halt},
};

/// Everything that the run works with.
pub(super) struct Ground<'a> {
    pub(super) config: &'a BenchConfig,
    pub(super) control: &'a Control,
    /// What is known of each topic; never empty.
    pub(super) run_contexts: Vec<RunContext<'a>>,
}

/// A partition, and its place in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) topic: usize,
    pub(super) partition: i32,
    pub(super) place: i32,
}

impl Placed {
    /// Its own of a list by places.
    pub(super) fn of<T: Copy>(self, all: &[T]) -> Option<T> {
        all.get(usize::try_from(self.place).ok()?).copied()
    }
}

impl Ground<'_> {
    pub(super) fn placement(&self) -> &Placement {
        &self.run_contexts[0].placement
    }

    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.control.shared.lifecycle
    }

    pub(super) fn has_readers(&self) -> bool {
        self.config.verifier.has_readers()
    }

    /// The topics, each with the number of its partitions.
    pub(super) fn topics(&self) -> Vec<(String, usize)> {
        self.run_contexts
            .iter()
            .map(|run_context| (run_context.config.topic.clone(), run_context.partitions))
            .collect()
    }

    /// The number of all partitions.
    pub(super) fn partitions(&self) -> usize {
        self.run_contexts.iter().map(|run_context| run_context.partitions).sum()
    }

    /// All partitions, by their places.
    pub(super) fn placed(&self) -> Vec<Placed> {
        let counts: Vec<usize> = self.run_contexts.iter().map(|run_context| run_context.partitions).collect();
        placed(&counts)
    }

    /// The partitions of each shard.
    pub(super) fn dealt(&self) -> Vec<Vec<Placed>> {
        dealt(&self.placed(), self.placement().shards.len())
    }

    /// Partitions as a client knows them, each with its place.
    pub(super) fn table(&self, own: &[Placed]) -> Arc<PartitionTable> {
        let mut table = PartitionTable::default();
        for Placed { topic, partition, place } in own {
            let topic = table.add_topic_at(&self.run_contexts[*topic].config.topic, place - partition);
            table.add(TopicPartition { topic, partition: *partition });
        }
        Arc::new(table)
    }

    /// Asks something about each topic, and puts the answers one behind the other: by place. `None` where one has none.
    pub(super) fn of_all(
        &self,
        ask: impl Fn(&RunContext<'_>) -> Option<Vec<OffsetAndEpoch>>,
    ) -> Option<Vec<OffsetAndEpoch>> {
        let mut all = Vec::with_capacity(self.partitions());
        for run_context in &self.run_contexts {
            all.extend(ask(run_context)?);
        }
        Some(all)
    }

    /// Where the logs end, now that nothing is written any more; what is listed can be read there. `None` when the run is
    /// being stopped.
    pub(super) fn closing(&self, ledger: &Arc<Ledger>) -> Option<Closing> {
        let mut ends = Vec::with_capacity(self.partitions());
        for run_context in &self.run_contexts {
            let own = part(ledger, ends.len(), run_context.partitions);
            ends.extend(run_context.readable_ends(&own)?.iter().map(|end| end.offset));
        }
        Some(Closing { ledger: ledger.clone(), ends })
    }

    /// Decides about the records that were left to the moment in which all acks are known.
    ///
    /// # Errors
    /// The first promise that was broken, unless the run goes on.
    pub(super) fn decide(&self, ledger: &Ledger) -> Result<(), Halt> {
        // What follows is the same whichever topic a record is of.
        self.run_contexts[0].draw_consequences(self.control.shared.undecided.decide(ledger))
    }

    /// Nothing came of something because the run is being stopped.
    pub(super) fn stopped<T>(&self, answer: Option<T>) -> Result<Option<T>, RunError> {
        match answer {
            None if !self.lifecycle().stop_requested() => {
                Err(RunError::Failed("the cluster did not say where its logs end".to_owned()))
            }
            answer => Ok(answer),
        }
    }
}

fn placed(counts: &[usize]) -> Vec<Placed> {
    let all =
        counts.iter().enumerate().flat_map(|(topic, count)| (0..).take(*count).map(move |id| (topic, id)));
    (0..).zip(all).map(|(place, (topic, partition))| Placed { topic, partition, place }).collect()
}

fn dealt(all: &[Placed], shards: usize) -> Vec<Vec<Placed>> {
    let own = |shard| all.iter().skip(shard).step_by(shards.max(1)).copied().collect();
    (0..shards).map(own).collect()
}

/// The part of a ledger that is one topic's.
fn part(ledger: &Ledger, first: usize, partitions: usize) -> Ledger {
    let mut own = Ledger::new(partitions);
    for (number, part) in (0..).zip(ledger.partitions().iter().skip(first).take(partitions)) {
        if let Some(slot) = own.partition_mut(number) {
            slot.clone_from(part);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OffsetRun;

    #[test]
    fn partitions_of_all_topics_have_places_and_owners() {
        let all = placed(&[2, 0, 3]);
        let known: Vec<_> = all.iter().map(|placed| (placed.topic, placed.partition, placed.place)).collect();
        assert_eq!(known, [(0, 0, 0), (0, 1, 1), (2, 0, 2), (2, 1, 3), (2, 2, 4)]);
        let shards = dealt(&all, 2);
        let places = |own: &Vec<Placed>| own.iter().map(|placed| placed.place).collect::<Vec<_>>();
        assert_eq!(shards.iter().map(places).collect::<Vec<_>>(), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(dealt(&all, 7).iter().filter(|own| own.is_empty()).count(), 2);
    }

    #[test]
    fn a_topic_s_part_of_the_ledger_is_cut_out() {
        let mut ledger = Ledger::new(3);
        ledger.partition_mut(1).unwrap().insert(OffsetRun { lower: 0, upper: 7 });
        let own = part(&ledger, 1, 2);
        assert_eq!((own.partitions().len(), own.acked_count()), (2, 7));
        assert!(own.partition(0).unwrap().contains(6));
        assert_eq!(part(&ledger, 0, 1).acked_count(), 0);
    }
}
