//! Starts one pinned executor per shard and waits for what it returns.
//!
//! The thread is ours and not glommio's, for three reasons: it is pinned before the first allocation, so memory comes
//! from its NUMA node, and glommio's helper thread inherits the mask; its name is the shard's; and an executor
//! that cannot be made is an error here, for all shards, before any of them begins to work.

use std::{any::Any, io, sync::Arc, thread};

use crossbeam::channel::{Receiver, Sender, bounded};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement as Binding};
use thiserror::Error;

use super::{
    cores::{
        affinity::{self, AffinityError},
        cpu_set::CpuSet,
        placement::{Placement, ShardPlace},
    },
    heartbeat::Heartbeats,
};

/// Bytes of registered I/O buffers per executor. They serve direct file I/O, which a shard never does: this is the
/// least that glommio allocates. It registers them with each ring, and each time they count as locked memory.
pub(super) const IO_MEMORY_BYTES: usize = 64 << 10;

/// Entries of each ring: as many as fit into the two pages that a ring takes anyway, as it may count as locked memory
/// too. A shard awaits a handful of sockets and timers; what does not fit waits in a queue.
pub(super) const RING_ENTRIES: usize = 64;

/// The rings of an executor: main, latency and poll.
pub(super) const RINGS_PER_EXECUTOR: usize = 3;

/// Why a shard did not start, or did not end well.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The system gave no thread.
    #[error("shard {shard}: cannot start a thread: {source}; check `ulimit -u` and the cgroup's pids.max")]
    NoThread {
        /// The number of the shard.
        shard: usize,
        /// The system's answer.
        source: io::Error,
    },
    /// The thread could not be pinned.
    #[error("shard {shard}: {source}")]
    NotPinned {
        /// The number of the shard.
        shard: usize,
        /// What was refused.
        source: AffinityError,
    },
    /// The executor could not be made.
    #[error(
        "shard {shard} on core {core}: cannot make an executor: {reason}; check `ulimit -l`, `ulimit -n`, or try fewer `--cores`"
    )]
    NoExecutor {
        /// The number of the shard.
        shard: usize,
        /// Its core.
        core: usize,
        /// What glommio says.
        reason: String,
    },
    /// There is a bug in a shard.
    #[error("shard {shard} panicked: {message}")]
    Panicked {
        /// The number of the shard.
        shard: usize,
        /// What the panic said.
        message: String,
    },
}

/// A running shard.
#[derive(Debug)]
pub struct Shard<T> {
    place: ShardPlace,
    thread: thread::JoinHandle<Option<T>>,
}

impl<T> Shard<T> {
    /// Whether it has ended, so that [`Shard::join`] returns at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the shard and returns what its future returned.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Panicked`] if the shard did not get to its end.
    pub fn join(self) -> Result<T, RuntimeError> {
        let shard = self.place.index;
        match self.thread.join() {
            Ok(Some(value)) => Ok(value),
            // A `Shard` is handed out after the start signal only; a thread that missed it has panicked.
            Ok(None) => Err(RuntimeError::Panicked { shard, message: "it never started".to_owned() }),
            Err(payload) => Err(RuntimeError::Panicked { shard, message: message_of(payload.as_ref()) }),
        }
    }
}

/// Starts all shards of the plan, each as the future that `make` returns for it.
///
/// `make` runs on the shard's thread within its executor, so the future may hold what cannot leave a thread. No future
/// starts before all executors stand; from then on each beats in `heartbeats`. Call [`super::preflight::check`] first:
/// glommio panics where `io_uring` is forbidden.
///
/// # Errors
///
/// If any shard gets no thread, no core or no executor. None runs then.
pub fn spawn_shards<F, Fut, T>(
    placement: &Placement,
    heartbeats: &Arc<Heartbeats>,
    make: F,
) -> Result<Vec<Shard<T>>, RuntimeError>
where
    F: Fn(ShardPlace) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let start = |place: &ShardPlace| start(place.clone(), heartbeats.clone(), make.clone());
    let starting: Vec<Starting<T>> = placement.shards.iter().map(start).collect::<Result<_, _>>()?;
    // On the first error the rest is dropped, and with it their start signals: those threads end by themselves.
    let ready = starting.into_iter().map(Starting::wait_until_ready).collect::<Result<Vec<_>, _>>()?;
    Ok(ready.into_iter().map(Starting::go).collect())
}

