//! What a sequential reader was shown of a partition, and whether that is right.

use super::{
    past::{Past, Written},
    reading::Seen,
};

/// What was read of a partition. All of it was in the log in the state that the reader has come to know.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    pub records: Vec<(i64, Written)>,
    next: i64,
    /// The log's state that it knows: losses that it was told of, or that cost it nothing.
    state: usize,
}

/// What is to be said of something that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub is_right: bool,
    /// From here on it has to be read again; the epoch is that of the record before.
    pub again: Option<(i64, Option<i32>)>,
}

impl Read {
    /// Takes in what is shown, and says whether it is right: there is a state of the log, none before that which the reader
    /// knows, of which it is true. A reader knows the earliest one from then on, so that later losses still have to be told, or
    /// cost nothing.
    pub(super) fn take(&mut self, seen: &Seen, past: &Past) -> Judged {
        let (to, state) = match *seen {
            Seen::Record { offset, epoch, number: Some(number), .. } => {
                let record = (offset, Written { number, epoch });
                let state = self.known(past, |state| past.next_in(state, self.next) == Some(record));
                self.records.push(record);
                self.next = offset + 1;
                (None, state)
            }
            Seen::Progress { next, .. } => {
                let is_it = |state| {
                    let skips = past.next_in(state, self.next).is_some_and(|(offset, _)| offset < next);
                    !skips && next <= past.end_in(state)
                };
                let state = self.known(past, is_it);
                self.next = self.next.max(next);
                (None, state)
            }
            Seen::End { end, .. } => {
                let is_it = |state| end == self.next && end <= past.end_in(state);
                (None, self.known(past, is_it))
            }
            Seen::Truncated { to, .. } => (Some(to), self.truncated(to, past)),
            Seen::OutOfRange { .. } => {
                let state = self.out_of_range(past);
                (Some(self.parts(state.unwrap_or(past.state()), past)), state)
            }
            Seen::Strange { .. } | Seen::Record { number: None, .. } => (None, None),
        };
        self.state = state.unwrap_or(self.state);
        let again = to.map(|to| (to, self.go_back(to)));
        Judged { is_right: state.is_some(), again }
    }

    /// The earliest state that it may know, has what was read in it, and of which this is true.
    fn known(&self, past: &Past, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let fits = |state: usize| state == self.state || self.parts(state, past) == self.next;
        (self.state..=past.state()).find(|state| is_it(*state) && fits(*state))
    }

    /// The state to which a truncation is right that is told as being down to `to`: so far down did the losses before it cut,
    /// and what is left was in the log then.
    fn truncated(&self, to: i64, past: &Past) -> Option<usize> {
        (self.state + 1..=past.state()).find(|state| {
            let cut = past.losses[self.state..*state].iter().min();
            cut.is_some_and(|cut| to >= *cut) && to <= self.parts(*state, past)
        })
    }

    /// The state in which the place was not in the log: that ended below it when the state began.
    fn out_of_range(&self, past: &Past) -> Option<usize> {
        (self.state + 1..=past.state()).find(|state| past.losses[state - 1] < self.next)
    }

    /// Where what was read parts from the log as it was in this state.
    fn parts(&self, state: usize, past: &Past) -> i64 {
        let other = self.records.iter().find(|(offset, record)| past.at_in(state, *offset) != Some(*record));
        other.map_or(self.next, |(offset, _)| *offset)
    }

