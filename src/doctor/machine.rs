//! What a run needs of this machine.

use std::{fs, time::Duration};

use super::finding::Finding;
use crate::{
    config::CommonConfig,
    human::count,
    runtime::{
        cores::{
            placement::{self, Placement, PlacementError, ShardLimits},
            topology::Topology,
        },
        descriptors::{self, Wanted},
        preflight::{self, PreflightError},
    },
};

/// The first Linux whose `io_uring` has all that executors need.
const FIRST_KERNEL: (u32, u32) = (5, 8);
/// How many brokers a cluster of unknown size is taken to have.
const SOME_BROKERS: usize = 3;
/// Clocks that are read without a call of the kernel, or nearly so.
const FAST_CLOCKS: [&str; 6] =
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "xen", "arch_sys_counter", "hyperv_clocksource_msr"];
/// Sooner than this was written, it cannot be.
const EARLIEST: Duration = Duration::from_hours(490_896);

/// What was found out, and whether executors can run here.
pub(super) fn look(common: &CommonConfig) -> (Vec<Finding>, bool) {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let mut findings = vec![kernel(&release.unwrap_or_default())];
    let limits = ShardLimits { partitions: usize::MAX, max_buffered_records: None };
    let shards = match Topology::detect() {
        Ok(topology) => {
            let plan = placement::plan(&topology, &common.cores, common.client_threads, &limits);
            findings.push(cores(&topology, &plan));
            plan.map_or(1, |plan| plan.shards.len())
        }
        Err(error) => {
            findings.push(Finding::bad("cores", error.to_string()));
            1
        }
    };
    // One more for whoever watches the brokers.
    let checked = preflight::check(shards, 1);
    // Where memory is short, nobody has looked at the rings.
    let rings = match checked {
        Err(PreflightError::MemoryLock { .. }) => preflight::probe_rings(),
        ref checked => checked.clone(),
    };
    let can_run = checked.is_ok();
    findings.push(io_uring(&rings));
    findings.push(locked_memory(shards, &checked));
    findings.push(descriptors(shards, descriptors::raise()));
    let source = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").ok();
    let now = Duration::from_millis(crate::clock::unix_ms().unsigned_abs());
    findings.push(clock(source.as_deref().map(str::trim), now));
    (findings, can_run)
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        let (major, minor) = FIRST_KERNEL;
        return Finding::doubtful(
            "kernel",
            format!("'{release}' is no release that is known here; it must be {major}.{minor} or newer"),
        );
    };
    if (major, minor) >= FIRST_KERNEL {
        return Finding::good("kernel", format!("Linux {release}"));
    }
    let (major, minor) = FIRST_KERNEL;
    Finding::bad("kernel", format!("Linux {release} is too old: use {major}.{minor} or newer"))
}

fn cores(topology: &Topology, plan: &Result<Placement, PlacementError>) -> Finding {
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return Finding::bad("cores", error.to_string()),
    };
    let (cores, nodes) = (topology.allowed.len(), topology.allowed_by_node().len());
    let limit = topology
        .quota_cpus
        .map_or_else(|| "no CPU limit".to_owned(), |cpus| format!("a CPU limit of {}", count(cpus, "core")));
    let shards = count(plan.shards.len(), "shard");
    let words = format!(
        "{} allowed on {}, {limit}: {shards} at most",
        count(cores, "core"),
        count(nodes, "NUMA node")
    );
    if cores == 1 || topology.quota_cpus == Some(1) {
        let change = "the shard shares it with the client and the control thread: allow two or more";
        return Finding::doubtful("cores", format!("{words}; {change}"));
    }
    if topology.quota_cpus.is_some_and(|cpus| cpus < plan.shards.len()) {
        let change =
            "more shards than that are throttled together: use --cores with fewer, or raise the limit";
        return Finding::doubtful("cores", format!("{words}; {change}"));
    }
    Finding::good("cores", words)
}

fn io_uring(rings: &Result<(), PreflightError>) -> Finding {
    match rings {
        Ok(()) => Finding::good("io_uring", "permitted, with all operations that are needed"),
        Err(error) => Finding::bad("io_uring", error.to_string()),
    }
}

fn locked_memory(shards: usize, checked: &Result<(), PreflightError>) -> Finding {
    match checked {
        Err(error @ PreflightError::MemoryLock { .. }) => Finding::bad("locked memory", error.to_string()),
        _ => Finding::good("locked memory", format!("enough for {}", count(shards, "shard"))),
    }
}

fn descriptors(shards: usize, limit: u64) -> Finding {
    let wanted = Wanted { clients: shards, ours: true, brokers: SOME_BROKERS, shards, ..Wanted::default() };
    match wanted.check(limit) {
        Ok(_) => Finding::good("descriptors", format!("{limit} may be open")),
        Err(few) => Finding::bad("descriptors", few.to_string()),
    }
}

