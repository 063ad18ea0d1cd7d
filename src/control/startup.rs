//! Waiting for what a run needs at the start.

use std::time::{Duration, Instant};

use crate::{
    app::Shared,
    findings::{Awaited, Waiting, complained, complaints},
    kafka::Trouble,
    mutants::enforced,
};

/// How long something that the cluster refuses is waited for: somebody may be about to change it.
const REFUSAL_LIMIT: Duration = Duration::from_secs(30);

/// How long something is waited for before anybody is asked about it.
const QUIET: Duration = Duration::from_secs(10);

/// One wait. It is said after 10 s, and ends the run where there is a limit, or where it is for nothing.
pub(crate) struct StartWait<'a> {
    shared: &'a Shared,
    waiting: Waiting,
    worker: &'static str,
    since: Instant,
    limit: Option<Duration>,
    refused: bool,
}

impl<'a> StartWait<'a> {
    /// By this worker, for instance `the producer`. `limit` is `--startup-timeout`, where it is given: it holds until the
    /// run has begun, whoever waits.
    #[must_use]
    pub(crate) fn new(shared: &'a Shared, worker: &'static str, limit: Option<Duration>) -> Self {
        let waiting = Waiting::new(worker);
        Self { shared, waiting, worker, since: Instant::now(), limit, refused: false }
    }

    /// It waits. Returns whether it should go on with that: the run may be stopped, or this wait has just ended it.
    pub(crate) fn still(&mut self, awaited: impl Fn() -> Awaited) -> bool {
        self.still_in(|| awaited().into())
    }

    /// The same, where what is waited for may be refused by the cluster.
    pub(crate) fn still_in(&mut self, trouble: impl Fn() -> Trouble) -> bool {
        if self.shared.lifecycle.stop_requested() {
            return false;
        }
        let waited = self.since.elapsed();
        if let Some(limit) = self.limit().filter(|limit| waited >= *limit) {
            let Self { worker, .. } = self;
            let (awaited, reason) = (trouble().awaited, complained(complaints().latest().as_ref()));
            self.shared.lifecycle.fail(format!(
                "{worker} has waited {}s (--startup-timeout) for {awaited}{reason}",
                limit.as_secs_f64()
            ));
            return false;
        }
        let refused = &mut self.refused;
        self.waiting.still(&self.shared.waits, || {
            let Trouble { awaited, is_denied, .. } = trouble();
            *refused = is_denied;
            awaited
        });
        if self.refused && waited >= REFUSAL_LIMIT {
            let Trouble { awaited, is_denied, .. } = trouble();
            self.refused = is_denied;
            if is_denied {
                let (worker, reason) = (self.worker, complained(complaints().latest().as_ref()));
                self.shared
                    .lifecycle
                    .fail(format!("{worker} has waited {} s for {awaited}{reason}", waited.as_secs()));
            }
            return !is_denied;
        }
        true
    }

    /// The same, where nothing may be missing any more: then the wait is over.
    pub(crate) fn still_if(&mut self, trouble: impl Fn() -> Option<Trouble>) {
        let waited = self.since.elapsed();
        let is_asked = waited >= QUIET || self.limit().is_some_and(|limit| waited >= limit);
        match is_asked.then(&trouble) {
            Some(None) => self.over(),
            Some(Some(found)) => _ = self.still_in(|| found.clone()),
            None => {}
        }
    }

    /// It has waited since then already.
    pub(crate) fn began(&mut self, since: Instant) {
        if self.waiting.began(since) {
            self.since = since;
        }
    }

    /// What was waited for has come; the next wait begins anew.
    pub(crate) fn over(&mut self) {
        self.waiting.over(&self.shared.waits);
        self.since = Instant::now();
        self.refused = false;
    }

    /// What was waited for is not needed any more.
    pub(crate) fn not_needed(&mut self) {
        self.waiting.not_needed(&self.shared.waits);
    }

    /// The work is over: where it was not stopped, whatever was waited for has come.
    pub(crate) fn ended(&mut self) {
        if !self.shared.lifecycle.stop_requested() {
            self.over();
        }
    }

    fn limit(&self) -> Option<Duration> {
        self.limit.filter(|_| !self.shared.lifecycle.has_begun() || !enforced("no-limit-once-begun"))
    }
}
