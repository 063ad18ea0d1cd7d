//! Topics, their partitions, and who has replicas of them.

use std::collections::BTreeMap;

use super::{
    code::{FENCED_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH},
    log::Log,
};
use crate::kafka::wire::protocol::TopicId;

/// What a topic was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max_message_bytes: usize,
    pub is_compacted: bool,
    pub has_broker_time: bool,
    pub segment_ms: i64,
    pub min_in_sync: usize,
}

impl Settings {
    /// Of these settings; `None`: one is not known.
    pub fn of(settings: &[(&str, &str)]) -> Option<Self> {
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
pub struct Topic {
    pub name: String,
    pub id: TopicId,
    pub settings: Settings,
    pub partitions: Vec<Partition>,
}

/// One node's copy.
#[derive(Clone, Debug, Default)]
pub struct Replica {
    pub log: Log,
    pub high_watermark: i64,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// -1 is none.
    pub leader: i32,
    pub epoch: i32,
    pub in_sync: Vec<i32>,
    pub replicas: BTreeMap<i32, Replica>,
}

impl Partition {
    /// On these nodes; the first leads.
    pub fn new(nodes: &[i32]) -> Self {
        let mut replicas: BTreeMap<_, _> = nodes.iter().map(|node| (*node, Replica::default())).collect();
        for replica in replicas.values_mut() {
            replica.log.epochs.begin(0, 0);
        }
        Self { leader: nodes[0], epoch: 0, in_sync: nodes.to_vec(), replicas }
    }

    /// Another node leads from now on; it keeps what it has.
    pub fn elect(&mut self, node: i32) {
        (self.leader, self.epoch) = (node, self.epoch + 1);
        let epoch = self.epoch;
        if let Some(replica) = self.replicas.get_mut(&node) {
            let end = replica.log.end();
            replica.log.epochs.begin(epoch, end);
        }
    }

    /// A node is gone; another one in sync leads, if there is one.
    pub fn lose(&mut self, node: i32, loses_the_last: bool) {
        self.in_sync.retain(|known| *known != node);
        if self.leader != node {
            return;
        }
        let Some(next) = self.in_sync.first().copied() else {
            (self.leader, self.epoch) = (-1, self.epoch + 1);
            return;
        };
        if let Some(replica) = self.replicas.get_mut(&next).filter(|_| loses_the_last) {
            replica.log.lose_the_last();
        }
        self.elect(next);
        self.replicate();
    }

    /// A node is back; it follows, or leads again where nobody has since.
    pub fn regain(&mut self, node: i32) {
        if !self.replicas.contains_key(&node) {
            return;
        }
        if self.leader < 0 {
            self.elect(node);
        }
        self.in_sync.push(node);
        self.replicate();
    }

    /// Followers take what they lack, and what all in sync have is below the high watermark.
    pub fn replicate(&mut self) {
        let Some(leader) = self.replicas.get(&self.leader).map(|replica| replica.log.clone()) else { return };
        let (end, is_leader) = (leader.end(), self.leader);
        for (node, replica) in &mut self.replicas {
            if !self.in_sync.contains(node) {
                continue;
            }
            if *node != is_leader {
                replica.log.follow(&leader);
            }
            replica.high_watermark = end;
        }
    }

    /// The leader's replica, for those who ask this node in this epoch.
    pub fn led_by(&mut self, node: i32, epoch: Option<i32>) -> Result<&mut Replica, i16> {
        self.check_epoch(node, epoch)?;
        if self.leader != node {
            return Err(NOT_LEADER_OR_FOLLOWER);
        }
        self.replicas.get_mut(&node).ok_or(NOT_LEADER_OR_FOLLOWER)
    }

    /// A replica, for those who ask this node in this epoch.
    pub fn held_by(&self, node: i32, epoch: Option<i32>) -> Result<&Replica, i16> {
        self.check_epoch(node, epoch)?;
        self.replicas.get(&node).ok_or(NOT_LEADER_OR_FOLLOWER)
    }

    fn check_epoch(&self, node: i32, epoch: Option<i32>) -> Result<(), i16> {
        if !self.replicas.contains_key(&node) {
            return Err(NOT_LEADER_OR_FOLLOWER);
        }
        match epoch {
            Some(epoch) if epoch < self.epoch => Err(FENCED_LEADER_EPOCH),
            Some(epoch) if epoch > self.epoch => Err(UNKNOWN_LEADER_EPOCH),
            _ => Ok(()),
        }
    }
}

impl Replica {
    /// Where what is neither committed nor aborted begins.
    pub fn stable_offset(&self) -> i64 {
        self.log.producers.first_open().map_or(self.high_watermark, |first| first.min(self.high_watermark))
    }
}
