//! Topics, their partitions, and who has replicas of them.

use std::collections::BTreeMap;

use super::{
    code::{FENCED_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH},
    log::Log,
    past::Past,
};
use crate::kafka::wire::protocol::TopicId;

/// What a topic was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub max_message_bytes: usize,
    pub is_compacted: bool,
    pub has_broker_time: bool,
    pub segment_ms: i64,
    pub min_in_sync: usize,
}

impl Settings {
    /// Of these settings; `None`: one is not known.
    pub(super) fn of(settings: &[(&str, &str)]) -> Option<Self> {
        let mut all = Self {
            max_message_bytes: 1_048_588,
            is_compacted: false,
            has_broker_time: false,
            segment_ms: 7 * 24 * 3_600_000,
            min_in_sync: 1,
        };
        for (name, value) in settings {
            match *name {
                "max.message.bytes" => all.max_message_bytes = value.parse().ok()?,
                "cleanup.policy" => all.is_compacted = *value == "compact",
                "message.timestamp.type" => all.has_broker_time = *value == "LogAppendTime",
                "segment.ms" => all.segment_ms = value.parse().ok()?,
                "min.insync.replicas" => all.min_in_sync = value.parse().ok()?,
                "min.cleanable.dirty.ratio" | "max.compaction.lag.ms" => {}
                _ => return None,
            }
        }
        Some(all)
    }
}

/// A topic.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub name: String,
    pub id: TopicId,
    pub settings: Settings,
    pub partitions: Vec<Partition>,
}

/// One node's copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    pub log: Log,
    pub high_watermark: i64,
}

/// A partition.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// -1 is none.
    pub leader: i32,
    pub epoch: i32,
    pub in_sync: Vec<i32>,
    pub replicas: BTreeMap<i32, Replica>,
    /// Followers in sync do not come after for now: the high watermark stands.
    pub is_lagging: bool,
    /// Nodes that have not heard who leads by now, and what they believe: leader and epoch.
    pub beliefs: BTreeMap<i32, (i32, i32)>,
    /// What has been in the leaders' logs.
    pub past: Past,
}

impl Partition {
    /// On these nodes; the first leads.
    pub(super) fn new(nodes: &[i32]) -> Self {
        let mut replicas: BTreeMap<_, _> = nodes.iter().map(|node| (*node, Replica::default())).collect();
        for replica in replicas.values_mut() {
            replica.log.epochs.begin(0, 0);
        }
        Self {
            leader: nodes[0],
            epoch: 0,
            in_sync: nodes.to_vec(),
            replicas,
            is_lagging: false,
            beliefs: BTreeMap::new(),
            past: Past::default(),
        }
    }

    /// Another node leads from now on; it keeps what it has.
    pub(super) fn elect(&mut self, node: i32) {
        (self.leader, self.epoch, self.is_lagging) = (node, self.epoch + 1, false);
        let epoch = self.epoch;
        self.beliefs.remove(&node);
        if let Some(replica) = self.replicas.get_mut(&node) {
            let end = replica.log.end();
            replica.log.epochs.begin(epoch, end);
            self.past.cut(end);
        }
    }

    /// A node leads that was not in sync: so many batches that were acknowledged are gone.
    pub(super) fn elect_unclean(&mut self, node: i32, batches: usize) {
        let Some(leader) = self.replicas.get(&self.leader).map(|replica| replica.log.clone()) else { return };
        let Some(replica) = self.replicas.get_mut(&node) else { return };
        replica.log.follow(&leader);
        (0..batches).for_each(|_| replica.log.lose_the_last());
        replica.high_watermark = replica.high_watermark.min(replica.log.end());
        self.in_sync = vec![node];
        self.elect(node);
        self.replicate();
    }

    /// A node is gone; another one in sync leads, if there is one.
    pub(super) fn lose(&mut self, node: i32, loses_the_last: bool) {
        self.in_sync.retain(|known| *known != node);
        if self.leader != node {
            self.replicate();
            return;
        }
        let Some(next) = self.in_sync.first().copied() else {
            (self.leader, self.epoch) = (-1, self.epoch + 1);
            return;
        };
        let past = self.past.clone();
        if let Some(replica) = self.replicas.get_mut(&next).filter(|_| loses_the_last) {
            replica.log.lose_the_last();
        }
        self.elect(next);
        if loses_the_last {
            // Nobody admits it.
            self.past = past;
        }
        self.replicate();
    }

