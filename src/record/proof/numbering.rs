//! The numbers that a proof header says of its record.

use super::InTransaction;

/// Numbers the records of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbering {
    next: u64,
    /// Records of the open transaction.
    position: u32,
    previous: u32,
    skipped: u32,
}

impl Numbering {
    /// The number of the next record, in this transaction of the run, if it is in one.
    pub(crate) fn number(&mut self, transaction: Option<u64>) -> (u64, Option<InTransaction>) {
        let Self { next: sequence, position, previous, skipped } = *self;
        self.next += 1;
        self.position = position.saturating_add(1);
        (sequence, transaction.map(|index| InTransaction { index, position, previous, skipped }))
    }

    /// The record that was numbered last was not sent.
    pub(crate) fn take_back(&mut self) {
        self.next -= 1;
        self.position -= 1;
    }

    /// The transaction has ended.
    pub(crate) fn end_transaction(&mut self, committed: bool) {
        let records = std::mem::take(&mut self.position);
        match (records, committed) {
            (0, _) => {}
            (_, true) => (self.previous, self.skipped) = (records, 0),
            (_, false) => self.skipped = self.skipped.saturating_add(records),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_numbered_through() {
        let mut numbers = Numbering::default();
        assert_eq!((numbers.number(None), numbers.number(None)), ((0, None), (1, None)));
        numbers.take_back();
        assert_eq!(numbers.number(None), (1, None));
    }

    #[test]
    fn a_transaction_says_what_came_before_it() {
        let mut numbers = Numbering::default();
        let place =
            |index, position, previous, skipped| Some(InTransaction { index, position, previous, skipped });
        assert_eq!(numbers.number(Some(0)), (0, place(0, 0, 0, 0)));
        assert_eq!(numbers.number(Some(0)), (1, place(0, 1, 0, 0)));
        numbers.end_transaction(true);
        numbers.end_transaction(true);
        assert_eq!(
            numbers.number(Some(2)),
            (2, place(2, 0, 2, 0)),
            "one without records here changes nothing"
        );
        numbers.end_transaction(false);
        assert_eq!(numbers.number(Some(3)), (3, place(3, 0, 2, 1)));
        assert_eq!(numbers.number(Some(3)), (4, place(3, 1, 2, 1)));
        numbers.take_back();
        numbers.end_transaction(false);
        assert_eq!(numbers.number(Some(4)), (4, place(4, 0, 2, 2)));
        numbers.end_transaction(true);
        assert_eq!(numbers.number(Some(5)), (5, place(5, 0, 1, 0)));
    }
}
