//! Second opinions: another broker is asked who leads what, before anything is concluded from where a log ends.
//!
//! A leader that was deposed and has not heard of it answers as if nothing had happened, and names itself in the answers
//! about the cluster, too. It cannot be told by its own words; only another broker knows of the newer epoch.

use super::{Network, Peer, Purpose, Tag};
use crate::mutants::enforced;

/// How long another broker is waited for, µs. Its word is worth having, and not worth a stall.
const PATIENCE_US: u64 = 3_000_000;

/// The opinion that is wanted, if one is.
#[derive(Debug, Default)]
pub(super) struct Opinion {
    wanted: Option<Wanted>,
    /// The broker that was asked last about the cluster in the usual way.
    pub(super) told_by: Option<i32>,
    /// Whose turn it is among the others.
    turn: usize,
    /// It has come, or never will, since somebody looked.
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    broker: i32,
    until_us: u64,
    is_asked: bool,
}

impl Opinion {
    /// Nobody is waited for any more.
    pub(super) fn over(&mut self) {
        self.is_over |= self.wanted.take().is_some();
    }

    /// A connection to this broker is over.
    pub(super) fn lost(&mut self, peer: Peer) {
        if self.wanted.is_some_and(|wanted| peer == wanted.peer()) {
            self.over();
        }
    }

    /// When it is not waited for any longer, µs.
    pub(super) fn deadline_us(&self) -> u64 {
        self.wanted.map_or(u64::MAX, |wanted| wanted.until_us)
    }
}

impl Wanted {
    fn peer(self) -> Peer {
        Peer { broker: self.broker, purpose: Purpose::Control }
    }
}

impl<T: Copy> Network<T> {
    /// Asks another broker than the one that was asked last who leads what, each time another one.
    /// [`Self::take_opinion`] says when that is done.
    pub(crate) fn want_opinion(&mut self, now_us: u64) {
        if self.opinion.wanted.is_some() {
            return;
        }
        let told_by = self.opinion.told_by.and_then(|broker| self.id_of(broker));
        let fails = |id| self.slots.iter().any(|slot| slot.peer.broker == id && slot.failures > 0);
        let ids = self.cluster.brokers().iter().map(|broker| broker.id);
        let others: Vec<i32> = ids.filter(|id| Some(*id) != told_by && !fails(*id)).collect();
        if others.is_empty() || !enforced("wire-second-opinion") {
            self.opinion.is_over = true;
            return;
        }
        let broker = others[self.opinion.turn % others.len()];
        self.opinion.turn += 1;
        self.opinion.wanted = Some(Wanted { broker, until_us: now_us + PATIENCE_US, is_asked: false });
        self.ask_opinion(now_us);
    }

    /// Whether an opinion has come, or never will: once.
    pub(crate) fn take_opinion(&mut self) -> bool {
        std::mem::take(&mut self.opinion.is_over)
    }

    /// Goes on with the opinion that is wanted.
    pub(super) fn ask_opinion(&mut self, now_us: u64) {
        let Some(wanted) = self.opinion.wanted else { return };
        if wanted.until_us <= now_us {
            self.opinion.over();
        } else if !wanted.is_asked
            && let Some(link) = self.ready(wanted.peer(), now_us)
            && self.ask_about_cluster(link, Tag::Opinion, now_us)
            && let Some(wanted) = &mut self.opinion.wanted
        {
            wanted.is_asked = true;
        }
    }

    /// A broker's id, also where it was known by its address only.
    fn id_of(&self, broker: i32) -> Option<i32> {
        if broker >= 0 {
            return Some(broker);
        }
        let (host, port) = self.address_of(broker)?;
        let named = self.cluster.brokers().iter().find(|known| known.host == host && known.port == port);
        named.map(|known| known.id)
    }
}

#[cfg(test)]
#[path = "opinion_tests.rs"]
mod tests;