/// Starts an executor that is no shard, on a thread with this name that may run on these cores, as the future that `make`
/// returns for it. Nobody waits for its end. Call [`super::preflight::check`] first.
///
/// # Errors
/// In words: there is no such thread, or no executor.
pub fn spawn_aside<F, Fut>(name: &str, cpus: &CpuSet, make: F) -> Result<(), String>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (report, ready) = bounded(1);
    let cpus = cpus.clone();
    let run = move || {
        let pinned = affinity::restrict_current_thread(&cpus).map_err(|error| error.to_string());
        match pinned.and_then(|()| executor().map_err(|error| error.to_string())) {
            Ok(executor) => {
                let _ = report.send(Ok(()));
                executor.run(async move { make().await });
            }
            Err(reason) => drop(report.send(Err(reason))),
        }
    };
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| {
        format!("cannot start a thread: {error}; check `ulimit -u` and the cgroup's pids.max")
    })?;
    ready.recv().unwrap_or_else(|_| Err("its thread has panicked".to_owned()))
}

/// A shard between its thread's first breath and the start signal.
struct Starting<T> {
    shard: Shard<T>,
    ready: Receiver<Result<(), RuntimeError>>,
    go: Sender<()>,
}

impl<T> Starting<T> {
    fn wait_until_ready(self) -> Result<Self, RuntimeError> {
        match self.ready.recv() {
            Ok(Ok(())) => Ok(self),
            Ok(Err(error)) => Err(error),
            // It ended without a word: a panic, whose message the thread keeps.
            Err(_) => match self.shard.join() {
                Err(error) => Err(error),
                Ok(_) => unreachable!("a shard reports before it runs"),
            },
        }
    }

    fn go(self) -> Shard<T> {
        // A thread that is gone has panicked, and `join` tells.
        let _ = self.go.send(());
        self.shard
    }
}

fn start<F, Fut, T>(
    place: ShardPlace,
    heartbeats: Arc<Heartbeats>,
    make: F,
) -> Result<Starting<T>, RuntimeError>
where
    F: Fn(ShardPlace) -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let (report, ready) = bounded(1);
    let (go, signal) = bounded(1);
    let own_place = place.clone();
    let shard = place.index;
    let thread = thread::Builder::new()
        .name(format!("shard-{shard}"))
        .spawn(move || run(own_place, &heartbeats, make, &report, &signal))
        .map_err(|source| RuntimeError::NoThread { shard, source })?;
    Ok(Starting { shard: Shard { place, thread }, ready, go })
}

/// The life of a shard's thread. `None`: it was not to run, because it or another shard could not.
fn run<F, Fut, T>(
    place: ShardPlace,
    heartbeats: &Heartbeats,
    make: F,
    report: &Sender<Result<(), RuntimeError>>,
    signal: &Receiver<()>,
) -> Option<T>
where
    F: Fn(ShardPlace) -> Fut + 'static,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let executor = match pinned_executor(&place) {
        Ok(executor) => executor,
        Err(error) => {
            let _ = report.send(Err(error));
            return None;
        }
    };
    report.send(Ok(())).ok()?;
    signal.recv().ok()?;
    let alive = heartbeats.begin(place.index);
    let heartbeat = alive.heartbeat();
    Some(executor.run(async move {
        let beating = glommio::spawn_local(async move { heartbeat.beat().await }).detach();
        let value = make(place).await;
        beating.cancel();
        value
    }))
}

