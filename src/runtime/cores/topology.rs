//! What this process may use of the machine: cores, their NUMA nodes, its share of CPU time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    cgroup,
    cpu_set::{CpuSet, CpuSetParseError},
};

/// The cores near one memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumaNode {
    /// The kernel's number of the node.
    pub id: usize,
    /// All its cores, allowed or not; empty for a node of memory only.
    pub cpus: CpuSet,
}

/// What a plan has to go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The cores of this process's affinity mask, which a cpuset cgroup narrows too.
    pub allowed: CpuSet,
    /// The machine's NUMA nodes, in the order of their ids; never empty after [`Topology::detect`].
    pub nodes: Vec<NumaNode>,
    /// The CPU time that cgroups grant, in whole CPUs, rounded up.
    pub quota_cpus: Option<usize>,
}

/// Why the machine could not be understood.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// The kernel did not tell the affinity mask.
    #[error(
        "cannot read the CPU affinity mask of this process; `sched_getaffinity` must be permitted, \
         and the machine must have at most 1024 CPUs"
    )]
    NoAffinityMask,
    /// A node's list of cores makes no sense.
    #[error("{path}: {source}; `--cores` cannot be resolved on a machine whose NUMA nodes are unknown", path = path.display())]
    BadNode {
        /// The kernel's file.
        path: PathBuf,
        /// What is wrong in it.
        source: CpuSetParseError,
    },
}

impl Topology {
    /// Looks at this machine, as the calling thread sees it: call it before the thread restricts itself.
    ///
    /// # Errors
    ///
    /// If the affinity mask or the list of NUMA nodes cannot be understood.
    pub fn detect() -> Result<Self, TopologyError> {
        let cores = core_affinity::get_core_ids().ok_or(TopologyError::NoAffinityMask)?;
        let allowed: CpuSet = cores.into_iter().map(|core| core.id).collect();
        if allowed.is_empty() {
            return Err(TopologyError::NoAffinityMask);
        }
        Self::read(Path::new("/"), allowed)
    }

    /// Reads nodes and quota below `root`, which is `/` but for tests.
    ///
    /// # Errors
    ///
    /// [`TopologyError::BadNode`] if a node's list of cores cannot be understood.
    pub fn read(root: &Path, allowed: CpuSet) -> Result<Self, TopologyError> {
        let mut nodes = read_nodes(&root.join("sys/devices/system/node"))?;
        if nodes.is_empty() {
            nodes.push(NumaNode { id: 0, cpus: allowed.clone() });
        }
        Ok(Self { allowed, nodes, quota_cpus: cgroup::quota_cpus(root) })
    }

    /// The nodes with only their allowed cores, without nodes that have none. Every allowed core is in exactly one:
    /// a core that no node claims goes to node 0.
    #[must_use]
    pub fn allowed_by_node(&self) -> Vec<NumaNode> {
        let mut free = self.allowed.clone();
        let mut nodes: Vec<NumaNode> = Vec::new();
        for node in &self.nodes {
            let cpus = node.cpus.intersection(&free);
            free = free.difference(&cpus);
            nodes.push(NumaNode { id: node.id, cpus });
        }
        match nodes.iter_mut().find(|node| node.id == 0) {
            Some(node) => node.cpus = node.cpus.union(&free),
            None => nodes.insert(0, NumaNode { id: 0, cpus: free }),
        }
        nodes.retain(|node| !node.cpus.is_empty());
        nodes
    }
}

/// A kernel without NUMA has no such folder, and containers may hide it: both mean that there is nothing to tell
/// apart, so neither is an error.
fn read_nodes(folder: &Path) -> Result<Vec<NumaNode>, TopologyError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut nodes = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_prefix("node")?.parse().ok()) else {
            continue;
        };
        let path = entry.path().join("cpulist");
        let Ok(list) = fs::read_to_string(&path) else { continue };
        let cpus = match list.trim() {
            "" => CpuSet::default(),
            list => list.parse().map_err(|source| TopologyError::BadNode { path, source })?,
        };
        nodes.push(NumaNode { id, cpus });
    }
    nodes.sort_by_key(|node| node.id);
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &str) -> CpuSet {
        list.parse().unwrap()
    }

    fn node(id: usize, list: &str) -> NumaNode {
        NumaNode { id, cpus: set(list) }
    }

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn reads_nodes_in_the_order_of_their_ids() {
        let root = tree(&[
            ("sys/devices/system/node/node10/cpulist", "4-7\n"),
            ("sys/devices/system/node/node2/cpulist", "0-3\n"),
            ("sys/devices/system/node/node3/cpulist", "\n"),
            ("sys/devices/system/node/possible", "0-3\n"),
            ("sys/devices/system/node/nodes/cpulist", "not a node"),
        ]);
        let topology = Topology::read(root.path(), set("1-5")).unwrap();
        let memory_only = NumaNode { id: 3, cpus: CpuSet::default() };
        assert_eq!(topology.nodes, [node(2, "0-3"), memory_only, node(10, "4-7")]);
        assert_eq!(topology.allowed_by_node(), [node(2, "1-3"), node(10, "4-5")]);
        assert_eq!(topology.quota_cpus, None);
    }

    #[test]
    fn a_machine_without_nodes_has_one() {
        let topology = Topology::read(tree(&[]).path(), set("1,3")).unwrap();
        assert_eq!(topology.nodes, [node(0, "1,3")]);
    }

    #[test]
    fn a_bad_node_file_is_named() {
        let root = tree(&[("sys/devices/system/node/node0/cpulist", "0-x\n")]);
        let error = Topology::read(root.path(), set("0")).unwrap_err().to_string();
        assert!(error.contains("node0/cpulist: `0-x` is not a CPU"), "{error}");
    }

    #[test]
    fn every_allowed_core_is_in_one_node() {
        let nodes = vec![node(1, "0-3"), node(2, "2-5")];
        let topology = Topology { allowed: set("1-7"), nodes, quota_cpus: None };
        assert_eq!(topology.allowed_by_node(), [node(0, "6-7"), node(1, "1-3"), node(2, "4-5")]);
    }

    #[test]
    fn this_machine_can_be_read() {
        let topology = Topology::detect().unwrap();
        assert!(!topology.allowed.is_empty());
        let in_nodes = topology.allowed_by_node().iter().map(|node| node.cpus.len()).sum::<usize>();
        assert_eq!(in_nodes, topology.allowed.len());
    }
}
