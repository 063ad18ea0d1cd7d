//! Whether shards still come round.
//!
//! Everything on a shard takes turns on one thread. A call that blocks there holds up all of it, and nobody on that shard
//! can tell. So each shard beats, and the control thread listens: a shard that misses its beats is named, with what the
//! kernel says of its thread, which tells a blocked call from a loop without an end, and both from a core that others use.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::unistd::{SysconfVar, gettid, sysconf};

use super::threads::{self, ThreadInfo};

/// How often a shard beats.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// How often it is listened to.
pub const LISTEN_EVERY: Duration = Duration::from_secs(1);

/// Looks without a beat after which a shard is named. Looks and not seconds: a process that was stopped, with its
/// machine or without, has missed no beat.
const PATIENCE_LOOKS: u32 = 5;

/// The beats of one shard.
#[derive(Debug)]
pub(super) struct Pulse {
    shard: usize,
    tid: u32,
    beats: AtomicU64,
}

impl Pulse {
    /// Beats for as long as it is polled: on the shard's own executor, as one of its tasks.
    pub(super) async fn beat(&self) {
        loop {
            glommio::timer::sleep(BEAT_EVERY).await;
            self.beats.fetch_add(1, Relaxed);
        }
    }
}

/// The pulses of all shards that live.
#[derive(Debug, Default)]
pub struct Pulses(Mutex<Vec<Weak<Pulse>>>);

impl Pulses {
    /// That of a shard, whose thread calls this.
    pub(super) fn begin(&self, shard: usize) -> Arc<Pulse> {
        let tid = gettid().as_raw().unsigned_abs();
        let pulse = Arc::new(Pulse { shard, tid, beats: AtomicU64::new(0) });
        self.all().push(Arc::downgrade(&pulse));
        pulse
    }

    /// Touched where shards begin, and once a second by the control thread.
    fn all(&self) -> MutexGuard<'_, Vec<Weak<Pulse>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn living(&self) -> Vec<Arc<Pulse>> {
        let mut all = self.all();
        all.retain(|pulse| pulse.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}

/// What there is to say of a shard.
#[derive(Debug)]
pub enum Word {
    /// It stands still.
    Stands {
        /// Its number.
        shard: usize,
        /// For how long at least.
        time: Duration,
        /// CPU time that its thread has had meanwhile, where the kernel tells.
        used: Option<Duration>,
        /// What the thread does now.
        thread: Option<ThreadInfo>,
    },
    /// It goes on.
    GoesOn {
        /// Its number.
        shard: usize,
        /// How long it stood.
        time: Duration,
    },
}

impl fmt::Display for Word {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoesOn { shard, time } => {
                write!(formatter, "shard {shard} goes on, after {:.1} s", time.as_secs_f64())
            }
            Self::Stands { shard, time, used, thread } => {
                write!(formatter, "shard {shard} has not come round for {:.0} s", time.as_secs_f64())?;
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
                }
            }
        }
    }
}

/// Who listens to the pulses.
#[derive(Debug, Default)]
pub struct Listener(Vec<Heard>);

/// What was heard of one shard last.
#[derive(Debug)]
struct Heard {
    pulse: Weak<Pulse>,
    beats: u64,
    since: Instant,
    /// Looks since the last beat.
    missed_looks: u32,
    cpu_ticks: Option<u64>,
}

impl Listener {
    /// Listens once to each shard.
    pub fn look(&mut self, pulses: &Pulses, now: Instant) -> Vec<Word> {
        self.0.retain(|heard| heard.pulse.strong_count() > 0);
        pulses.living().iter().filter_map(|pulse| self.heard(pulse, now).look(pulse, now)).collect()
    }

    fn heard(&mut self, pulse: &Arc<Pulse>, now: Instant) -> &mut Heard {
        let known = self.0.iter().position(|heard| std::ptr::eq(heard.pulse.as_ptr(), Arc::as_ptr(pulse)));
        let index = known.unwrap_or_else(|| {
            self.0.push(Heard::new(pulse, now));
            self.0.len() - 1
        });
        &mut self.0[index]
    }
}

impl Heard {
    fn new(pulse: &Arc<Pulse>, now: Instant) -> Self {
        Self {
            pulse: Arc::downgrade(pulse),
            beats: pulse.beats.load(Relaxed),
            since: now,
            missed_looks: 0,
            cpu_ticks: None,
        }
    }

    fn look(&mut self, pulse: &Arc<Pulse>, now: Instant) -> Option<Word> {
        let (shard, time) = (pulse.shard, now.duration_since(self.since));
        if pulse.beats.load(Relaxed) != self.beats {
            let was_named = self.missed_looks >= PATIENCE_LOOKS;
            *self = Self::new(pulse, now);
            return was_named.then_some(Word::GoesOn { shard, time });
        }
        self.missed_looks += 1;
        match self.missed_looks {
            // From here on it is suspected.
            1 => self.cpu_ticks = threads::of(pulse.tid).map(|thread| cpu_ticks(&thread)),
            PATIENCE_LOOKS => {
                let thread = threads::of(pulse.tid);
                let ticks = thread
                    .as_ref()
                    .zip(self.cpu_ticks)
                    .map(|(now, then)| cpu_ticks(now).saturating_sub(then));
                return Some(Word::Stands { shard, time, used: ticks.and_then(duration), thread });
            }
            _ => {}
        }
        None
    }
}

