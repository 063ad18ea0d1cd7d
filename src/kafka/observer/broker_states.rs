//! Which brokers are up, and which of their changes have been told.

use std::collections::BTreeMap;

use crate::mutants::enforced;

/// A broker that went, or came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerChange {
    /// `host:port/id`.
    pub broker: String,
    /// Whether it can be talked to now.
    pub up: bool,
}

/// One broker that the cluster has named, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its id.
    pub(crate) id: i32,
    /// `host:port`.
    pub(crate) address: String,
    /// It can be talked to.
    pub(crate) is_up: bool,
}

/// What is known of each broker, by id.
#[derive(Debug, Default)]
pub(crate) struct BrokerStates(BTreeMap<i32, BrokerState>);

#[derive(Debug)]
struct BrokerState {
    /// Where it was last.
    address: String,
    /// What was told last.
    told_up: bool,
    /// It has been up at one look at least.
    seen_up: bool,
    /// It was at the last look.
    is_up: bool,
    /// Looks in a row at which it was down.
    down_looks: u32,
}

/// A connection that was idle for too long is closed and opened again: that takes
/// less than this many looks, and is nobody's concern.
const DOWN_LOOKS: u32 = 2;

/// A broker that was never seen up has this many looks to answer for the first time. The cluster has
/// named it: one that goes between two looks at the start must be missed all the same.
const FIRST_LOOKS: u32 = 6;

impl BrokerStates {
    pub(super) fn look(&mut self, seen: &[Seen]) -> Vec<BrokerChange> {
        for Seen { id, address, .. } in seen {
            let new = || BrokerState {
                address: String::new(),
                told_up: true,
                seen_up: false,
                is_up: false,
                down_looks: 0,
            };
            self.0.entry(*id).or_insert_with(new).address.clone_from(address);
        }
        let mut changes = Vec::new();
        for (id, state) in &mut self.0 {
            let seen = seen.iter().find(|seen| seen.id == *id);
            if seen.is_none() && !enforced("unlisted-broker") {
                continue;
            }
            // One that was stopped is named no more, and a client may forget it (seen with librdkafka 2.12.1).
            let up = seen.is_some_and(|seen| seen.is_up);
            state.is_up = up;
            state.seen_up |= up;
            state.down_looks = if up { 0 } else { state.down_looks + 1 };
            let now_up = state.down_looks < if state.seen_up { DOWN_LOOKS } else { FIRST_LOOKS };
            if (up || !now_up) && state.told_up != now_up {
                state.told_up = now_up;
                changes.push(BrokerChange { broker: format!("{}/{id}", state.address), up: now_up });
            }
        }
        changes
    }

    pub(super) fn is_up(&self, id: i32) -> bool {
        self.0.get(&id).is_some_and(|state| state.is_up)
    }

    /// How many brokers are up, and how many the cluster has named.
    #[must_use]
    pub(crate) fn count_up(&self) -> (usize, usize) {
        (self.0.values().filter(|state| state.told_up).count(), self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(states: &mut BrokerStates, ups: &[bool]) -> Vec<bool> {
        ups.iter().flat_map(|up| states.look(&[seen(1, *up)])).map(|change| change.up).collect()
    }

    fn seen(id: i32, is_up: bool) -> Seen {
        Seen { id, address: format!("b:{id}"), is_up }
    }

    #[test]
    fn a_broker_that_is_named_no_more_is_gone() {
        let mut states = BrokerStates::default();
        let mut look = |ups: &[(i32, bool)]| {
            let seen: Vec<_> = ups.iter().map(|(id, up)| seen(*id, *up)).collect();
            let changes = states.look(&seen);
            let changes = changes.into_iter().map(|change| (change.broker, change.up));
            (changes.collect::<Vec<_>>(), states.count_up())
        };
        let all = [(0, true), (1, true), (2, true)];
        assert_eq!(look(&all), (vec![], (3, 3)));
        assert_eq!(look(&all[..2]), (vec![], (3, 3)), "once may be between two clusters' pictures");
        assert_eq!(look(&all[..2]), (vec![("b:2/2".to_owned(), false)], (2, 3)));
        look(&[]);
        let gone = vec![("b:0/0".to_owned(), false), ("b:1/1".to_owned(), false)];
        assert_eq!(look(&[]), (gone, (0, 3)), "nobody is named at all");
        assert_eq!(look(&all[2..]), (vec![("b:2/2".to_owned(), true)], (1, 3)));
    }

    #[test]
    fn going_and_coming_back_are_told_once_each() {
        let mut states = BrokerStates::default();
        assert_eq!(
            looks(&mut states, &[false, false, true, true]),
            [] as [bool; 0],
            "the start is no change"
        );
        assert_eq!(looks(&mut states, &[false, false, false, false]), [false]);
        assert_eq!(looks(&mut states, &[true, true]), [true]);
        assert_eq!(states.count_up(), (1, 1));
    }

    #[test]
    fn a_broker_that_goes_before_the_first_look_is_missed() {
        let mut states = BrokerStates::default();
        assert_eq!(looks(&mut states, &[false; 5]), [] as [bool; 0], "it may be starting up");
        assert_eq!(looks(&mut states, &[false, false, true]), [false, true]);
    }

    #[test]
    fn a_short_reconnect_is_not_told() {
        let mut states = BrokerStates::default();
        assert_eq!(looks(&mut states, &[true, false, true, false, true]), [] as [bool; 0]);
    }
}
