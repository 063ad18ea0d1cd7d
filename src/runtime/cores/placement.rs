//! Which cores get a shard: parse the request, look at the machine, make a plan that can be printed.
//!
//! [`plan`] is pure. What the machine looks like comes in as a [`Topology`], so every rule here has a test.

use std::{fmt, num::NonZeroUsize, str::FromStr};

pub use super::placement_error::{ClientThreadsParseError, CoresParseError, PlacementError};
use super::{
    cpu_set::CpuSet,
    topology::{NumaNode, Topology},
};

/// The value of `--cores`.
///
/// A bare number is a *count*: `4` means four cores, wherever. One particular core is a range of one: `4-4`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CoresRequest {
    /// As many as are useful.
    #[default]
    Auto,
    /// Every allowed core.
    All,
    /// So many cores, spread over the NUMA nodes.
    Count(NonZeroUsize),
    /// Exactly these cores.
    List(CpuSet),
    /// Every allowed core of one NUMA node.
    Node(usize),
}

impl FromStr for CoresRequest {
    type Err = CoresParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let owned = || text.to_owned();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A CPU list may hold spaces, and ` 3` must not become CPU 3 where `3` is a count.
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            count if is_number(count) => {
                let count: usize = count.parse().map_err(|_| CoresParseError::TooMany { text: owned() })?;
                NonZeroUsize::new(count).map(Self::Count).ok_or(CoresParseError::Zero)
            }
            other => match other.strip_prefix("node:") {
                Some(id) if is_number(id) => {
                    id.parse().map(Self::Node).map_err(|_| CoresParseError::BadNode { text: owned() })
                }
                Some(_) => Err(CoresParseError::BadNode { text: owned() }),
                None => other
                    .parse()
                    .map(Self::List)
                    .map_err(|source| CoresParseError::BadList { text: owned(), source }),
            },
        }
    }
}

impl fmt::Display for CoresRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::Count(count) => count.fmt(f),
            // Without the dash it would read as a count.
            Self::List(cpus) if cpus.len() == 1 => write!(f, "{cpus}-{cpus}"),
            Self::List(cpus) => cpus.fmt(f),
            Self::Node(id) => write!(f, "node:{id}"),
        }
    }
}

/// Where the client library's own threads may run: the value of `--client-threads`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientThreads {
    /// On the core of the shard they work for: nothing crosses a core, and they compete with the shard.
    #[default]
    Shard,
    /// On the allowed cores of the shard's NUMA node.
    Node,
    /// On every allowed core.
    Any,
}

impl FromStr for ClientThreads {
    type Err = ClientThreadsParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "shard" => Ok(Self::Shard),
            "node" => Ok(Self::Node),
            "any" => Ok(Self::Any),
            _ => Err(ClientThreadsParseError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for ClientThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shard => "shard",
            Self::Node => "node",
            Self::Any => "any",
        })
    }
}

/// What makes more shards useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLimits {
    /// A shard without a partition has nothing to do.
    pub partitions: usize,
    /// The records in flight that the shards share; `None` when nothing is produced.
    pub max_buffered_records: Option<usize>,
}

impl ShardLimits {
    /// A smaller share of the records in flight does not fill batches any more.
    pub const MIN_RECORDS_PER_SHARD: usize = 256;

    fn useful_shards(&self) -> usize {
        let by_records =
            self.max_buffered_records.map_or(usize::MAX, |all| all / Self::MIN_RECORDS_PER_SHARD);
        self.partitions.min(by_records).max(1)
    }
}

/// One shard and its core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPlace {
    /// The number of the shard: it owns the partitions `p` with `p % shards == index`.
    pub index: usize,
    /// The logical CPU it is pinned to.
    pub core: usize,
    /// The NUMA node of that CPU.
    pub node: usize,
    /// Where the client library's threads for this shard may run.
    pub client_cpus: CpuSet,
}

/// The whole plan. Its `Display` is what `--print-placement` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The shards in the order of their index; never empty.
    pub shards: Vec<ShardPlace>,
    /// Where all other threads may run: main, control, an embedded broker. All allowed cores, for they sleep mostly.
    pub control: CpuSet,
    /// What was asked for the client library's threads.
    pub client_threads: ClientThreads,
    /// The partitions to share out.
    pub partitions: usize,
    /// The cgroup's quota, if there is one.
    pub quota_cpus: Option<usize>,
}

impl Placement {
    /// How many shards will own no partition.
    #[must_use]
    pub fn idle_shards(&self) -> usize {
        self.shards.len().saturating_sub(self.partitions)
    }
}

