//! What a run has taken of the machine.

use std::{fs, num::NonZeroUsize, thread, time::Duration};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeVal,
    },
    unistd::{SysconfVar, sysconf},
};

use crate::human;

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
    /// How much that is of what the cores that this process may use could have given in this time: near to all of it, this
    /// machine is the limit.
    pub(crate) fn of_cores(&self, took: Duration) -> String {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        of_cores(self.user_ms + self.system_ms, took, cores)
    }

    /// Memory of this process now; 0 where the system does not tell.
    pub(crate) fn memory_now_bytes() -> u64 {
        // The second number is that of resident pages.
        let pages = fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
        let page_bytes =
            sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok());
        pages.zip(page_bytes).map_or(0, |(pages, bytes)| pages * bytes)
    }

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

fn of_cores(used_ms: u64, took: Duration, cores: usize) -> String {
    let could_ms = took.as_secs_f64() * 1e3 * cores as f64;
    let percent = 100.0 * used_ms as f64 / could_ms.max(1.0);
    format!("{percent:.0}% of {}", human::count(cores, "core"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_held_against_what_there_was() {
        assert_eq!(of_cores(1_500, Duration::from_secs(1), 2), "75% of 2 cores");
        assert_eq!(of_cores(990, Duration::from_secs(1), 1), "99% of 1 core");
        assert_eq!(of_cores(0, Duration::ZERO, 1), "0% of 1 core");
    }
}
