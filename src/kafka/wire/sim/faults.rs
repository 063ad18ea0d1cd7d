//! What goes wrong with a cluster, and when it is over.

use super::{plan::Plan, run::TOPIC, server::Server};
use crate::random::Random;

/// How long faults go on, µs.
pub(super) const FAULTS_US: u64 = 8_000_000;

/// What a node suffers from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// It is gone, and so are its connections.
    Dead,
    /// It neither reads nor answers; its connections stay.
    Frozen,
    /// It does not hear of the others, who go on without it.
    Alone,
}

/// What replicas suffer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lag {
    /// Followers stay behind.
    Behind,
    /// They are not in sync any more.
    Out,
}

/// All that goes wrong.
#[derive(Debug)]
pub(super) struct Faults {
    next_us: u64,
    node: Option<(i32, Harm)>,
    replicas: Option<Lag>,
    is_over: bool,
}

impl Faults {
    pub(super) fn new(plan: &Plan) -> Self {
        let next_us = if plan.fault_most_us > 0 { plan.fault_most_us } else { u64::MAX };
        Self { next_us, node: None, replicas: None, is_over: false }
    }

    /// Whether all of it is over.
    pub(super) fn are_over(&self) -> bool {
        self.is_over
    }

    /// When something is to be done, µs.
    pub(super) fn next_us(&self) -> u64 {
        if self.is_over { u64::MAX } else { self.next_us.min(FAULTS_US) }
    }

    /// Does what is due. Returns whether that was the end of it.
    pub(super) fn act(&mut self, plan: &Plan, server: &mut Server, random: &mut Random) -> bool {
        let now_us = server.now_us();
        if self.is_over {
            return false;
        }
        if now_us >= FAULTS_US {
            self.heal(server);
            self.mend(server);
            server.expand();
            server.throttle.lift();
            server.quirks = super::quirks::Quirks::default();
            server.tell(|| "nothing goes wrong from here on".to_owned());
            self.is_over = true;
            return true;
        }
        if plan.fault_most_us > 0 && now_us >= self.next_us {
            self.next_us = now_us + 1 + random.below(plan.fault_most_us);
            self.harm(plan, server, random);
        }
        false
    }

    fn harm(&mut self, plan: &Plan, server: &mut Server, random: &mut Random) {
        let any = |random: &mut Random, of: i32| i32::try_from(random.index(64)).unwrap_or(0) % of;
        let (node, partition) = (any(random, plan.nodes), any(random, plan.partitions));
        match random.index(if plan.is_unclean { 12 } else { 9 }) {
            0..=4 if self.node.is_some() => self.heal(server),
            kind @ 0..=4 => {
                let harm = [Harm::Dead, Harm::Frozen, Harm::Frozen, Harm::Alone, Harm::Alone][kind];
                server.tell(|| format!("node {node} is {harm:?} from here on"));
                match harm {
                    Harm::Dead => server.stop_node(node),
                    Harm::Frozen => server.freeze_node(node),
                    Harm::Alone => server.isolate_node(node),
                }
                if kind == 2 {
                    // It is missed, and others lead in its place.
                    server.depose_node(node);
                }
                self.node = Some((node, harm));
            }
            5 => {
                server.tell(|| format!("another node is to lead partition {partition}"));
                server.elect_another(TOPIC, partition);
            }
            6 | 7 if self.replicas.is_some() => self.mend(server),
            6 => {
                server.tell(|| "followers stay behind".to_owned());
                self.replicas = Some(Lag::Behind);
                server.set_lagging(true);
            }
            7 => {
                server.tell(|| "followers are out of sync".to_owned());
                self.replicas = Some(Lag::Out);
                server.shrink();
            }
            _ if plan.is_unclean => {
                let batches = 1 + random.index(5);
                server.tell(|| format!("partition {partition} loses {batches} batches"));
                server.elect_unclean(TOPIC, partition, batches);
            }
            _ => server.elect_another(TOPIC, partition),
        }
    }

    fn heal(&mut self, server: &mut Server) {
        let Some((node, harm)) = self.node.take() else { return };
        server.tell(|| format!("node {node} is well again"));
        match harm {
            Harm::Dead => server.start_node(node),
            Harm::Frozen => server.thaw_node(node),
            Harm::Alone => server.rejoin_node(node),
        }
    }

    fn mend(&mut self, server: &mut Server) {
        match self.replicas.take() {
            Some(Lag::Behind) => server.set_lagging(false),
            Some(Lag::Out) => server.expand(),
            None => {}
        }
    }
}
