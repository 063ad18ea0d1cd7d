//! The way to a coordinator: of a transactional id, or a group.

use super::{
    machine::LinkId,
    network::{Network, Peer, Purpose},
};

/// How long a coordinator may not be reached before somebody is asked whether it still is one, µs.
const UNREACHABLE_US: u64 = 500_000;

/// The way to a coordinator, and since when it is blocked, µs.
#[derive(Debug, Default)]
pub(super) struct Way {
    blocked_us: Option<u64>,
}

/// How far one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Over this connection.
    There(LinkId),
    /// It is being opened, or will be.
    NotYet,
    /// Not there, for so long that it may be the coordinator no more.
    Missed,
}

impl Way {
    /// Reaches for the coordinator.
    pub(super) fn to<T: Copy>(&mut self, broker: i32, network: &mut Network<T>, now_us: u64) -> Reached {
        let link = network.ready(Peer { broker, purpose: Purpose::Control }, now_us);
        let since_us = *self.blocked_us.get_or_insert(now_us);
        let reached = match link {
            Some(link) => Reached::There(link),
            None if now_us < since_us + UNREACHABLE_US => return Reached::NotYet,
            None => Reached::Missed,
        };
        self.blocked_us = None;
        reached
    }

    /// Somebody else may be the coordinator.
    pub(super) fn forget(&mut self) {
        self.blocked_us = None;
    }

    /// When it counts as missed, µs; `u64::MAX`: nobody reaches for it.
    #[must_use]
    pub(super) fn next_deadline_us(&self, now_us: u64) -> u64 {
        let missed_us = self.blocked_us.map_or(u64::MAX, |since_us| since_us + UNREACHABLE_US);
        if missed_us > now_us { missed_us } else { u64::MAX }
    }
}
