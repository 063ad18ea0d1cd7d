//! Whether shards still come round.
//!
//! Everything on a shard takes turns on one thread. A call that blocks there holds up all of it, and nobody on that shard
//! can tell. So each shard beats, and the control thread listens: a shard that misses its beats is named, with what the
//! kernel says of its thread, which tells a blocked call from a loop without an end, and both from a core that others use.
//!
//! A shard that sleeps in its ring although its timers are over will not wake by itself: the kernel has posted what it
//! waits for, and has not woken it (seen on Linux 6.18; others have seen the same). A signal to its thread ends the wait, as
//! if something had come: the executor then takes what lies in its rings, and looks at its timers. So that is sent.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::{
        pthread::{Pthread, pthread_kill, pthread_self},
        signal::{SigSet, Signal},
    },
    unistd::{SysconfVar, gettid, sysconf},
};

use super::threads::{self, ThreadInfo};

/// How often a shard beats.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// How often it is listened to.
pub(crate) const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// Looks without a beat after which a shard is named. Looks and not seconds: a process that was stopped, with its
/// machine or without, has missed no beat.
const PATIENCE_LOOKS: u32 = 10;
/// Looks without a beat from which on a shard that sleeps is woken: at most 1.5 s after its last beat.
const WAKING_LOOKS: u32 = 2;

/// What wakes a shard. Nobody uses it, what it does by default is nothing, and a thread goes on with most calls behind it.
const WAKING_SIGNAL: Signal = Signal::SIGURG;

/// The beats of one shard.
#[derive(Debug)]
pub(super) struct Heartbeat {
    shard: usize,
    tid: u32,
    thread: Pthread,
    beats: AtomicU64,
}

impl Heartbeat {
    /// Beats for as long as it is polled: on the shard's own executor, as one of its tasks.
    pub(super) async fn beat(&self) {
        loop {
            glommio::timer::sleep(BEAT_EVERY).await;
            self.beats.fetch_add(1, Relaxed);
        }
    }
}

/// The heartbeats of all shards that live.
#[derive(Debug, Default)]
pub struct Heartbeats {
    all: Mutex<Vec<Weak<Heartbeat>>>,
    woken: AtomicU64,
}

/// A shard's thread, for as long as it is one: only then may it be sent a signal.
#[derive(Debug)]
pub(super) struct Alive<'a> {
    heartbeats: &'a Heartbeats,
    heartbeat: Arc<Heartbeat>,
}

impl Heartbeats {
    /// That of a shard, whose thread calls this and keeps the value.
    pub(super) fn begin(&self, shard: usize) -> Alive<'_> {
        let tid = gettid().as_raw().unsigned_abs();
        let heartbeat = Arc::new(Heartbeat { shard, tid, thread: pthread_self(), beats: AtomicU64::new(0) });
        if can_wake() {
            // Whoever started this process may have blocked it.
            let _ = SigSet::from(WAKING_SIGNAL).thread_unblock();
        }
        self.all().push(Arc::downgrade(&heartbeat));
        Alive { heartbeats: self, heartbeat }
    }

    /// How often a shard slept past its timers, and went on when it was woken.
    #[must_use]
    pub fn woken(&self) -> u64 {
        self.woken.load(Relaxed)
    }

    /// Touched where shards begin and end, and twice a second by the control thread.
    fn all(&self) -> MutexGuard<'_, Vec<Weak<Heartbeat>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn living(&self) -> Vec<Arc<Heartbeat>> {
        self.all().iter().filter_map(Weak::upgrade).collect()
    }

    /// Sends a signal to a shard's thread. Returns whether it was sent.
    fn wake(&self, heartbeat: &Heartbeat) -> bool {
        // Its thread must take this lock before it ends.
        let all = self.all();
        let lives = all.iter().any(|other| std::ptr::eq(other.as_ptr(), heartbeat));
        lives && can_wake() && pthread_kill(heartbeat.thread, WAKING_SIGNAL).is_ok()
    }
}

