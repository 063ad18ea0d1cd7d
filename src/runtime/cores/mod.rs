//! Which cores there are, and which of them a run takes.

pub mod affinity;
mod cgroup;
pub mod cpu_set;
pub mod placement;
mod placement_error;
pub mod topology;
