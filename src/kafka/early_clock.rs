//! The time, for an allocator that starts before whatever was preloaded is ready.
//!
//! mimalloc asks for the time when it sets itself up, in the middle of the process's first allocation. Where a library
//! like libfaketime is preloaded, that question goes to it; its first answer allocates, within the allocation that asked,
//! and mimalloc sets up the same map twice: what the inner one has given away it does not know any more, and the first
//! `free` of it is a SIGSEGV, before `main` has begun. So the kernel answers until the libraries' constructors have run.
//!
//! The linker brings all calls of our own code, and of what is linked into it, here (`--wrap`, in `build.rs`).

use std::{
    ffi::{c_int, c_long},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

unsafe extern "C" {
    fn __real_clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int;
}

/// Whether the constructors of all libraries have run: those of the program come last.
static IS_READY: AtomicBool = AtomicBool::new(false);

// SAFETY: what stands in this section is a function without arguments, as it calls them; it sets an atomic, no more.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = libraries_are_ready;

extern "C" fn libraries_are_ready() {
    IS_READY.store(true, Relaxed);
}

/// What a clock says.
///
/// # Safety
/// `time` points to a `timespec` that may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    if IS_READY.load(Relaxed) {
        // SAFETY: the caller's promise is that of the function, which is passed on.
        return unsafe { __real_clock_gettime(clock, time) };
    }
    // SAFETY: the kernel's function takes the same arguments, and has the same promise.
    let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), time) };
    if answer == 0 { 0 } else { -1 }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn once_the_program_runs_whoever_was_preloaded_tells_the_time() {
        assert!(IS_READY.load(Relaxed), "the constructor was left out by the linker");
    }

    #[test]
    fn both_tell_the_same_time() {
        let now = || {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: it points to one.
            assert_eq!(unsafe { __wrap_clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
            Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
        };
        let (began, started) = (Instant::now(), now());
        IS_READY.store(false, Relaxed);
        let early = now();
        IS_READY.store(true, Relaxed);
        assert!(early.checked_sub(started).is_some_and(|between| between <= began.elapsed()));
    }
}