impl Alive<'_> {
    /// What beats.
    pub(super) fn heartbeat(&self) -> Arc<Heartbeat> {
        self.heartbeat.clone()
    }
}

impl Deref for Alive<'_> {
    type Target = Heartbeat;

    fn deref(&self) -> &Heartbeat {
        &self.heartbeat
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        let own = Arc::as_ptr(&self.heartbeat);
        self.heartbeats.all().retain(|heartbeat| !std::ptr::eq(heartbeat.as_ptr(), own));
    }
}

/// Whether the signal has a handler, as a wait ends only where one was called. It is installed by the first call.
fn can_wake() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let nobody_looks = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(WAKING_SIGNAL as i32, nobody_looks).is_ok()
    })
}

/// What there is to say of a shard.
#[derive(Debug)]
pub(crate) enum ShardHealth {
    /// It stands still.
    Stalled {
        /// Its number.
        shard: usize,
        /// For how long at least.
        time: Duration,
        /// CPU time that its thread has had meanwhile, where the kernel tells.
        used: Option<Duration>,
        /// What the thread does now.
        thread: Option<ThreadInfo>,
        /// How often it was tried to wake it.
        wakings: u32,
    },
    /// It slept past its timers, and was woken. Said once in a run: [`Heartbeats::woken`] counts.
    Woken {
        /// Its number.
        shard: usize,
        /// From the last beat that was heard to the signal; when it beat again is seen at a later look only.
        time: Duration,
    },
    /// It goes on.
    Recovered {
        /// Its number.
        shard: usize,
        /// How long it stood.
        time: Duration,
    },
}

impl fmt::Display for ShardHealth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recovered { shard, time } => {
                write!(formatter, "shard {shard} goes on, after {:.1} s", time.as_secs_f64())
            }
            Self::Woken { shard, time } => write!(
                formatter,
                "shard {shard} slept for {:.1} s, past its timers, until it was woken: this kernel's io_uring has lost \
                 a wake-up. Further ones are counted, and no more is said of them; rates and latencies of those seconds \
                 tell nothing of the brokers, and another kernel may not do it",
                time.as_secs_f64()
            ),
            Self::Stalled { shard, time, used, thread, wakings } => {
                write!(formatter, "shard {shard} has missed its heartbeats for {:.0} s", time.as_secs_f64())?;
                if let Some(used) = used {
                    write!(formatter, "; its thread has used {:.2} s of CPU since", used.as_secs_f64())?;
                }
                match thread {
                    Some(ThreadInfo { state: 'R', .. }) => {
                        formatter.write_str(", and runs or waits for its core")
                    }
                    Some(ThreadInfo { wchan, .. }) if !wchan.is_empty() => {
                        write!(formatter, ", and sleeps in {wchan}")
                    }
                    Some(_) => formatter.write_str(", and sleeps"),
                    None => Ok(()),
                }?;
                if *wakings > 0 {
                    write!(formatter, "; it was sent {wakings} signals, and none has woken it")?;
                }
                Ok(())
            }
        }
    }
}

/// Who listens to the heartbeats.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    heard: Vec<Heard>,
    /// It was said that shards have to be woken.
    told_of_waking: bool,
}

/// What was heard of one shard last.
#[derive(Debug)]
struct Heard {
    heartbeat: Weak<Heartbeat>,
    beats: u64,
    since: Instant,
    /// Looks since the last beat.
    missed_looks: u32,
    /// Signals since the last beat.
    wakings: u32,
    /// When the last of them was sent, since then.
    woken_after: Duration,
    cpu_ticks: Option<u64>,
}

