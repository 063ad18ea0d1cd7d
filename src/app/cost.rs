//! What a run has taken of the machine.

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

/// What the process has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// CPU time in user space.
    pub(crate) user_ms: u64,
    /// CPU time in the kernel.
    pub(crate) system_ms: u64,
    /// Memory at its highest.
    pub(crate) memory_bytes: u64,
}

impl Cost {
    /// That of this process; zeros where the system does not tell.
    pub(crate) fn so_far() -> Self {
        let ms = |time: TimeVal| u64::try_from(time.tv_sec() * 1_000 + time.tv_usec() / 1_000).unwrap_or(0);
        getrusage(UsageWho::RUSAGE_SELF).map_or_else(
            |_| Self::default(),
            |usage| Self {
                user_ms: ms(usage.user_time()),
                system_ms: ms(usage.system_time()),
                memory_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * 1_024,
            },
        )
    }
}