    /// What was read from here on does not count any more. Returns the epoch of the record before.
    fn go_back(&mut self, to: i64) -> Option<i32> {
        self.records.retain(|(offset, _)| *offset < to);
        self.next = to;
        self.records.last().map(|(_, record)| record.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of an epoch's records, each of which is its own number.
    fn written(records: i64) -> Past {
        let mut past = Past::default();
        write(&mut past, 0..records, 0);
        past
    }

    fn write(past: &mut Past, offsets: std::ops::Range<i64>, epoch: i32) {
        let end = offsets.end;
        for offset in offsets {
            past.wrote(offset, number(offset, epoch), epoch);
        }
        past.commit(end);
    }

    fn number(offset: i64, epoch: i32) -> u64 {
        offset.unsigned_abs() + 100 * u64::from(epoch.unsigned_abs())
    }

    fn record(offset: i64, epoch: i32) -> Seen {
        Seen::Record { partition: 0, offset, epoch, number: Some(number(offset, epoch)) }
    }

    fn truncated(to: i64) -> Seen {
        Seen::Truncated { partition: 0, to }
    }

    const OUT_OF_RANGE: Seen = Seen::OutOfRange { partition: 0 };

    /// Who has read the records of these offsets.
    fn reader(past: &Past, offsets: std::ops::Range<i64>, epoch: i32) -> Read {
        let mut read = Read::default();
        offsets.for_each(|offset| assert!(read.is_right(&record(offset, epoch), past), "{offset}"));
        read
    }

    impl Read {
        fn is_right(&mut self, seen: &Seen, past: &Past) -> bool {
            self.take(seen, past).is_right
        }
    }

    #[test]
    fn of_a_log_that_lost_nothing_everything_is_shown_and_nothing_else() {
        let past = written(5);
        let read = reader(&past, 0..3, 0);
        assert!(!read.clone().is_right(&record(4, 0), &past), "one is left out");
        assert!(!read.clone().is_right(&record(2, 0), &past), "again");
        assert!(!read.clone().is_right(&record(5, 0), &past), "there is none");
        assert!(!read.clone().is_right(&record(3, 1), &past), "of another leader");
        assert!(!read.clone().is_right(&truncated(2), &past));
        assert!(!read.clone().is_right(&OUT_OF_RANGE, &past));
        for (next, is_right) in [(3, true), (4, false)] {
            assert_eq!(read.clone().is_right(&Seen::Progress { partition: 0, next }, &past), is_right);
        }
        for (end, is_right) in [(2, false), (3, true), (5, false)] {
            assert_eq!(read.clone().is_right(&Seen::End { partition: 0, end }, &past), is_right);
        }
        let read = reader(&past, 0..5, 0);
        assert!(past.is_all(&read.records));
        assert!(!read.clone().is_right(&Seen::Progress { partition: 0, next: 6 }, &past), "beyond the end");
    }

    #[test]
    fn a_truncation_is_one_to_what_was_cut_and_no_further() {
        let mut past = written(10);
        let mut read = reader(&past, 0..8, 0);
        past.cut(6);
        write(&mut past, 6..9, 1);
        assert!(!read.clone().is_right(&truncated(5), &past), "too far down");
        assert!(!read.clone().is_right(&truncated(7), &past), "something is left that is not in the log");
        let judged = read.take(&truncated(6), &past);
        assert_eq!(judged, Judged { is_right: true, again: Some((6, Some(0))) });
        assert!(!read.clone().is_right(&truncated(6), &past), "twice");
        assert!(!read.clone().is_right(&record(6, 0), &past), "it is known to be lost");
        for offset in 6..9 {
            assert!(read.is_right(&record(offset, 1), &past));
        }
        assert!(past.is_all(&read.records));
    }

    /// The answer was under way when more was lost.
    #[test]
    fn a_truncation_is_held_against_the_log_of_its_time() {
        let mut past = written(10);
        let mut read = reader(&past, 0..10, 0);
        past.cut(8);
        write(&mut past, 8..10, 1);
        past.cut(3);
        write(&mut past, 3..12, 2);
        assert!(!read.clone().is_right(&truncated(9), &past), "it was never cut there");
        assert!(!read.clone().is_right(&truncated(2), &past), "nor there");
        assert!(read.clone().is_right(&truncated(3), &past), "it hears of both at once");
        assert!(read.is_right(&truncated(8), &past));
        assert!(!read.clone().is_right(&record(8, 2), &past), "the second loss is not told");
        assert!(read.is_right(&record(8, 1), &past), "it was there");
        assert!(!past.is_all(&read.records));
        assert!(read.is_right(&truncated(3), &past));
        (3..12).for_each(|offset| assert!(read.is_right(&record(offset, 2), &past)));
        assert!(past.is_all(&read.records));
        assert!(!read.is_right(&truncated(3), &past));
    }

    #[test]
    fn a_loss_behind_what_was_read_costs_nothing() {
        let mut past = written(10);
        let mut read = reader(&past, 0..6, 0);
        past.cut(8);
        write(&mut past, 8..9, 1);
        for offset in 6..8 {
            assert!(read.is_right(&record(offset, 0), &past));
        }
        let mut late = read.clone();
        assert!(late.is_right(&record(8, 0), &past), "it had come before");
        assert!(!late.clone().is_right(&Seen::End { partition: 0, end: 11 }, &past));
        assert!(late.is_right(&truncated(8), &past));
        assert!(read.is_right(&record(8, 1), &past));
        assert!(!read.clone().is_right(&truncated(8), &past), "it has read on behind the loss");
        assert!(past.is_all(&read.records));
    }

    #[test]
    fn a_place_is_out_of_range_where_the_log_ended_below_it() {
        let mut past = written(10);
        let read = reader(&past, 0..10, 0);
        past.cut(10);
        assert!(!read.clone().is_right(&OUT_OF_RANGE, &past), "nothing was lost");
        past.cut(7);
        let early = Read { next: 7, ..Read::default() };
        assert!(!early.clone().is_right(&OUT_OF_RANGE, &past), "it is the end");
        write(&mut past, 7..12, 1);
        let judged = read.clone().take(&OUT_OF_RANGE, &past);
        assert_eq!(judged, Judged { is_right: true, again: Some((7, Some(0))) });
    }

    #[test]
    fn what_is_written_again_is_another_record() {
        let mut past = written(5);
        let mut read = reader(&past, 0..5, 0);
        past.cut(4);
        past.wrote(4, number(4, 0), 1);
        past.commit(5);
        assert!(!past.is_all(&read.records));
        assert!(!read.clone().is_right(&truncated(5), &past));
        assert!(read.is_right(&truncated(4), &past));
    }

    #[test]
    fn what_nobody_could_see_is_never_shown() {
        let mut past = written(5);
        past.wrote(5, number(5, 0), 0);
        let mut read = reader(&past, 0..5, 0);
        assert!(!read.clone().is_right(&record(5, 0), &past));
        past.cut(5);
        assert_eq!(past.state(), 0);
        past.wrote(5, number(5, 1), 1);
        past.commit(6);
        assert!(!read.clone().is_right(&record(5, 0), &past) && !past.had(5, number(5, 0)));
        assert!(read.is_right(&record(5, 1), &past));
    }
}
