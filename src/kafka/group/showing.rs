//! What a reader shows, on its way to the visitor of a member.

use std::ops::ControlFlow;

use super::{GroupVisitor, Handover, assigned::AssignedPartition};
use crate::{
    kafka::{KafkaError, LogEvent, LogVisitor},
    partitions::PartitionSlot,
    record::RecordView,
};

/// What has to be done before a partition is read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is read from where it stands.
    ReadAgain(PartitionSlot),
    /// Where it stands is not in the log.
    Judge(PartitionSlot),
}

/// Moves the places of a member over what is shown.
pub(super) struct Showing<'a, V> {
    assigned: &'a mut [Option<AssignedPartition>],
    handover: &'a Handover,
    visitor: &'a mut V,
    pub(super) due: Vec<Due>,
    /// The visitor wants no more.
    pub(super) is_broken_off: bool,
}

impl<'a, V: GroupVisitor> Showing<'a, V> {
    pub(super) fn new(
        assigned: &'a mut [Option<AssignedPartition>],
        handover: &'a Handover,
        visitor: &'a mut V,
    ) -> Self {
        Self { assigned, handover, visitor, due: Vec::new(), is_broken_off: false }
    }

    /// It was shown by the reader, and not consumed.
    #[cold]
    fn go_back(&mut self, slot: PartitionSlot) {
        self.is_broken_off = true;
        if let Some(assigned) = self.assigned.get_mut(slot.index()).and_then(Option::as_mut)
            && !assigned.goes_back
        {
            assigned.goes_back = true;
            self.due.push(Due::ReadAgain(slot));
        }
    }

    /// A later leader has put its records in place of what was read. Reading goes on by itself.
    #[cold]
    fn overwritten(&mut self, slot: PartitionSlot, to: i64) {
        let Some(assigned) = self.assigned.get_mut(slot.index()).and_then(Option::as_mut) else { return };
        let read = assigned.standing.read_last();
        assigned.standing.truncate(to);
        self.handover.note_truncation(slot);
        let event = LogEvent::Truncated { from: read.offset, epoch: read.leader_epoch, to };
        self.visitor.event(Some(slot), event);
    }
}

impl<V: GroupVisitor> LogVisitor for Showing<'_, V> {
    #[inline]
    fn record(&mut self, slot: PartitionSlot, record: &RecordView<'_>) {
        let Some(Some(assigned)) = self.assigned.get_mut(slot.index()) else { return };
        if self.is_broken_off {
            return self.go_back(slot);
        }
        if !record.has_sound_headers {
            // It moves no place: how far it goes is told apart.
            if self.visitor.record(slot, record).is_break() {
                self.go_back(slot);
            }
            return;
        }
        if assigned.standing.is_overwritten_by(record.offset, record.leader_epoch) {
            self.overwritten(slot, record.offset);
        }
        if self.visitor.record(slot, record).is_break() {
            return self.go_back(slot);
        }
        if let Some(Some(assigned)) = self.assigned.get_mut(slot.index()) {
            assigned.standing.read(record.offset, record.leader_epoch);
        }
    }

    fn event(&mut self, slot: PartitionSlot, event: LogEvent<'_>) {
        let Some(Some(assigned)) = self.assigned.get_mut(slot.index()) else { return };
        if assigned.goes_back {
            return;
        }
        match event {
            LogEvent::Progress { next_offset: reached } | LogEvent::AtEnd { end: reached } => {
                assigned.standing.advance(reached);
                assigned.denials = 0;
            }
            LogEvent::Unreadable { to: Some(to), .. } => {
                assigned.standing.pass_over(to);
                self.handover.forget(slot);
            }
            LogEvent::Truncated { to, .. } => {
                assigned.standing.truncate(to);
                self.handover.note_truncation(slot);
                self.due.push(Due::ReadAgain(slot));
            }
            LogEvent::OutOfRange => self.due.push(Due::Judge(slot)),
            LogEvent::Unreadable { to: None, .. }
            | LogEvent::NotTruncated { .. }
            | LogEvent::FalseAbort { .. }
            | LogEvent::StartBack { .. }
            | LogEvent::Refused(_)
            | LogEvent::Gone(_)
            | LogEvent::Transient(_) => {}
        }
        self.visitor.event(Some(slot), event);
    }
}

/// Sees nothing: who is about to leave is shown nothing more.
pub(super) struct Quiet;

impl GroupVisitor for Quiet {
    fn record(&mut self, _partition: PartitionSlot, _record: &RecordView<'_>) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn assigned(&mut self, _partition: PartitionSlot) {}

    fn event(&mut self, _partition: Option<PartitionSlot>, _event: LogEvent<'_>) {}

    fn refused(&mut self, _error: KafkaError) {}
}
