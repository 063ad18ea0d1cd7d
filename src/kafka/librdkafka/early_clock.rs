//! The time, for an allocator that starts before whatever was preloaded is ready.
//!
//! mimalloc asks for the time when it sets itself up, in the middle of the process's first allocation. Where a library
//! like libfaketime is preloaded, that question goes to it; its first answer allocates, within the allocation that asked,
//! and mimalloc sets up the same map twice: what the inner one has given away it does not know any more, and the first
//! `free` of it is a SIGSEGV, before `main` has begun. So the kernel answers until the libraries' constructors have run.
//!
//! Such a library moves the time that librdkafka is told, and not that by which glibc's `cnd_timedwait` waits: its threads
//! would sleep for as long as the clock was moved. Where something is preloaded, the end of the wait is moved back.
//!
//! The linker brings all calls of our own code, and of what is linked into it, here (`--wrap`, in `build.rs`).

use std::{
    ffi::{c_int, c_long, c_void},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

unsafe extern "C" {
    fn __real_clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int;
    fn __real_cnd_timedwait(
        condition: *mut c_void,
        mutex: *mut c_void,
        until: *const libc::timespec,
    ) -> c_int;
}

/// Whether the constructors of all libraries have run: those of the program come last.
static IS_READY: AtomicBool = AtomicBool::new(false);
/// Whether something was preloaded that may tell another time than the kernel's.
static HAS_PRELOADED: AtomicBool = AtomicBool::new(false);

// SAFETY: what stands in this section is a function without arguments, as it calls them; the C library is ready, and it
// does no more than to look at an environment that no other thread changes yet.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = libraries_are_ready;

extern "C" fn libraries_are_ready() {
    // SAFETY: the name ends with a NUL; there is no other thread yet.
    let preloaded = unsafe { libc::getenv(c"LD_PRELOAD".as_ptr()) };
    HAS_PRELOADED.store(!preloaded.is_null(), Relaxed);
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

/// Waits for a condition until then.
///
/// # Safety
/// As the C library's function: condition and mutex are initialized, the mutex is locked, `until` points to a time.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_cnd_timedwait(
    condition: *mut c_void,
    mutex: *mut c_void,
    until: *const libc::timespec,
) -> c_int {
    if !HAS_PRELOADED.load(Relaxed) {
        // SAFETY: the caller's promise is that of the function, which is passed on.
        return unsafe { __real_cnd_timedwait(condition, mutex, until) };
    }
    // SAFETY: the caller's promise.
    let until = by_the_kernel_s_clock(unsafe { *until });
    // SAFETY: the caller's promise is that of the function; the time is our own, and lives long enough.
    unsafe { __real_cnd_timedwait(condition, mutex, &raw const until) }
}

/// A time on the clock that this process is told, on the kernel's.
fn by_the_kernel_s_clock(told: libc::timespec) -> libc::timespec {
    const NS_PER_S: i128 = 1_000_000_000;
    let in_ns = |time: &libc::timespec| i128::from(time.tv_sec) * NS_PER_S + i128::from(time.tv_nsec);
    let mut kernel = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut now = kernel;
    // SAFETY: both point to a time that may be written; the kernel's function takes the same as the C library's.
    unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
        libc::syscall(libc::SYS_clock_gettime, c_long::from(libc::CLOCK_REALTIME), &raw mut kernel);
    }
    let moved_ns = in_ns(&told) - in_ns(&now) + in_ns(&kernel);
    let tv_sec = i64::try_from(moved_ns.div_euclid(NS_PER_S)).unwrap_or(i64::MAX);
    libc::timespec { tv_sec, tv_nsec: i64::try_from(moved_ns.rem_euclid(NS_PER_S)).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn where_no_clock_was_moved_a_wait_ends_when_it_should() {
        let told = libc::timespec { tv_sec: 2_000_000_000, tv_nsec: 999_999_999 };
        let kernel = by_the_kernel_s_clock(told);
        assert!((told.tv_sec..told.tv_sec + 60).contains(&kernel.tv_sec), "{} s", kernel.tv_sec);
        assert!((0..1_000_000_000).contains(&kernel.tv_nsec));
    }

    #[test]
    fn both_tell_the_same_time() {
        let now = || {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: it points to one.
            assert_eq!(unsafe { __wrap_clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
            Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
        };
        // Once the program runs, whoever was preloaded tells the time. Here, as nobody else may look while it is switched.
        assert!(IS_READY.load(Relaxed), "the constructor was left out by the linker");
        let (began, started) = (Instant::now(), now());
        IS_READY.store(false, Relaxed);
        let early = now();
        IS_READY.store(true, Relaxed);
        assert!(early.checked_sub(started).is_some_and(|between| between <= began.elapsed()));
    }
}