fn cpu_ticks(thread: &ThreadInfo) -> u64 {
    thread.user_ticks + thread.system_ticks
}

fn duration(ticks: u64) -> Option<Duration> {
    let per_s = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(Duration::from_secs_f64(ticks as f64 / per_s as f64))
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;

    use super::*;
    use crate::runtime::{
        executor,
        placement::{self, ClientThreads, CoresRequest, ShardLimits},
        topology::Topology,
    };

    fn looks(listener: &mut Listener, pulses: &Pulses, seconds: std::ops::Range<u64>) -> Vec<String> {
        let start = Instant::now();
        let look = |second| listener.look(pulses, start + Duration::from_secs(second));
        seconds.flat_map(look).map(|word| word.to_string()).collect()
    }

    #[test]
    fn a_shard_that_stands_still_is_named_once_and_again_when_it_goes_on() {
        let (pulses, mut listener) = (Pulses::default(), Listener::default());
        let (still, beating) = (pulses.begin(3), pulses.begin(4));
        let start = Instant::now();
        let mut words = Vec::new();
        for second in 0..20 {
            beating.beats.fetch_add(1, Relaxed);
            if second == 12 {
                still.beats.fetch_add(1, Relaxed);
            }
            let heard = listener.look(&pulses, start + Duration::from_secs(second));
            words.extend(heard.iter().map(|word| (second, word.to_string())));
        }
        assert_eq!(words.len(), 3, "{words:?}");
        assert_eq!(words[0].0, 4, "{words:?}");
        // This thread is the shard's, and it runs.
        assert!(
            words[0].1.starts_with("shard 3 has not come round for 4 s; its thread has used "),
            "{words:?}"
        );
        assert!(words[0].1.ends_with(" s of CPU since, and runs or waits for its core"), "{words:?}");
        assert_eq!(words[1], (12, "shard 3 goes on, after 12.0 s".to_owned()));
        assert_eq!(words[2].0, 17, "{words:?}");
    }

    #[test]
    fn a_process_that_was_stopped_has_missed_one_look() {
        let (pulses, mut listener) = (Pulses::default(), Listener::default());
        let pulse = pulses.begin(0);
        let start = Instant::now();
        assert!(listener.look(&pulses, start).is_empty());
        assert!(listener.look(&pulses, start + Duration::from_hours(1)).is_empty());
        pulse.beats.fetch_add(1, Relaxed);
        assert!(listener.look(&pulses, start + Duration::from_hours(2)).is_empty());
    }

    #[test]
    fn a_shard_that_has_ended_is_nothing_to_speak_of() {
        let (pulses, mut listener) = (Pulses::default(), Listener::default());
        drop(pulses.begin(0));
        assert!(looks(&mut listener, &pulses, 0..20).is_empty());
        assert!(listener.0.is_empty() && pulses.all().is_empty());
    }

    #[test]
    fn a_call_that_blocks_a_shard_is_noticed_from_outside() {
        let limits = ShardLimits { partitions: 1, max_buffered_records: None };
        let plan =
            placement::plan(&Topology::detect().unwrap(), &CoresRequest::Auto, ClientThreads::Shard, &limits);
        let (pulses, mut listener) = (Arc::new(Pulses::default()), Listener::default());
        let ((unblock, blocked), (end, ended)) = (bounded::<()>(0), bounded::<()>(0));
        let shards = executor::spawn_shards(&plan.unwrap(), &pulses, move |_| {
            let (blocked, ended) = (blocked.clone(), ended.clone());
            async move {
                // No task of a shard may do that.
                blocked.recv().unwrap();
                while ended.try_recv().is_err() {
                    glommio::timer::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        // Its thread gets that far at some time, and never to a beat.
        let mut words = Vec::new();
        while words.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
            words = looks(&mut listener, &pulses, 0..1);
        }
        assert!(words[0].starts_with("shard 0 has not come round for "), "{words:?}");
        assert!(words[0].contains("; its thread has used "), "{words:?}");
        unblock.send(()).unwrap();
        words.clear();
        while words.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
            words = looks(&mut listener, &pulses, 0..1);
        }
        assert!(words[0].starts_with("shard 0 goes on, after "), "{words:?}");
        end.send(()).unwrap();
        for shard in shards.unwrap() {
            shard.join().unwrap();
        }
        assert!(listener.look(&pulses, Instant::now()).is_empty() && pulses.all().is_empty());
    }
}