/// Makes the plan.
///
/// `auto` takes the smallest of: allowed cores, the cgroup's quota, partitions, and
/// `max_buffered_records / 256`; at least one. Everything else is a wish, and is granted as it is or refused.
///
/// `auto`, `all` and a count deal cores out one NUMA node after the other, lowest core first. Memory bandwidth is what
/// a full-rate load runs out of first, so half of the cores should have both memory controllers. And as consecutive
/// shards are on different nodes, few partitions (`p % shards`) are spread over the nodes as well. Within a node the
/// low numbers come first because the usual numbering puts second hyperthreads last. A list or a node is taken in
/// ascending order, without dealing.
///
/// # Errors
///
/// If the request asks for cores that are not there or not allowed.
pub fn plan(
    topology: &Topology,
    request: &CoresRequest,
    client_threads: ClientThreads,
    limits: &ShardLimits,
) -> Result<Placement, PlacementError> {
    let allowed = &topology.allowed;
    if allowed.is_empty() {
        return Err(PlacementError::NoCores);
    }
    let nodes = topology.allowed_by_node();
    let cores = choose_cores(topology, &nodes, request, limits)?;
    let shards = cores.into_iter().enumerate().map(|(index, core)| {
        let node = nodes.iter().find(|node| node.cpus.contains(core));
        let client_cpus = match client_threads {
            ClientThreads::Shard => CpuSet::from_iter([core]),
            ClientThreads::Node => node.map_or_else(|| allowed.clone(), |node| node.cpus.clone()),
            ClientThreads::Any => allowed.clone(),
        };
        ShardPlace { index, core, node: node.map_or(0, |node| node.id), client_cpus }
    });
    Ok(Placement {
        shards: shards.collect(),
        control: allowed.clone(),
        client_threads,
        partitions: limits.partitions,
        quota_cpus: topology.quota_cpus,
    })
}

fn choose_cores(
    topology: &Topology,
    nodes: &[NumaNode],
    request: &CoresRequest,
    limits: &ShardLimits,
) -> Result<Vec<usize>, PlacementError> {
    let allowed = &topology.allowed;
    match request {
        CoresRequest::Auto => {
            let by_quota = topology.quota_cpus.unwrap_or(usize::MAX).max(1);
            Ok(deal(nodes, allowed.len().min(by_quota).min(limits.useful_shards())))
        }
        CoresRequest::All => Ok(deal(nodes, allowed.len())),
        CoresRequest::Count(count) if count.get() > allowed.len() => {
            Err(PlacementError::TooManyShards { requested: count.get(), available: allowed.clone() })
        }
        CoresRequest::Count(count) => Ok(deal(nodes, count.get())),
        CoresRequest::List(list) if list.is_empty() => Err(PlacementError::NothingRequested),
        CoresRequest::List(list) if !list.difference(allowed).is_empty() => {
            Err(PlacementError::CoresNotAllowed { requested: list.clone(), available: allowed.clone() })
        }
        CoresRequest::List(list) => Ok(list.iter().collect()),
        CoresRequest::Node(id) => cores_of_node(topology, nodes, *id),
    }
}

fn cores_of_node(topology: &Topology, nodes: &[NumaNode], id: usize) -> Result<Vec<usize>, PlacementError> {
    if let Some(node) = nodes.iter().find(|node| node.id == id) {
        return Ok(node.cpus.iter().collect());
    }
    let ids = |nodes: &[NumaNode]| nodes.iter().map(|node| node.id).collect::<CpuSet>();
    if topology.nodes.iter().any(|node| node.id == id) {
        Err(PlacementError::NodeNotAllowed { requested: id, available: ids(nodes) })
    } else {
        Err(PlacementError::NoSuchNode { requested: id, available: ids(&topology.nodes) })
    }
}

/// `count` cores, one node after the other, lowest core first; a node that runs out is passed over.
fn deal(nodes: &[NumaNode], count: usize) -> Vec<usize> {
    let mut ranked: Vec<(usize, usize, usize)> = nodes
        .iter()
        .enumerate()
        .flat_map(|(turn, node)| node.cpus.iter().enumerate().map(move |(round, core)| (round, turn, core)))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(count).map(|(_, _, core)| core).collect()
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let shards = self.shards.len();
        writeln!(f, "{shards} shard{}, client threads: {}", plural(shards), self.client_threads)?;
        writeln!(f, "{:>5}  {:>4}  {:>4}  client cpus", "shard", "core", "node")?;
        for ShardPlace { index, core, node, client_cpus } in &self.shards {
            writeln!(f, "{index:>5}  {core:>4}  {node:>4}  {client_cpus}")?;
        }
        write!(f, "all other threads: cpus {}", self.control)?;
        let idle = self.idle_shards();
        if idle > 0 {
            write!(f, "\nnote: {idle} of {shards} shards will idle (partitions: {})", self.partitions)?;
        }
        match self.quota_cpus {
            Some(quota) if quota < shards => write!(
                f,
                "\nnote: the cgroup grants the time of {quota} CPU{}: {shards} shards will be throttled",
                plural(quota)
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
