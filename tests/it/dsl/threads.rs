//! The threads of a process, as the kernel shows them.

use std::{fs, path::Path};

use proofload::inside::runtime::CpuSet;

#[derive(Clone, Debug)]
pub struct Thread {
    pub tid: u32,
    pub name: String,
    pub cpus: CpuSet,
}

/// All threads of a process. Those that end meanwhile are left out.
pub fn of(pid: u32) -> Vec<Thread> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.filter_map(|entry| thread(&entry.ok()?.path())).collect()
}

fn thread(task: &Path) -> Option<Thread> {
    let status = fs::read_to_string(task.join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    Some(Thread {
        tid: task.file_name()?.to_str()?.parse().ok()?,
        name: field("Name:")?,
        cpus: field("Cpus_allowed_list:")?.parse().ok()?,
    })
}

/// The cores that this process, and with it those under test, may use.
pub fn allowed() -> CpuSet {
    of(std::process::id()).swap_remove(0).cpus
}

/// What `/proc` counts CPU time in, on every Linux.
pub const TICKS_PER_S: u64 = 100;

/// The CPU time that a process has used.
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process that runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    // Numbers 14 and 15 of proc_pid_stat(5), counted from 1; the state, number 3, comes first here.
    fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum()
}
