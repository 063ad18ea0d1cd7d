//! Which leader epoch began where in a log.

/// Epochs and their first offsets, both growing.
#[derive(Clone, Debug, Default)]
pub(super) struct Epochs(Vec<(i32, i64)>);

impl Epochs {
    /// A leader takes office at this offset. Epochs without a record are forgotten.
    pub(super) fn begin(&mut self, epoch: i32, offset: i64) {
        self.0.retain(|(_, start)| *start < offset);
        self.0.push((epoch, offset));
    }

    /// The log begins at this offset now: what ended before is forgotten.
    pub(super) fn begin_log_at(&mut self, offset: i64) {
        let before = self.0.iter().rposition(|(_, start)| *start <= offset);
        if let Some(last) = before {
            self.0.drain(..last);
            self.0[0].1 = self.0[0].1.max(offset);
        }
    }

    /// The log ends at this offset now.
    pub(super) fn end_log_at(&mut self, offset: i64) {
        let first = self.0.first().copied();
        self.0.retain(|(_, start)| *start < offset);
        if self.0.is_empty() {
            self.0.extend(first);
        }
    }

    /// The epoch that is the last one.
    pub(super) fn latest(&self) -> Option<i32> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    /// The epoch of the record at an offset.
    pub(super) fn of(&self, offset: i64) -> Option<i32> {
        self.0.iter().rfind(|(_, start)| *start <= offset).map(|(epoch, _)| *epoch)
    }

    /// The largest epoch that is not above this one, and where its records end; `None` where that is not known.
    pub(super) fn end_of(&self, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        let latest = self.latest()?;
        if epoch < 0 || epoch > latest {
            return None;
        }
        if epoch == latest {
            return Some((epoch, log_end));
        }
        let above = self.0.iter().find(|(one, _)| *one > epoch)?;
        let floor = self.0.iter().rfind(|(one, _)| *one <= epoch);
        Some((floor.map_or(epoch, |(one, _)| *one), above.1))
    }
}
