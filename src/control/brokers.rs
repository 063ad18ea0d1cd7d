//! What there is to say of the brokers: who goes and comes back, who does not let us in, and what the client complains of.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::limits::{self, Outages};
use crate::{
    app::Shared,
    findings::{Patience, complaints},
    kafka::{BrokerChange, BrokerStates, Look},
    mutants::enforced,
};

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    states: BrokerStates,
    admission: Patience,
    outages: Outages,
    work: Work,
}

/// How much the run has done, and since when that has not changed.
#[derive(Debug, Default)]
struct Work(Option<(u64, Instant)>);

/// How long a run must have stood still for a client that is refused to be what keeps it from going on: what was under way
/// may still come.
const STANDS_STILL: Duration = Duration::from_secs(20);
/// How long a refusal lasts before it ends a run.
const REFUSED: Duration = Duration::from_secs(30);

impl Brokers {
    /// Says what is new, once, and ends a run that no broker lets in any more.
    pub(super) fn tell(&mut self, shared: &Arc<Shared>) {
        let Some(observer) = shared.observer.get() else { return };
        let (look, now) = (observer.look(&mut self.states), Instant::now());
        for complaint in complaints().news() {
            tracing::warn!("{complaint}");
        }
        let (now_up, known) = self.states.count_up();
        shared.brokers.up.store(now_up, Relaxed);
        shared.brokers.known.store(known, Relaxed);
        for BrokerChange { broker, up } in &look.changes {
            self.outages.note(broker, *up, now);
            if *up {
                tracing::info!("broker {broker} is back ({now_up} of {known} up)");
            } else if !complaints().is_explained(broker) {
                tracing::warn!("broker {broker} is gone ({now_up} of {known} up); waiting for it");
            }
        }
        let refused = complaints().refused();
        let stuck = self.work.is_stuck(shared.work_done(), refused, now);
        if let Some(reason) = self.shut_out(&look, now).or(stuck).filter(|_| !shared.lifecycle.work_is_done())
        {
            shared.lifecycle.fail(reason);
        }
        self.end_after_outage(shared, now);
    }

    /// Ends a run that was told to wait for brokers only for so long.
    fn end_after_outage(&self, shared: &Arc<Shared>, now: Instant) {
        let limit = shared.ending.asked.common().limits.max_outage;
        if let Some(limit) = limit.filter(|_| !shared.lifecycle.run_stop_requested())
            && let Some(broker) = self.outages.beyond(limit, now)
        {
            let reason = format!("broker {broker} has been away for longer than {limit:?} (--max-outage)");
            let shared = shared.clone();
            tokio::spawn(async move { limits::give_up(&shared, reason).await });
        }
    }

    /// Why the run cannot go on, when brokers have refused us for long and none has let us in meanwhile.
    fn shut_out(&mut self, look: &Look, now: Instant) -> Option<String> {
        if look.any_up {
            self.admission.succeeded();
        }
        let reason = look.refusals.last()?;
        self.admission.failed(now).then(|| format!("the brokers have not let us in for 30 s: {reason}"))
    }
}

impl Work {
    /// Why the run cannot go on, when one of its clients is refused again and again, and nothing is done any more, although
    /// whoever watches the brokers is still connected.
    fn is_stuck(&mut self, done: u64, refused: Option<(Instant, String)>, now: Instant) -> Option<String> {
        let (known, since) = *self.0.get_or_insert((done, now));
        if known != done {
            self.0 = Some((done, now));
            return None;
        }
        let (refused_since, words) = refused?;
        let is_stuck =
            now.duration_since(refused_since) >= REFUSED && now.duration_since(since) >= STANDS_STILL;
        (is_stuck && enforced("refused-client"))
            .then(|| format!("a client has not been let in for 30 s, and the run stands still: {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Refusal;

    #[test]
    fn a_client_that_is_refused_ends_a_run_that_stands_still() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let refused = || Some((at(10), "no: check user".to_owned()));
        let mut work = Work::default();
        assert_eq!(work.is_stuck(5, None, at(0)), None);
        assert_eq!(work.is_stuck(6, refused(), at(15)), None, "what was under way has come");
        assert_eq!(work.is_stuck(6, refused(), at(36)), None, "not for long enough");
        let reason = work.is_stuck(6, refused(), at(40)).expect("a reason");
        assert!(reason.ends_with("stands still: no: check user"), "{reason}");
        assert_eq!(work.is_stuck(6, None, at(99)), None, "nobody is refused");
        assert_eq!(work.is_stuck(7, refused(), at(100)), None, "others get on with it");
        assert_eq!(work.is_stuck(7, refused(), at(119)), None);
    }

    fn look(refusals: &[&str], any_up: bool) -> Look {
        let refusal = |words: &&str| Refusal {
            words: (*words).to_owned(),
            remedy: "check user, password and --sasl-mechanism".to_owned(),
        };
        Look { refusals: refusals.iter().map(refusal).collect(), any_up, ..Look::default() }
    }

    #[test]
    fn who_is_refused_for_half_a_minute_by_all_is_shut_out() {
        let (mut brokers, start) = (Brokers::default(), Instant::now());
        let mut at = |second, look: &Look| brokers.shut_out(look, start + Duration::from_secs(second));
        let refused = look(&["b: SASL authentication error: no"], false);
        assert_eq!(at(0, &refused), None);
        assert_eq!(at(29, &refused), None);
        assert_eq!(at(40, &look(&[], false)), None, "brokers may be away meanwhile");
        let reason = at(41, &refused).unwrap();
        assert!(reason.contains("no: check user, password"), "{reason}");
        assert_eq!(at(42, &look(&["b: no"], true)), None, "one has let us in");
        assert_eq!(at(60, &refused), None);
    }
}
