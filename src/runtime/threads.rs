//! All threads of this process as the kernel sees them, those of C libraries included.
//!
//! This is the proof of the placement: a thread that the plan forgot shows here with a mask too wide. It also serves
//! `/print_stack`, where "which thread burns CPU, and what do the others wait for" is the question behind the request.

use std::{fmt, fs, path::Path};

use super::cores::cpu_set::CpuSet;

/// One thread at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadInfo {
    /// The kernel's thread id.
    pub tid: u32,
    /// Its name, at most 15 bytes of it.
    pub name: String,
    /// The kernel's letter: `R` running, `S` sleeping, `D` in uninterruptible sleep…
    pub state: char,
    /// Where it may run.
    pub cpus_allowed: CpuSet,
    /// The CPU it ran on last.
    pub last_cpu: usize,
    /// The kernel function it sleeps in; empty if it runs, or if the kernel does not tell.
    pub wchan: String,
    /// CPU time in its own code, in clock ticks (usually 1/100 s).
    pub user_ticks: u64,
    /// CPU time in the kernel on its behalf, in clock ticks.
    pub system_ticks: u64,
}

const TASKS: &str = "/proc/self/task";

/// All threads of this process, in the order of their ids. Threads that end meanwhile are left out.
#[must_use]
pub(crate) fn list() -> Vec<ThreadInfo> {
    list_in(Path::new(TASKS))
}

/// The calling thread; `None` if `/proc` is not mounted.
#[cfg(test)]
#[must_use]
pub(crate) fn current() -> Option<ThreadInfo> {
    of(u32::try_from(nix::unistd::gettid().as_raw()).ok()?)
}

/// A thread of this process; `None` if it has ended, or `/proc` is not mounted.
#[must_use]
pub(super) fn of(tid: u32) -> Option<ThreadInfo> {
    read(Path::new(TASKS), tid)
}

fn list_in(tasks: &Path) -> Vec<ThreadInfo> {
    let Ok(entries) = fs::read_dir(tasks) else { return Vec::new() };
    let mut threads: Vec<_> = entries
        .flatten()
        .filter_map(|entry| read(tasks, entry.file_name().to_str()?.parse().ok()?))
        .collect();
    threads.sort_by_key(|thread| thread.tid);
    threads
}

fn read(tasks: &Path, tid: u32) -> Option<ThreadInfo> {
    let task = tasks.join(tid.to_string());
    // A name is bytes, not text: anybody may set it.
    let read =
        |file: &str| fs::read(task.join(file)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).ok();
    let stat = Stat::parse(&read("stat")?)?;
    let status = read("status")?;
    let cpus_allowed =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().parse().ok()?;
    // The file may be forbidden, and `0` means "not sleeping".
    let wchan =
        read("wchan").map(|wchan| wchan.trim().to_owned()).filter(|wchan| wchan != "0").unwrap_or_default();
    Some(ThreadInfo {
        tid,
        name: read("comm")?.trim_end_matches('\n').to_owned(),
        state: stat.state,
        cpus_allowed,
        last_cpu: stat.last_cpu,
        wchan,
        user_ticks: stat.user_ticks,
        system_ticks: stat.system_ticks,
    })
}

/// What is of use in `/proc/PID/task/TID/stat`, see `proc_pid_stat(5)`.
struct Stat {
    state: char,
    user_ticks: u64,
    system_ticks: u64,
    last_cpu: usize,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name stands in parentheses and may contain some, and spaces too: the last one ends it.
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        // The manual counts from 1, and state is number 3; `nth` counts from where the last one stopped.
        let state = fields.next()?.chars().next()?;
        let user_ticks = fields.nth(10)?.parse().ok()?;
        let system_ticks = fields.next()?.parse().ok()?;
        let last_cpu = fields.nth(23)?.parse().ok()?;
        Some(Self { state, user_ticks, system_ticks, last_cpu })
    }
}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tid, name, state, cpus_allowed, last_cpu, wchan, user_ticks, system_ticks } = self;
        // Aligned, because it is read as a column; `{:>n}` does not pad a `CpuSet`.
        let cpus_allowed = cpus_allowed.to_string();
        // A name may hold anything, and this goes to terminals and logs, one thread per line.
        let name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        write!(f, "{tid:>8} {name:<15} {state} cpus={cpus_allowed:<8} last_cpu={last_cpu:<3} ")?;
        write!(f, "user_ticks={user_ticks:<6} system_ticks={system_ticks:<6} wchan=")?;
        f.write_str(if wchan.is_empty() { "-" } else { wchan })
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    const STAT: &str = "77 (a) R (b c) S 1 77 77 0 -1 4194368 5 0 0 0 123 45 0 0 20 0 4 0 987 1000 50 \
                        18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 -1 6 0 0 0 0 0 0 0 0 0 0 0 0 0";

    fn task(root: &Path, tid: &str, files: &[(&str, &[u8])]) {
        let folder = root.join(tid);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    #[test]
    fn reads_a_thread_with_a_nasty_name() {
        let root = tempfile::tempdir().unwrap();
        let status = b"Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1,4\n";
        let name = b"a) R (b c\x1b\xff\n";
        task(
            root.path(),
            "77",
            &[("stat", STAT.as_bytes()), ("status", status), ("comm", name), ("wchan", b"ep_poll")],
        );
        let threads = list_in(root.path());
        let expected = ThreadInfo {
            tid: 77,
            name: "a) R (b c\u{1b}\u{fffd}".into(),
            state: 'S',
            cpus_allowed: "0-1,4".parse().unwrap(),
            last_cpu: 6,
            wchan: "ep_poll".into(),
            user_ticks: 123,
            system_ticks: 45,
        };
        assert_eq!(threads, [expected]);
        let line = threads[0].to_string();
        assert!(line.starts_with("      77 a) R (b c?\u{fffd}"), "{line}");
        assert!(line.contains("S cpus=0-1,4 ") && line.ends_with("wchan=ep_poll"), "{line}");
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let status: &[u8] = b"Cpus_allowed_list:\t0\n";
        task(root.path(), "1", &[("stat", b"1 (x) S 1"), ("status", status), ("comm", b"x")]);
        task(root.path(), "2", &[("stat", STAT.as_bytes()), ("status", b"none"), ("comm", b"x")]);
        task(root.path(), "3", &[("stat", b""), ("status", status), ("comm", b"x")]);
        task(root.path(), "4", &[]);
        task(root.path(), "x", &[("stat", STAT.as_bytes())]);
        assert_eq!(list_in(root.path()), []);
        assert_eq!(list_in(Path::new("/does/not/exist")), []);
    }

    #[test]
    fn finds_the_threads_of_this_process() {
        let (stop, stopped) = mpsc::channel::<()>();
        let sleeper = thread::Builder::new().name("a-sleeper".into()).spawn(move || stopped.recv()).unwrap();
        // The new thread names itself, a moment after it started.
        let found = (0..1000).find_map(|_| {
            thread::sleep(std::time::Duration::from_millis(1));
            list().into_iter().find(|thread| thread.name == "a-sleeper")
        });
        assert!(!found.expect("the thread is listed").cpus_allowed.is_empty());
        drop(stop);
        assert!(sleeper.join().unwrap().is_err());
        assert_eq!(current().unwrap().tid, u32::try_from(nix::unistd::gettid().as_raw()).unwrap());
    }
}
