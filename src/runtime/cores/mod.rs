//! Which cores there are, and which of them a run takes.

pub(crate) mod affinity;
mod cgroup;
pub(crate) mod cpu_set;
pub mod placement;
mod placement_error;
pub(crate) mod topology;