fn pinned_executor(place: &ShardPlace) -> Result<LocalExecutor, RuntimeError> {
    let &ShardPlace { index: shard, core, .. } = place;
    affinity::restrict_current_thread(&CpuSet::from_iter([core]))
        .map_err(|source| RuntimeError::NotPinned { shard, source })?;
    // `Fixed(core)` would read the whole machine's topology from sysfs again and again for each executor, and panics
    // where it cannot. The thread is pinned already; `Unbound` leaves that as it is. It does not spin before it sleeps.
    executor().map_err(|error| RuntimeError::NoExecutor { shard, core, reason: error.to_string() })
}

/// One on the calling thread, which stays where it may run.
fn executor() -> glommio::Result<LocalExecutor, ()> {
    LocalExecutorBuilder::new(Binding::Unbound).io_memory(IO_MEMORY_BYTES).ring_depth(RING_ENTRIES).make()
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        rc::Rc,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;
    use crate::runtime::{
        cores::{
            placement::{ClientThreads, CoresRequest, ShardLimits, plan},
            topology::Topology,
        },
        threads,
    };

    fn all_cores() -> Placement {
        let limits = ShardLimits { partitions: 8, max_buffered_records: None };
        plan(&Topology::detect().unwrap(), &CoresRequest::All, ClientThreads::Shard, &limits).unwrap()
    }

    #[test]
    fn each_shard_runs_pinned_and_named_on_its_own_core() {
        let placement = all_cores();
        let shards = spawn_shards(&placement, &Arc::default(), |place| async move {
            let not_send = Rc::new(place);
            glommio::timer::sleep(Duration::from_millis(1)).await;
            (Rc::unwrap_or_clone(not_send), threads::current().unwrap(), nix::sched::sched_getcpu().unwrap())
        });
        let shards = shards.unwrap();
        assert_eq!(shards.len(), placement.shards.len());
        for (shard, expected) in shards.into_iter().zip(&placement.shards) {
            assert_eq!(&shard.place, expected);
            let (place, thread, cpu) = shard.join().unwrap();
            assert_eq!(&place, expected);
            assert_eq!(thread.name, format!("shard-{}", place.index));
            assert_eq!(thread.cpus_allowed, CpuSet::from_iter([place.core]));
            assert_eq!(cpu, place.core);
        }
    }

    #[test]
    fn every_thread_that_a_shard_starts_is_on_its_core() {
        let mut placement = all_cores();
        placement.shards.drain(1..);
        // glommio's helper thread inherits its parent's name; the odd number tells them from other tests' threads.
        placement.shards[0].index = 77;
        let named = || threads::list().into_iter().filter(|thread| thread.name == "shard-77");
        // The kernel's list can leave one out when another ends just then, as those of other tests do.
        let both = move || (0..100).map(|_| named().collect::<Vec<_>>()).find(|found| found.len() == 2);
        let mut shards = spawn_shards(&placement, &Arc::default(), move |_| async move {
            both().unwrap_or_else(|| named().collect())
        })
        .unwrap();
        let core = CpuSet::from_iter([placement.shards[0].core]);
        let own = shards.remove(0).join().unwrap();
        assert_eq!(own.len(), 2, "{own:?}");
        assert!(own.iter().all(|thread| thread.cpus_allowed == core), "{own:?}");
    }

    #[test]
    fn no_shard_starts_unless_all_can() {
        let mut placement = all_cores();
        let mut impossible = placement.shards[0].clone();
        impossible.index = placement.shards.len();
        impossible.core = 1000;
        placement.shards.push(impossible);
        let started = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&started);
        let error = spawn_shards(&placement, &Arc::default(), move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            async {}
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("cannot restrict a thread to the CPUs `1000`"), "{message}");
        assert_eq!(started.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_panic_in_a_shard_is_an_error_of_join() {
        let mut placement = all_cores();
        placement.shards.drain(1..);
        let mut shards =
            spawn_shards(&placement, &Arc::default(), |place| async move { panic!("bug {}", place.index) })
                .unwrap();
        let error: Result<(), _> = shards.remove(0).join();
        assert_eq!(error.unwrap_err().to_string(), "shard 0 panicked: bug 0");
    }
}
