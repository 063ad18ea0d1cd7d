//! What becomes of what librdkafka shows, partition by partition.
//!
//! Pure: what has to be done for it is noted for whoever owns the client.

use std::time::Instant;

use super::{
    REFUSED_PAUSE,
    read_position::{ReadPosition, State},
};
use crate::{
    kafka::{
        LogEvent, LogVisitor,
        librdkafka::{
            consumer::Event,
            fault::{Fault, FaultKind},
        },
    },
    partitions::PartitionSlot,
    record::RecordView,
};

/// The partitions, by slot.
#[derive(Default)]
pub(super) struct Places {
    all: Vec<ReadPosition>,
    /// Those that are not read on before something has been done.
    pub(super) to_do: Vec<PartitionSlot>,
    /// Those whose place was refused.
    pub(super) refused: Vec<PartitionSlot>,
}

impl Places {
    /// So many partitions, none of which is read.
    pub(super) fn new(partitions: usize) -> Self {
        Self { all: vec![ReadPosition::default(); partitions], ..Self::default() }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (PartitionSlot, &ReadPosition)> {
        self.all.iter().enumerate().map(|(index, place)| (PartitionSlot::at(index), place))
    }

    /// What is known of a partition.
    #[inline]
    pub(super) fn of(&mut self, partition: PartitionSlot) -> Option<&mut ReadPosition> {
        self.all.get_mut(partition.index())
    }

    /// Those of which it is time to ask where their logs start and end, with their positions.
    pub(super) fn take_refused(&mut self, now: Instant) -> Vec<(PartitionSlot, i64)> {
        let mut due = Vec::new();
        let Self { all, refused, .. } = self;
        refused.retain(|&partition| {
            let place = all.get(partition.index());
            match place.map(|place| (place.state, place.position)) {
                Some((State::Refused { asks_at }, position)) if asks_at <= now => {
                    due.push((partition, position));
                }
                Some((State::Refused { .. }, _)) => return true,
                _ => {}
            }
            false
        });
        due
    }

    /// Shows what the client has, if it is to be shown.
    #[inline]
    pub(super) fn show(&mut self, event: Event<'_>, visitor: &mut impl LogVisitor) {
        match event {
            Event::Record { partition, record } => {
                let Some(place) = self.of(partition) else { return };
                if place.state != State::Reading {
                    return;
                }
                if place.must_confirm(record.leader_epoch) || !record.has_sound_headers {
                    self.hold(partition, &record, visitor);
                    return;
                }
                place.shown(record.offset, record.leader_epoch);
                visitor.record(partition, &record);
            }
            Event::End { partition, offset } => {
                let Some(place) = self.of(partition) else { return };
                if place.state == State::Reading {
                    place.reached(offset);
                    visitor.event(partition, LogEvent::AtEnd { end: offset });
                }
            }
            Event::Fault { partition, fault } => self.fault(partition, &fault, visitor),
        }
    }

    /// A record behind which the partition is not read on for now.
    #[cold]
    fn hold(&mut self, partition: PartitionSlot, record: &RecordView<'_>, visitor: &mut impl LogVisitor) {
        let Some(place) = self.of(partition) else { return };
        if place.must_confirm(record.leader_epoch) {
            place.confirm();
        } else {
            // Its offset may have been misread, too: the search begins at the position.
            place.unreadable(-1);
            visitor.record(partition, record);
        }
        self.to_do.push(partition);
    }

    #[cold]
    fn fault(&mut self, partition: PartitionSlot, fault: &Fault<'_>, visitor: &mut impl LogVisitor) {
        let Fault { offset, kind, error, text, truncation } = *fault;
        let place = self.of(partition).filter(|place| {
            matches!(place.state, State::Reading | State::Confirming | State::Refused { .. })
        });
        match (kind, place) {
            (FaultKind::Refused, _) => visitor.event(partition, LogEvent::Refused(error)),
            (FaultKind::Gone, _) => visitor.event(partition, LogEvent::Gone(error)),
            (FaultKind::Corrupt, Some(place)) => {
                let from = place.unreadable(offset);
                visitor.event(partition, LogEvent::Unreadable { from, to: None, cause: text });
                self.to_do.push(partition);
            }
            (FaultKind::OutOfRange | FaultKind::Truncated, Some(place)) => {
                if place.refused(truncation, Instant::now() + REFUSED_PAUSE) {
                    visitor.event(partition, LogEvent::OutOfRange);
                    return;
                }
                if !self.refused.contains(&partition) {
                    self.refused.push(partition);
                }
                visitor.event(partition, LogEvent::Transient(error));
            }
            // The client tries again by itself.
            _ => visitor.event(partition, LogEvent::Transient(error)),
        }
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