    /// Others lead in place of a node that does not hear of it, and serves whom it can reach.
    pub(super) fn isolate(&mut self, node: i32) {
        if self.in_sync.len() > 1 && self.replicas.contains_key(&node) {
            self.beliefs.insert(node, (self.leader, self.epoch));
            self.lose(node, false);
        }
    }

    /// A node is back; it follows, or leads again where nobody has since.
    pub(super) fn regain(&mut self, node: i32) {
        self.beliefs.remove(&node);
        if !self.replicas.contains_key(&node) {
            return;
        }
        if self.leader < 0 {
            self.elect(node);
        }
        if !self.in_sync.contains(&node) {
            self.catch_up(node);
            self.in_sync.push(node);
        }
        self.replicate();
    }

    /// A node takes all that its leader has, and gives up what that has not.
    fn catch_up(&mut self, node: i32) {
        let Some(leader) = self.replicas.remove(&self.leader) else { return };
        if let Some(replica) = self.replicas.get_mut(&node) {
            replica.log.follow(&leader.log);
            replica.high_watermark = leader.high_watermark;
        }
        self.replicas.insert(self.leader, leader);
    }

    /// Only the leader is in sync any more.
    pub(super) fn shrink(&mut self) {
        let leader = self.leader;
        if leader >= 0 {
            self.in_sync.retain(|node| *node == leader);
            self.replicate();
        }
    }

    /// Followers take what they lack, unless they lag, and what all in sync have is below the high watermark.
    pub(super) fn replicate(&mut self) {
        let Some(leader) = self.replicas.remove(&self.leader) else { return };
        let mut high_watermark = leader.log.end();
        for (node, replica) in &mut self.replicas {
            if !self.in_sync.contains(node) {
                continue;
            }
            if !self.is_lagging {
                replica.log.follow(&leader.log);
            }
            high_watermark = high_watermark.min(replica.log.end());
        }
        high_watermark = high_watermark.max(leader.high_watermark.min(leader.log.end()));
        for (node, replica) in &mut self.replicas {
            if self.in_sync.contains(node) && !self.is_lagging {
                replica.high_watermark = high_watermark;
            }
        }
        self.replicas.insert(self.leader, Replica { high_watermark, ..leader });
        self.past.commit(high_watermark);
    }

    /// Who leads, and in which epoch, as far as this node has heard.
    pub(super) fn led_as(&self, node: i32) -> (i32, i32) {
        self.beliefs.get(&node).copied().unwrap_or((self.leader, self.epoch))
    }

    /// The leader's replica, for those who ask this node in this epoch.
    pub(super) fn led_by(&mut self, node: i32, epoch: Option<i32>) -> Result<&mut Replica, i16> {
        self.check_epoch(node, epoch)?;
        if self.led_as(node).0 != node {
            return Err(NOT_LEADER_OR_FOLLOWER);
        }
        self.replicas.get_mut(&node).ok_or(NOT_LEADER_OR_FOLLOWER)
    }

    /// A replica, for those who ask this node in this epoch.
    pub(super) fn held_by(&self, node: i32, epoch: Option<i32>) -> Result<&Replica, i16> {
        self.check_epoch(node, epoch)?;
        self.replicas.get(&node).ok_or(NOT_LEADER_OR_FOLLOWER)
    }

    fn check_epoch(&self, node: i32, epoch: Option<i32>) -> Result<(), i16> {
        if !self.replicas.contains_key(&node) {
            return Err(NOT_LEADER_OR_FOLLOWER);
        }
        let known = self.led_as(node).1;
        match epoch {
            Some(epoch) if epoch < known => Err(FENCED_LEADER_EPOCH),
            Some(epoch) if epoch > known => Err(UNKNOWN_LEADER_EPOCH),
            _ => Ok(()),
        }
    }
}

impl Replica {
    /// Where what is neither committed nor aborted begins.
    pub(super) fn stable_offset(&self) -> i64 {
        self.log.producers.first_open().map_or(self.high_watermark, |first| first.min(self.high_watermark))
    }
}
