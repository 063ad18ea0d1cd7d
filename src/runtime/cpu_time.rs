//! How long the threads of this process were on their cores, and how long they were ready for them: who was busy, and who was
//! kept from being.

use std::{collections::BTreeMap, fs, time::Instant};

use super::{
    cores::cpu_set::CpuSet,
    threads::{self, ThreadInfo},
};

/// What the kernel calls a second in its older counters, everywhere but on machines that nobody has.
const TICK_NS: u64 = 10_000_000;

/// The time of the threads of a core, parts of a span of time (0 to 1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CoreShare {
    /// One of them was on the core.
    pub busy: f64,
    /// One of them was ready, and none was on the core.
    pub starved: f64,
}

/// A thread's time until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spent {
    on_cpu_ns: u64,
    ready_ns: u64,
}

/// Looks at the threads that are kept to one of some cores.
#[derive(Debug)]
pub(crate) struct CpuTimes {
    cores: Vec<usize>,
    looked: Instant,
    /// By thread id.
    known: BTreeMap<u32, Spent>,
}

impl CpuTimes {
    /// From now on, for threads of these cores.
    #[must_use]
    pub(crate) fn start(cores: Vec<usize>) -> Self {
        let known = threads::list().iter().map(|thread| (thread.tid, spent(thread))).collect();
        Self { cores, looked: Instant::now(), known }
    }

    /// The shares of the time since this was asked last, by core.
    pub(crate) fn look(&mut self) -> Vec<CoreShare> {
        let now: Vec<_> = threads::list().into_iter().map(|thread| (spent(&thread), thread)).collect();
        let took_ns = u64::try_from(self.looked.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.looked = Instant::now();
        let since = |(spent, thread): &(Spent, ThreadInfo)| {
            let before = self.known.get(&thread.tid).copied().unwrap_or_default();
            Spent {
                on_cpu_ns: spent.on_cpu_ns.saturating_sub(before.on_cpu_ns),
                ready_ns: spent.ready_ns.saturating_sub(before.ready_ns),
            }
        };
        let of_core = |core: &usize| {
            let only = CpuSet::from_iter([*core]);
            let own = now.iter().filter(|(_, thread)| thread.cpus_allowed == only).map(since);
            share(&own.collect::<Vec<_>>(), took_ns)
        };
        let shares = self.cores.iter().map(of_core).collect();
        self.known = now.into_iter().map(|(spent, thread)| (thread.tid, spent)).collect();
        shares
    }
}

/// The threads of one core, in a span of time.
fn share(threads: &[Spent], took_ns: u64) -> CoreShare {
    let part = |ns: u64| (ns as f64 / took_ns.max(1) as f64).clamp(0.0, 1.0);
    let busy = part(threads.iter().map(|spent| spent.on_cpu_ns).sum());
    // While one waits for another of them, that one is busy.
    let wanted = threads.iter().map(|spent| spent.on_cpu_ns + spent.ready_ns).max().unwrap_or(0);
    CoreShare { busy, starved: (part(wanted) - busy).max(0.0) }
}

fn spent(thread: &ThreadInfo) -> Spent {
    let exact = fs::read_to_string(format!("/proc/self/task/{}/schedstat", thread.tid)).ok();
    exact
        .as_deref()
        .and_then(parse)
        .unwrap_or(Spent { on_cpu_ns: (thread.user_ticks + thread.system_ticks) * TICK_NS, ready_ns: 0 })
}

/// `schedstat` of a thread: ns on a core, ns ready for one, times that it got one.
fn parse(text: &str) -> Option<Spent> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let (on_cpu_ns, ready_ns) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Spent { on_cpu_ns, ready_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_is_read() {
        assert_eq!(parse("1500 20 7\n"), Some(Spent { on_cpu_ns: 1_500, ready_ns: 20 }));
        assert_eq!((parse(""), parse("1"), parse("x 1 1")), (None, None, None));
    }

    #[test]
    fn who_waits_for_its_own_kind_is_not_starved() {
        let spent = |on_cpu_ns, ready_ns| Spent { on_cpu_ns, ready_ns };
        assert_eq!(share(&[spent(50, 0), spent(40, 50)], 100), CoreShare { busy: 0.9, starved: 0.0 });
        let alone = share(&[spent(30, 60)], 100);
        assert!((alone.busy - 0.3).abs() < 1e-9 && (alone.starved - 0.6).abs() < 1e-9, "{alone:?}");
        assert_eq!(share(&[spent(150, 9)], 100), CoreShare { busy: 1.0, starved: 0.0 });
        assert_eq!(share(&[], 100), CoreShare::default());
    }

    #[test]
    fn the_threads_of_a_core_are_found() {
        let core = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))
            .map(|set| (0..nix::sched::CpuSet::count()).find(|core| set.is_set(*core).unwrap_or(false)))
            .unwrap()
            .unwrap();
        let spinning = std::thread::spawn(move || {
            super::super::cores::affinity::restrict_current_thread(&CpuSet::from_iter([core])).unwrap();
            let mut times = CpuTimes::start(vec![core]);
            let began = Instant::now();
            while began.elapsed().as_millis() < 50 {}
            times.look()
        });
        let shares = spinning.join().unwrap();
        assert!(shares[0].busy > 0.0, "{shares:?}");
    }
}
