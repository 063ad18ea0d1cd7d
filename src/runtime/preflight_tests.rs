use std::{collections::BTreeMap, thread};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::*;

/// What the probe says on a thread of its own under a seccomp filter like a container's.
fn probe_without(call: libc::c_long, errno: Errno) -> PreflightError {
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(u32::try_from(errno as i32).unwrap()),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    let probe = move || {
        seccompiler::apply_filter(&program).unwrap();
        probe_rings().unwrap_err()
    };
    thread::spawn(probe).join().unwrap()
}

#[test]
fn this_machine_passes() {
    assert_eq!(check(2, 1), Ok(()));
}

#[test]
fn each_forbidden_call_is_named() {
    for (number, call) in [
        (libc::SYS_io_uring_setup, "io_uring_setup"),
        (libc::SYS_io_uring_register, "io_uring_register"),
        (libc::SYS_io_uring_enter, "io_uring_enter"),
    ] {
        let errno = Errno::EPERM;
        assert_eq!(probe_without(number, errno), PreflightError::NotPermitted { call, errno });
        let errno = Errno::ENOSYS;
        assert_eq!(probe_without(number, errno), PreflightError::Missing { call, errno });
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let message = |errno, disabled| explain_errno("io_uring_setup", errno, disabled).to_string();
    assert!(message(Errno::EPERM, 0).contains("--security-opt seccomp=unconfined"));
    assert!(message(Errno::EACCES, 0).contains("io_uring_setup, io_uring_enter and io_uring_register"));
    assert!(message(Errno::EPERM, 2).ends_with("`sysctl kernel.io_uring_disabled=0`"));
    assert!(message(Errno::ENOSYS, 2).contains("Linux 5.8"));
    assert!(message(Errno::ENOMEM, 0).contains("LimitMEMLOCK"));
    assert!(message(Errno::EMFILE, 0).contains("ulimit -n"));
    let memory =
        PreflightError::MemoryLock { shards: 4, needed_kib: 864, limit_kib: 512, fitting: 2 }.to_string();
    assert!(memory.ends_with(", or use `--cores 2` or fewer"), "{memory}");
    for part in [
        "4 shards need 864 KiB",
        "the limit is 512 KiB",
        "ulimit -l 864",
        "memlock=884736",
        "LimitMEMLOCK=864K",
    ] {
        assert!(memory.contains(part), "{memory}");
    }
}

#[test]
fn missing_operations_are_listed() {
    assert!(missing_opcodes(|_| true).is_empty());
    assert_eq!(missing_opcodes(|code| code != opcode::Send::CODE), [opcode::Send::CODE]);
}

#[test]
fn locked_memory_grows_with_the_shards() {
    assert_eq!(executor_bytes(), 216 << 10);
    assert_eq!(needed_memlock_bytes(0), MIN_MEMLOCK_BYTES);
    assert_eq!(needed_memlock_bytes(2), MIN_MEMLOCK_BYTES);
    assert_eq!(needed_memlock_bytes(64), 64 * (216 << 10));
    assert_eq!(needed_memlock_bytes(usize::MAX), u64::MAX);
    assert_eq!(fitting_shards(64 << 10), 0);
    assert_eq!(fitting_shards(8 << 20), 37);
    assert!(needed_memlock_bytes(37) <= 8 << 20);
}
