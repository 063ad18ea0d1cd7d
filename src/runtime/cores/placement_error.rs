//! Why a wish about cores cannot be read or granted. Each message says what was asked, what there is, and what to do.

use thiserror::Error;

use super::cpu_set::{CpuSet, CpuSetParseError};

/// Why a text is not a value of `--cores`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CoresParseError {
    /// Zero shards can do nothing.
    #[error("`--cores 0` leaves no core to work on; for CPU 0 alone write `0-0`")]
    Zero,
    /// The number after `node:` is no number.
    #[error("`--cores {text}`: write the number of a NUMA node after `node:`, like `node:0`")]
    BadNode {
        /// What was given.
        text: String,
    },
    /// A count that no machine can satisfy.
    #[error("`--cores {text}`: no machine has so many cores")]
    TooMany {
        /// What was given.
        text: String,
    },
    /// Neither a keyword nor a list.
    #[error("`--cores {text}`: {source} (or `auto`, `all`, a number of cores, `node:0`)")]
    BadList {
        /// What was given.
        text: String,
        /// What is wrong with it as a list.
        source: CpuSetParseError,
    },
}

/// Why a text is not a value of `--client-threads`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`--client-threads {text}`: write `shard`, `node` or `any`")]
pub struct ClientThreadsParseError {
    /// What was given.
    pub text: String,
}

/// Why there is no plan.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlacementError {
    /// The topology is empty.
    #[error(
        "this process may not run on any core; check its affinity mask (`taskset -p`) and its cpuset cgroup"
    )]
    NoCores,
    /// An empty list of cores was asked for.
    #[error("`--cores` names no core; write a list like `0-3,8`, or `auto`")]
    NothingRequested,
    /// More shards than cores.
    #[error(
        "`--cores {requested}`: only {} cores are allowed here ({available}); ask for fewer, or widen the \
         affinity mask or cpuset", available.len()
    )]
    TooManyShards {
        /// The number of shards asked for.
        requested: usize,
        /// The cores that there are.
        available: CpuSet,
    },
    /// A list names cores outside of the mask.
    #[error(
        "`--cores {requested}`: cores {} are not allowed here; allowed: {available}",
        requested.difference(available)
    )]
    CoresNotAllowed {
        /// The whole list asked for.
        requested: CpuSet,
        /// The cores that there are.
        available: CpuSet,
    },
    /// The machine has no such node.
    #[error("`--cores node:{requested}`: this machine has no such NUMA node; it has: {available}")]
    NoSuchNode {
        /// The node asked for.
        requested: usize,
        /// The nodes that there are, in the notation of a CPU list.
        available: CpuSet,
    },
    /// The node exists, and this process may use none of its cores.
    #[error(
        "`--cores node:{requested}`: none of this node's cores is allowed here; nodes with allowed cores: {available}"
    )]
    NodeNotAllowed {
        /// The node asked for.
        requested: usize,
        /// The nodes of which a core may be used, in the notation of a CPU list.
        available: CpuSet,
    },
}
