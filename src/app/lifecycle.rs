//! How far a run has come, and what it was asked to do next.
//!
//! Shards read two flags, each written a few times in the life of a process;
//! everything else here is for the threads around them.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The state that all threads of a run share.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    /// One of the constants below.
    stop: AtomicU8,
    last_pass: AtomicBool,
    begun: AtomicBool,
    activated: AtomicBool,
    work_done: AtomicBool,
    late: Mutex<Late>,
    bell: Condvar,
}

/// Nobody wants the work to end.
const GO_ON: u8 = 0;
/// The phase's time is up: its work ends, and the next phase begins.
const TIME_UP: u8 = 1;
/// All work ends.
const STOP: u8 = 2;

/// What is only looked at when the work is over.
#[derive(Debug, Default)]
struct Late {
    shutdown: bool,
    /// When the phase under way is to end.
    phase_ends: Option<Instant>,
    /// When it began, and how long it may take.
    phase: Option<(Instant, Duration)>,
    interruption: Option<String>,
    failure: Option<String>,
    halt: Option<(u8, String)>,
}

impl Lifecycle {
    /// Whether work must end now: drain, and go.
    #[must_use]
    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Relaxed) != GO_ON
    }

    /// Whether the run must end, and not only the phase under way.
    #[must_use]
    pub(crate) fn run_stop_requested(&self) -> bool {
        self.stop.load(Relaxed) == STOP
    }

    /// Whether the phase under way ends because its time is up.
    #[must_use]
    pub(crate) fn time_is_up(&self) -> bool {
        self.stop.load(Relaxed) == TIME_UP
    }

    /// A phase begins that may take so long; the time of the one before does not matter any more.
    pub(crate) fn begin_phase(&self, limit: Option<Duration>) {
        let mut late = self.late();
        late.phase = limit.map(|limit| (Instant::now(), limit));
        late.phase_ends = late.phase.map(|(began, limit)| began + limit);
        let _ = self.stop.compare_exchange(TIME_UP, GO_ON, Relaxed, Relaxed);
    }

    /// Ends the phase under way when its time is up.
    pub(crate) fn look_at_time(&self, now: Instant) {
        let mut late = self.late();
        if late.phase_ends.is_some_and(|end| now >= end) {
            late.phase_ends = None;
            let _ = self.stop.compare_exchange(GO_ON, TIME_UP, Relaxed, Relaxed);
        }
    }

    /// How long the phase under way has taken, and how long it may take; `None` without a limit.
    #[must_use]
    pub(crate) fn phase_time(&self) -> Option<(Duration, Duration)> {
        self.late().phase.map(|(began, limit)| (began.elapsed(), limit))
    }

    /// Whether the pass under way is the last.
    #[must_use]
    pub(crate) fn last_pass_requested(&self) -> bool {
        self.last_pass.load(Relaxed)
    }

    /// What the first phase needed at its start is there: a record was acked, or it is known where what is read begins and
    /// ends, or a member was taken in.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Relaxed);
    }

    /// Whether the run has begun: from then on whatever it needs is waited for without limit, also by who waited before.
    #[must_use]
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    /// Ends the work.
    pub(crate) fn request_stop(&self) {
        self.stop.store(STOP, Relaxed);
        self.bell.notify_all();
    }

    /// Lets the pass under way be the last.
    pub(crate) fn request_last_pass(&self) {
        self.last_pass.store(true, Relaxed);
    }

    /// Lets a repeater that waits for it produce. Once is enough, and more does no harm.
    pub(crate) fn activate(&self) {
        self.activated.store(true, Relaxed);
    }

    /// Whether a repeater may produce.
    #[must_use]
    pub(crate) fn is_activated(&self) -> bool {
        self.activated.load(Relaxed)
    }

    /// Whether the process was asked to exit.
    #[must_use]
    pub(crate) fn shutdown_requested(&self) -> bool {
        self.late().shutdown
    }

    /// Lets the process exit once the work is done.
    pub(crate) fn request_shutdown(&self) {
        self.late().shutdown = true;
        self.bell.notify_all();
    }

    /// Ends the work because somebody wants it to end: a signal, or a request. Work that is done is not interrupted.
    pub(crate) fn interrupt(&self, by: &str) {
        if !self.work_is_done() {
            self.late().interruption.get_or_insert_with(|| by.to_owned());
        }
        self.request_stop();
    }

    /// Who has ended the work before it was done.
    #[must_use]
    pub(crate) fn interruption(&self) -> Option<String> {
        self.late().interruption.clone()
    }

    /// Ends the work because it cannot be done; the first reason counts.
    pub(crate) fn fail(&self, reason: String) {
        self.late().failure.get_or_insert(reason);
        self.request_stop();
    }

    /// What ends the work, before anybody has judged it: if that never happens, because something hangs, this is how the
    /// process ends. A broken promise (exit code 1) counts more than whatever else went wrong, and then the first.
    pub(crate) fn note_halt(&self, exit_code: u8, reason: impl FnOnce() -> String) {
        let mut late = self.late();
        if late.halt.as_ref().is_none_or(|(known, _)| *known != 1 && exit_code == 1) {
            late.halt = Some((exit_code, reason()));
        }
    }

    /// That: the exit code, and why.
    #[must_use]
    pub(crate) fn halt(&self) -> Option<(u8, String)> {
        self.late().halt.clone()
    }

    /// Why the work could not be done.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<String> {
        self.late().failure.clone()
    }

    /// All workers have ended.
    pub(crate) fn finish_work(&self) {
        self.work_done.store(true, Relaxed);
    }

    /// Whether all workers have ended.
    #[must_use]
    pub(crate) fn work_is_done(&self) -> bool {
        self.work_done.load(Relaxed)
    }

    /// Blocks until the process may exit.
    pub(crate) fn wait_for_shutdown(&self) {
        let mut late = self.late();
        while !late.shutdown {
            // The time-out makes a lost bell harmless.
            late = match self.bell.wait_timeout(late, Duration::from_millis(500)) {
                Ok((late, _)) => late,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_what_a_forced_end_tells() {
        let lifecycle = Lifecycle::default();
        assert_eq!(lifecycle.halt(), None);
        let (broker, lost) = ((3, "no broker"), (1, "lost"));
        let steps =
            [(broker, broker), ((3, "no disk"), broker), (lost, lost), ((1, "moved"), lost), (broker, lost)];
        for ((code, reason), told) in steps {
            lifecycle.note_halt(code, || reason.to_owned());
            assert_eq!(lifecycle.halt(), Some((told.0, told.1.to_owned())));
        }
    }

    #[test]
    fn first_failure_counts_and_stops_the_work() {
        let lifecycle = Lifecycle::default();
        assert!(!lifecycle.stop_requested());
        lifecycle.fail("first".into());
        lifecycle.fail("second".into());
        assert_eq!(lifecycle.failure().as_deref(), Some("first"));
        assert!(lifecycle.stop_requested());
    }

    #[test]
    fn who_interrupts_first_is_named_and_work_that_is_done_is_not_interrupted() {
        let (lifecycle, done) = (Lifecycle::default(), Lifecycle::default());
        lifecycle.interrupt("SIGTERM");
        lifecycle.interrupt("/shutdown");
        assert_eq!(lifecycle.interruption().as_deref(), Some("SIGTERM"));
        done.finish_work();
        done.interrupt("SIGTERM");
        assert!(done.stop_requested() && done.interruption().is_none());
    }

    #[test]
    fn time_that_is_up_ends_a_phase_and_not_the_run() {
        let lifecycle = Lifecycle::default();
        let later = Instant::now() + Duration::from_secs(100);
        lifecycle.look_at_time(later);
        assert!(!lifecycle.stop_requested(), "without a limit");
        assert_eq!(lifecycle.phase_time(), None);
        lifecycle.begin_phase(Some(Duration::from_secs(20)));
        let (taken, limit) = lifecycle.phase_time().unwrap();
        assert!(taken < limit && limit == Duration::from_secs(20), "{taken:?} of {limit:?}");
        lifecycle.look_at_time(Instant::now());
        assert!(!lifecycle.stop_requested());
        lifecycle.look_at_time(later);
        assert!(lifecycle.stop_requested() && lifecycle.time_is_up() && !lifecycle.run_stop_requested());
        lifecycle.begin_phase(Some(Duration::from_secs(20)));
        assert!(!lifecycle.stop_requested());
        lifecycle.request_stop();
        lifecycle.look_at_time(later);
        lifecycle.begin_phase(None);
        assert!(lifecycle.run_stop_requested() && !lifecycle.time_is_up(), "a run that ends stays so");
    }

    #[test]
    fn shutdown_wakes_whoever_waits() {
        let lifecycle = Lifecycle::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| lifecycle.wait_for_shutdown());
            lifecycle.request_shutdown();
            waiter.join().unwrap();
        });
        assert!(!lifecycle.stop_requested(), "the exit waits for the work, it does not end it");
    }
}
