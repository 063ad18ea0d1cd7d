//! The tokens that a worker has at hand.
//!
//! Those that it was given at the start are a range of numbers and take no memory,
//! however many they are; those that it took over from other records are a queue.

use std::{collections::VecDeque, ops::Range};

/// Tokens that wait to be sent.
#[derive(Debug)]
pub(super) struct Tokens {
    fresh: Range<i64>,
    returned: VecDeque<i64>,
}

impl Tokens {
    /// The tokens of one worker of so many: no two workers of a process have one in common.
    pub(super) fn of_worker(worker: usize, tokens_per_worker: u64) -> Self {
        let worker = i64::try_from(worker).unwrap_or(i64::MAX);
        let count = i64::try_from(tokens_per_worker).unwrap_or(i64::MAX);
        let first = worker.saturating_mul(count);
        Self { fresh: first..first.saturating_add(count), returned: VecDeque::new() }
    }

    /// The next one to send: those that travelled first, so that none rests for ever.
    pub(super) fn take(&mut self) -> Option<i64> {
        self.returned.pop_front().or_else(|| self.fresh.next())
    }

    /// One that was consumed.
    pub(super) fn give(&mut self, token: i64) {
        self.returned.push_back(token);
    }

    /// One that was taken and not sent.
    pub(super) fn give_back(&mut self, token: i64) {
        self.returned.push_front(token);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.fresh.end.saturating_sub(self.fresh.start).unsigned_abs() + self.returned.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn workers_share_no_token() {
        let mut all = BTreeSet::new();
        for worker in 0..5 {
            let mut tokens = Tokens::of_worker(worker, 7);
            assert_eq!(tokens.len(), 7);
            while let Some(token) = tokens.take() {
                assert!(all.insert(token));
            }
            assert!(tokens.is_empty());
        }
        assert_eq!(all, (0..35).collect());
    }

    #[test]
    fn nothing_is_lost_between_take_and_give() {
        let mut tokens = Tokens::of_worker(0, 3);
        let first = tokens.take().unwrap();
        tokens.give(100);
        assert_eq!(tokens.len(), 3);
        assert_eq!(tokens.take(), Some(100));
        tokens.give_back(first);
        assert_eq!(tokens.take(), Some(first), "what was not sent goes first");
        assert_eq!(tokens.len(), 2);
    }

    #[test]
    fn a_start_with_very_many_takes_no_memory() {
        let tokens = Tokens::of_worker(99_999, u64::MAX);
        assert_eq!(tokens.returned.capacity(), 0);
        assert!(Tokens::of_worker(0, 300_000).len() == 300_000 && tokens.is_empty());
    }
}
