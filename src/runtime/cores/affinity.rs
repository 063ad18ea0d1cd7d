//! Affinity masks of threads that are no shards.
//!
//! A new thread inherits the mask of the thread that starts it. That is the only handle on threads which a C library
//! starts by itself: whoever calls the library must wear the right mask at that moment.

use std::{io, panic, thread};

use nix::{errno::Errno, sched, unistd::Pid};
use thiserror::Error;

use super::cpu_set::CpuSet;

/// Why a thread did not get the mask it should have.
#[derive(Debug, Error)]
pub enum AffinityError {
    /// The kernel refused the mask.
    #[error(
        "cannot restrict a thread to the CPUs `{cpus}`: {source}; they must be online and allowed (`taskset -p`)"
    )]
    Refused {
        /// The mask asked for.
        cpus: CpuSet,
        /// The kernel's answer.
        source: Errno,
    },
    /// There is no thread to give a mask to.
    #[error(
        "cannot start a thread on the CPUs `{cpus}`: {source}; check `ulimit -u` and the cgroup's pids.max"
    )]
    NoThread {
        /// The mask asked for.
        cpus: CpuSet,
        /// The system's answer.
        source: io::Error,
    },
}

/// Restricts the calling thread, and with it all threads that it starts from now on.
///
/// CPUs that do not exist are ignored by the kernel as long as one does; none at all is an error.
///
/// # Errors
///
/// [`AffinityError::Refused`] if the kernel refuses the mask.
pub(crate) fn restrict_current_thread(cpus: &CpuSet) -> Result<(), AffinityError> {
    let apply = || {
        let mut mask = sched::CpuSet::new();
        cpus.iter().try_for_each(|cpu| mask.set(cpu))?;
        sched::sched_setaffinity(Pid::from_raw(0), &mask)
    };
    apply().map_err(|source| AffinityError::Refused { cpus: cpus.clone(), source })
}

/// Runs `f` on a thread that lives just so long and is restricted to `cpus`, and waits for it.
///
/// What `f` starts, for example the threads of a Kafka client that it creates, inherits the mask; the calling
/// thread's mask stays as it is. On an executor this blocks: use it at the start only. A panic in `f` goes on here.
///
/// # Errors
///
/// If there is no thread to be had, or the kernel refuses the mask; `f` does not run then.
pub(crate) fn with_affinity<T: Send>(
    cpus: &CpuSet,
    f: impl FnOnce() -> T + Send,
) -> Result<T, AffinityError> {
    thread::scope(|scope| {
        let restricted = move || restrict_current_thread(cpus).map(|()| f());
        thread::Builder::new()
            .name("affinity".to_owned())
            .spawn_scoped(scope, restricted)
            .map_err(|source| AffinityError::NoThread { cpus: cpus.clone(), source })?
            .join()
            .unwrap_or_else(|payload| panic::resume_unwind(payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{cores::topology::Topology, threads};

    /// The mask of a thread that the calling thread starts.
    fn mask_of_a_child() -> CpuSet {
        thread::spawn(|| threads::current().unwrap().cpus_allowed).join().unwrap()
    }

    #[test]
    fn threads_started_inside_inherit_the_mask_and_the_caller_keeps_its_own() {
        let allowed = Topology::detect().unwrap().allowed;
        for cpu in allowed.iter() {
            let one = CpuSet::from_iter([cpu]);
            assert_eq!(with_affinity(&one, mask_of_a_child).unwrap(), one);
        }
        assert_eq!(mask_of_a_child(), allowed);
    }

    #[test]
    fn the_value_may_borrow_from_the_caller() {
        let text = String::from("borrowed");
        let allowed = Topology::detect().unwrap().allowed;
        assert_eq!(with_affinity(&allowed, || text.len()).unwrap(), 8);
    }

    #[test]
    fn impossible_masks_are_refused() {
        for list in ["1023", "5000"] {
            let error = with_affinity(&list.parse().unwrap(), || ()).unwrap_err();
            assert!(matches!(error, AffinityError::Refused { source: Errno::EINVAL, .. }), "{error}");
            assert!(error.to_string().contains(list), "{error}");
        }
        assert!(restrict_current_thread(&CpuSet::default()).is_err());
    }

    #[test]
    #[should_panic(expected = "inside")]
    fn a_panic_inside_goes_on_outside() {
        let allowed = Topology::detect().unwrap().allowed;
        with_affinity(&allowed, || panic!("inside")).unwrap();
    }
}