fn clock(source: Option<&str>, now: Duration) -> Finding {
    if now < EARLIEST {
        let change = "it is years behind: set it, as certificates and retention go by it";
        return Finding::doubtful("clock", change);
    }
    match source {
        Some(source) if FAST_CLOCKS.contains(&source) => {
            Finding::good("clock", format!("read from {source}"))
        }
        Some(source) => Finding::doubtful(
            "clock",
            format!(
                "read from {source}, by a call of the kernel each time: latencies cost more; boot with clocksource=tsc"
            ),
        ),
        None => Finding::good("clock", "its source is not shown here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{self, Command, Program},
        doctor::finding::Health,
        runtime::cores::{cpu_set::CpuSet, placement::CoresRequest, topology::NumaNode},
    };

    fn text(finding: &Finding) -> String {
        finding.to_string()
    }

    #[test]
    fn old_kernels_are_refused() {
        for release in ["5.8.0", "5.15.0-91-generic", "6.1.0", "6.18-rc1", "10.0"] {
            assert_eq!(kernel(release).health, Health::Good, "{release}");
        }
        for release in ["5.7.19", "4.18.0-553.el8.x86_64", "3.10.0"] {
            let finding = kernel(release);
            assert_eq!(finding.health, Health::Bad, "{release}");
            assert!(text(&finding).ends_with("is too old: use 5.8 or newer"), "{finding}");
        }
        for release in ["", "mystery"] {
            assert_eq!(kernel(release).health, Health::Doubtful, "{release}");
        }
    }

    fn topology(cores: usize, nodes: usize, quota_cpus: Option<usize>) -> Topology {
        let cpus = |node: usize| (0..cores).filter(|core| core % nodes == node).collect::<CpuSet>();
        let nodes = (0..nodes).map(|id| NumaNode { id, cpus: cpus(id) });
        Topology { allowed: (0..cores).collect(), nodes: nodes.collect(), quota_cpus }
    }

    fn cores_of(topology: &Topology, request: &CoresRequest) -> Finding {
        let limits = ShardLimits { partitions: usize::MAX, max_buffered_records: None };
        let plan = placement::plan(topology, request, placement::ClientThreads::Shard, &limits);
        cores(topology, &plan)
    }

    #[test]
    fn cores_that_are_too_few_are_named() {
        let auto = CoresRequest::Auto;
        let finding = cores_of(&topology(8, 2, None), &auto);
        assert_eq!(
            text(&finding),
            "ok    cores         8 cores allowed on 2 NUMA nodes, no CPU limit: 8 shards at most"
        );
        let finding = cores_of(&topology(1, 1, None), &auto);
        assert_eq!(finding.health, Health::Doubtful);
        assert!(text(&finding).contains("1 core allowed on 1 NUMA node"), "{finding}");
        let throttled = cores_of(&topology(8, 1, Some(2)), &"all".parse().unwrap());
        assert_eq!(throttled.health, Health::Doubtful, "{throttled}");
        let finding = cores_of(&topology(2, 1, None), &"0-3".parse().unwrap());
        assert_eq!(finding.health, Health::Bad, "{finding}");
    }

    #[test]
    fn what_executors_need_is_told_apart() {
        let short = Err(PreflightError::MemoryLock { shards: 4, needed_kib: 900, limit_kib: 64, fitting: 0 });
        assert_eq!(locked_memory(4, &short).health, Health::Bad);
        assert!(text(&locked_memory(4, &short)).contains("`ulimit -l 900`"));
        let disabled = Err(PreflightError::Disabled { value: 2 });
        assert_eq!(locked_memory(4, &disabled).health, Health::Good);
        assert!(text(&io_uring(&disabled)).starts_with("FAIL  io_uring"));
        assert_eq!(io_uring(&Ok(())).health, Health::Good);
    }

    #[test]
    fn descriptors_must_be_enough_for_the_shards() {
        assert_eq!(descriptors(4, 1_024).health, Health::Good);
        let finding = descriptors(64, 256);
        assert_eq!(finding.health, Health::Bad);
        assert!(text(&finding).contains("ulimit -n"), "{finding}");
    }

    #[test]
    fn slow_and_wrong_clocks_are_named() {
        let now = EARLIEST + Duration::from_secs(1);
        assert_eq!(clock(Some("tsc"), now).health, Health::Good);
        assert_eq!(clock(None, now).health, Health::Good);
        assert!(text(&clock(Some("hpet"), now)).contains("clocksource=tsc"));
        assert_eq!(clock(Some("tsc"), Duration::from_secs(5)).health, Health::Doubtful);
    }

    #[test]
    fn this_machine_has_a_line_for_each_thing() {
        let Ok(Command::Doctor(config)) = cli::parse(Program::Proofload, ["doctor".into()].into_iter())
        else {
            panic!("no doctor")
        };
        let (findings, _) = look(&config.common);
        assert_eq!(findings.len(), 6, "{findings:?}");
    }
}
