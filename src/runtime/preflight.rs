//! Checks, before the first executor exists, what executors need from the kernel.
//!
//! glommio panics or ends the process where `io_uring` is missing or forbidden, and container runtimes forbid it by
//! default. So the same things are tried here first, and a refusal becomes a sentence about what to change.

use std::{fs, io};

use io_uring::{IoUring, Probe, opcode};
use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use thiserror::Error;

use super::executor::{IO_MEMORY_BYTES, RING_ENTRIES, RINGS_PER_EXECUTOR};
use crate::human::count;

const MEMLOCK: Resource = Resource::RLIMIT_MEMLOCK;

/// What glommio asks for, whatever its executors then use.
const MIN_MEMLOCK_BYTES: u64 = 512 << 10;

/// Why executors cannot run here.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum PreflightError {
    /// A sysctl switches it off.
    #[error(
        "io_uring is switched off on this machine: kernel.io_uring_disabled={value}; \
         run `sysctl kernel.io_uring_disabled=0`"
    )]
    Disabled {
        /// The value of the sysctl.
        value: u8,
    },
    /// A seccomp profile or a security module forbids it.
    #[error(
        "{call} is not permitted ({errno}), as under the default seccomp profile of Docker and containerd; run the \
         container with `--security-opt seccomp=unconfined`, or with a profile that allows io_uring_setup, \
         io_uring_enter and io_uring_register (Kubernetes: securityContext.seccompProfile)"
    )]
    NotPermitted {
        /// The system call.
        call: &'static str,
        /// Its answer.
        errno: Errno,
    },
    /// The kernel has no `io_uring`, or pretends so.
    #[error(
        "{call} does not exist here ({errno}): proofload needs Linux 5.8 or newer with io_uring; \
         if the kernel is new enough, a sandbox hides it (gVisor, a seccomp profile)"
    )]
    Missing {
        /// The system call.
        call: &'static str,
        /// Its answer.
        errno: Errno,
    },
    /// `io_uring` is there but lacks operations.
    #[error(
        "the io_uring of this kernel is too old: it lacks the operations {opcodes:?}; use Linux 5.8 or newer"
    )]
    TooOld {
        /// The missing operations' numbers.
        opcodes: Vec<u8>,
    },
    /// Too little memory may be locked.
    #[error(
        "{} need{} {needed_kib} KiB of locked memory, and the limit is {limit_kib} KiB; run \
         `ulimit -l {needed_kib}` first, in Docker `--ulimit memlock={needed_bytes}`, in a systemd unit \
         `LimitMEMLOCK={needed_kib}K`{}",
        count(*shards, "shard"),
        if *shards == 1 { "s" } else { "" },
        or_fewer_shards(*fitting),
        needed_bytes = needed_kib * 1024
    )]
    MemoryLock {
        /// The number of shards.
        shards: usize,
        /// What they need, in KiB.
        needed_kib: u64,
        /// The hard limit, in KiB.
        limit_kib: u64,
        /// The number of shards for which the limit is enough.
        fitting: usize,
    },
    /// The kernel is out of memory for rings, or counts them as locked memory and has none left for this user.
    #[error(
        "{call} found no memory ({errno}); other processes of this user may hold the locked memory: raise `ulimit -l` \
         (Docker: `--ulimit memlock=-1`, systemd: `LimitMEMLOCK=infinity`)"
    )]
    NoMemory {
        /// The system call.
        call: &'static str,
        /// Its answer.
        errno: Errno,
    },
    /// Anything else.
    #[error("{call} failed: {errno}; proofload's executors cannot run without io_uring (check `ulimit -n`)")]
    Failed {
        /// The system call.
        call: &'static str,
        /// Its answer.
        errno: Errno,
    },
}

/// Checks that executors can be made for so many shards, and for so much else. Raises the soft limit on locked memory if
/// that is all it takes.
///
/// # Errors
///
/// What is in the way, and what to change.
pub(crate) fn check(shards: usize, others: usize) -> Result<(), PreflightError> {
    // The limit first: some kernels count rings against it, and the probe makes some.
    raise_memlock(shards, others)?;
    probe_rings()
}

/// Makes what an executor makes: a plain ring, a probe of its operations, an entry into the kernel, a polled ring.
///
/// # Errors
///
/// What is in the way, and what to change.
pub(crate) fn probe_rings() -> Result<(), PreflightError> {
    let ring = IoUring::new(2).map_err(|error| explain("io_uring_setup", &error))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| explain("io_uring_register", &error))?;
    ring.submit().map_err(|error| explain("io_uring_enter", &error))?;
    let opcodes = missing_opcodes(|code| probe.is_supported(code));
    if !opcodes.is_empty() {
        return Err(PreflightError::TooOld { opcodes });
    }
    let polled =
        IoUring::<io_uring::squeue::Entry, io_uring::cqueue::Entry>::builder().setup_iopoll().build(2);
    polled.map(drop).map_err(|error| explain("io_uring_setup with IOPOLL", &error))
}