impl Listener {
    /// Listens once to each shard, and wakes those that sleep for too long.
    pub(crate) fn look(&mut self, heartbeats: &Heartbeats, now: Instant) -> Vec<ShardHealth> {
        self.heard.retain(|heard| heard.heartbeat.strong_count() > 0);
        let words = heartbeats.living().into_iter().filter_map(|heartbeat| {
            let word = self.heard(&heartbeat, now)?.look(heartbeats, &heartbeat, now)?;
            let is_known = matches!(word, ShardHealth::Woken { .. })
                && std::mem::replace(&mut self.told_of_waking, true);
            (!is_known).then_some(word)
        });
        words.collect()
    }

    /// What was heard of it last; `None` where it is new, which is no look without a beat.
    fn heard(&mut self, heartbeat: &Arc<Heartbeat>, now: Instant) -> Option<&mut Heard> {
        let known = self
            .heard
            .iter()
            .position(|heard| std::ptr::eq(heard.heartbeat.as_ptr(), Arc::as_ptr(heartbeat)));
        if known.is_none() {
            self.heard.push(Heard::new(heartbeat, now));
        }
        self.heard.get_mut(known?)
    }
}

impl Heard {
    fn new(heartbeat: &Arc<Heartbeat>, now: Instant) -> Self {
        Self {
            heartbeat: Arc::downgrade(heartbeat),
            beats: heartbeat.beats.load(Relaxed),
            since: now,
            missed_looks: 0,
            wakings: 0,
            woken_after: Duration::ZERO,
            cpu_ticks: None,
        }
    }

    fn look(
        &mut self,
        heartbeats: &Heartbeats,
        heartbeat: &Arc<Heartbeat>,
        now: Instant,
    ) -> Option<ShardHealth> {
        let (shard, time) = (heartbeat.shard, now.duration_since(self.since));
        if heartbeat.beats.load(Relaxed) != self.beats {
            let (was_named, was_woken) = (self.missed_looks >= PATIENCE_LOOKS, self.wakings > 0);
            let slept = self.woken_after;
            *self = Self::new(heartbeat, now);
            if was_woken {
                heartbeats.woken.fetch_add(1, Relaxed);
            }
            return match (was_named, was_woken) {
                (true, _) => Some(ShardHealth::Recovered { shard, time }),
                (false, true) => Some(ShardHealth::Woken { shard, time: slept }),
                (false, false) => None,
            };
        }
        self.missed_looks += 1;
        let thread = threads::of(heartbeat.tid);
        if self.missed_looks >= WAKING_LOOKS
            && sleeps_in_its_ring(thread.as_ref())
            && heartbeat.beats.load(Relaxed) == self.beats
            && heartbeats.wake(heartbeat)
        {
            self.wakings += 1;
            self.woken_after = time;
        }
        match self.missed_looks {
            // From here on it is suspected.
            1 => self.cpu_ticks = thread.as_ref().map(cpu_ticks),
            PATIENCE_LOOKS => {
                let ticks = thread
                    .as_ref()
                    .zip(self.cpu_ticks)
                    .map(|(now, then)| cpu_ticks(now).saturating_sub(then));
                let used = ticks.and_then(duration);
                return Some(ShardHealth::Stalled { shard, time, used, thread, wakings: self.wakings });
            }
            _ => {}
        }
        None
    }
}

/// Whether a thread sleeps where a signal may help. One that runs, or waits for its core, comes round by itself; what
/// sleeps in another call than its ring's is not helped. Where the kernel does not say in which, it is tried.
fn sleeps_in_its_ring(thread: Option<&ThreadInfo>) -> bool {
    thread.is_none_or(|ThreadInfo { state, wchan, .. }| {
        *state == 'S' && (wchan.is_empty() || wchan.starts_with("io_"))
    })
}

fn cpu_ticks(thread: &ThreadInfo) -> u64 {
    thread.user_ticks + thread.system_ticks
}

fn duration(ticks: u64) -> Option<Duration> {
    let per_s = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(Duration::from_secs_f64(ticks as f64 / per_s as f64))
}

#[cfg(test)]
#[path = "heartbeat_tests.rs"]
mod tests;