/// glommio refuses kernels that lack any of these, with a joke and exit code 1.
fn missing_opcodes(supported: impl Fn(u8) -> bool) -> Vec<u8> {
    const NEEDED: [u8; 23] = [
        opcode::Nop::CODE,
        opcode::Readv::CODE,
        opcode::Writev::CODE,
        opcode::Fsync::CODE,
        opcode::ReadFixed::CODE,
        opcode::WriteFixed::CODE,
        opcode::PollAdd::CODE,
        opcode::PollRemove::CODE,
        opcode::SendMsg::CODE,
        opcode::RecvMsg::CODE,
        opcode::Timeout::CODE,
        opcode::TimeoutRemove::CODE,
        opcode::Accept::CODE,
        opcode::LinkTimeout::CODE,
        opcode::Connect::CODE,
        opcode::Fallocate::CODE,
        opcode::OpenAt::CODE,
        opcode::Close::CODE,
        opcode::Statx::CODE,
        opcode::Read::CODE,
        opcode::Write::CODE,
        opcode::Send::CODE,
        opcode::Recv::CODE,
    ];
    NEEDED.into_iter().filter(|&code| !supported(code)).collect()
}

fn explain(call: &'static str, error: &io::Error) -> PreflightError {
    let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    explain_errno(call, errno, disabled.and_then(|value| value.trim().parse().ok()).unwrap_or(0))
}

fn explain_errno(call: &'static str, errno: Errno, disabled: u8) -> PreflightError {
    match errno {
        Errno::EPERM | Errno::EACCES if disabled != 0 => PreflightError::Disabled { value: disabled },
        Errno::EPERM | Errno::EACCES => PreflightError::NotPermitted { call, errno },
        Errno::ENOSYS => PreflightError::Missing { call, errno },
        Errno::ENOMEM => PreflightError::NoMemory { call, errno },
        _ => PreflightError::Failed { call, errno },
    }
}

fn raise_memlock(shards: usize, others: usize) -> Result<(), PreflightError> {
    let needed = needed_memlock_bytes(shards + others);
    let Ok((soft, hard)) = getrlimit(MEMLOCK) else { return Ok(()) };
    if soft >= needed {
        return Ok(());
    }
    // A privileged process may raise the hard limit too; every other one gets all that it may have. What came of it is
    // read below.
    let _ =
        setrlimit(MEMLOCK, hard.max(needed), hard.max(needed)).or_else(|_| setrlimit(MEMLOCK, hard, hard));
    let Ok((soft, hard)) = getrlimit(MEMLOCK) else { return Ok(()) };
    if soft >= needed || (soft >= MIN_MEMLOCK_BYTES && !rings_count_as_locked(soft, hard)) {
        return Ok(());
    }
    let fitting = fitting_shards(soft).saturating_sub(others);
    Err(PreflightError::MemoryLock {
        shards,
        needed_kib: needed.div_ceil(1024),
        limit_kib: soft / 1024,
        fitting,
    })
}

/// Whether the limit holds for the rings of this process. It does up to Linux 5.11 and again since about 6.14, unless
/// the process has `CAP_IPC_LOCK` in the first user namespace. Instead of guessing: does a ring fit into a limit of 0?
///
/// Where it does, registered buffers alone count, and glommio goes on without those that do not fit.
fn rings_count_as_locked(soft: u64, hard: u64) -> bool {
    if setrlimit(MEMLOCK, 0, hard).is_err() {
        return true;
    }
    let ring = IoUring::new(2);
    // Back to a value that was legal a moment ago.
    let _ = setrlimit(MEMLOCK, soft, hard);
    ring.is_err_and(|error| error.raw_os_error() == Some(Errno::ENOMEM as i32))
}

fn needed_memlock_bytes(shards: usize) -> u64 {
    u64::try_from(shards).unwrap_or(u64::MAX).saturating_mul(executor_bytes()).max(MIN_MEMLOCK_BYTES)
}

fn fitting_shards(limit_bytes: u64) -> usize {
    if limit_bytes < MIN_MEMLOCK_BYTES {
        return 0;
    }
    usize::try_from(limit_bytes / executor_bytes()).unwrap_or(usize::MAX)
}

/// What counts as locked memory for one executor: its rings, and its buffers once for each ring.
const fn executor_bytes() -> u64 {
    const PAGE_BYTES: usize = 4096;
    // 64 bytes per submission, and in another region 16 for each of twice as many completions, 4 for the index, and
    // heads and tails.
    let submissions = (RING_ENTRIES * 64).next_multiple_of(PAGE_BYTES);
    let completions = (RING_ENTRIES * (2 * 16 + 4) + 512).next_multiple_of(PAGE_BYTES);
    (RINGS_PER_EXECUTOR * (submissions + completions + IO_MEMORY_BYTES)) as u64
}

fn or_fewer_shards(fitting: usize) -> String {
    if fitting == 0 { String::new() } else { format!(", or use `--cores {fitting}` or fewer") }
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
