//! What becomes of a producer to which something fails: when it pauses, and when it has to give up.
//!
//! Pure: the caller brings the time, and how much has succeeded so far.

use std::time::{Duration, Instant};

use crate::{
    findings::Patience,
    kafka::{ErrorClass, KafkaError},
};

/// What fails again after so long, because brokers were away for instance, has not failed all the time.
const GAP: Duration = Duration::from_secs(15);
/// The first pause between attempts of which none got anything done, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Pauses between attempts of which none got anything done. They grow, so that something that fails at once and for
/// ever fails some tens of times a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    done: u64,
    pause: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// An attempt has ended; `done` is what has been done in all by now. Returns whether it got nothing done.
    pub(crate) fn ended(&mut self, done: u64, now: Instant) -> bool {
        let in_vain = std::mem::replace(&mut self.done, done) == done;
        self.pause =
            if in_vain { (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE) } else { Duration::ZERO };
        self.until = in_vain.then(|| now + self.pause);
        in_vain
    }

    /// How long the next attempt has to wait.
    #[must_use]
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Whether there is nothing to wait for: looked at for each burst, and without asking what time it is.
    #[must_use]
    pub(crate) fn is_over(&mut self) -> bool {
        let Some(until) = self.until else { return true };
        if Instant::now() < until {
            return false;
        }
        self.until = None;
        true
    }
}

/// What an error means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is tried again.
    TryAgain,
    /// It will be the same for ever.
    Permanent,
    /// It might have passed, and has not for half a minute in which nothing succeeded.
    Lasting,
}

impl Judgement {
    /// Whether the run has to end.
    #[must_use]
    pub(crate) fn is_final(self) -> bool {
        self != Self::TryAgain
    }

    /// What is added to the error, to say why it ends the run.
    #[must_use]
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::TryAgain | Self::Permanent => "",
            Self::Lasting => " (for 30 s, in which nothing was acked)",
        }
    }
}

/// How much has succeeded so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Of those who are judged together.
    pub here: u64,
    /// In the whole run: whose rights are judged is all of it.
    pub in_run: u64,
}

impl Done {
    /// Of a run that is judged as a whole.
    #[must_use]
    pub(crate) fn all(count: u64) -> Self {
        Self { here: count, in_run: count }
    }
}

/// Judges the errors of one producer, or of several that succeed or fail together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failing {
    /// What had been done when it failed last.
    done: u64,
    patience: Patience,
    /// Of the kind that is permanent when it lasts, and when it came last.
    last: Option<(KafkaError, Instant)>,
}

impl Failing {
    /// Something failed; `done` is what has succeeded so far.
    #[cold]
    pub(crate) fn judge(&mut self, error: KafkaError, done: Done, now: Instant) -> Judgement {
        self.look(done.here);
        match error.class() {
            ErrorClass::Invalid => Judgement::Permanent,
            // Who has had the right may meet a broker that has not read yet who has.
            ErrorClass::Denied | ErrorClass::AuthFailed if done.in_run == 0 => Judgement::Permanent,
            ErrorClass::Denied | ErrorClass::AuthFailed | ErrorClass::Fenced | ErrorClass::Other => {
                if self.last.replace((error, now)).is_some_and(|(_, last)| now.duration_since(last) > GAP) {
                    self.patience.succeeded();
                }
                if self.patience.failed(now) { Judgement::Lasting } else { Judgement::TryAgain }
            }
            // A topic that is gone for good is noticed by who watches the topics.
            ErrorClass::Transient | ErrorClass::TopicUnknown | ErrorClass::Purged => Judgement::TryAgain,
        }
    }

    /// Nothing failed just now: perhaps since there is nothing left that could. Returns the error that has lasted for
    /// too long.
    pub(crate) fn overdue(&mut self, done: u64, now: Instant) -> Option<KafkaError> {
        self.look(done);
        self.last.filter(|_| self.patience.is_over(now)).map(|(error, _)| error)
    }

    /// Brokers are away: what failed before that is not what keeps it from going on.
    pub(crate) fn forget(&mut self) {
        self.patience.succeeded();
        self.last = None;
    }

    fn look(&mut self, done: u64) {
        if std::mem::replace(&mut self.done, done) < done {
            self.forget();
        }
    }
}

/// What the user can change about records that brokers refuse, with the flags that say what those are like.
#[must_use]
pub(crate) fn remedy(error: KafkaError, size_flags: &str, time_flags: &str) -> String {
    if error.is_about_size() {
        format!(
            ": a batch must fit into the topic's max.message.bytes: lower {size_flags}, or raise max.message.bytes"
        )
    } else if error.is_about_time() {
        format!(
            ": the topic takes timestamps that are at most message.timestamp.before.max.ms behind the broker's clock, \
             and message.timestamp.after.max.ms ahead of it: {time_flags}, or widen that window"
        )
    } else if error.is_about_codec() {
        ": choose another --compression-type".to_owned()
    } else if error.is_expired_transactional_id() {
        ": the cluster forgets a transactional id that is not used for transactional.id.expiration.ms: raise it, or \
         send records more often"
            .to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_A_MINUTE: Duration = Duration::from_secs(30);

    fn error(class: ErrorClass) -> KafkaError {
        KafkaError::every().find(|error| error.class() == class).unwrap()
    }

    #[test]
    fn what_is_said_of_the_record_itself_is_permanent_at_once() {
        let judgement = Failing::default().judge(error(ErrorClass::Invalid), Done::all(9), Instant::now());
        assert_eq!(judgement, Judgement::Permanent);
    }

    #[test]
    fn what_passes_is_waited_for_without_limit() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        for class in [ErrorClass::Transient, ErrorClass::TopicUnknown, ErrorClass::Purged] {
            for seconds in [0, 3_600] {
                let judgement =
                    failing.judge(error(class), Done::all(0), start + Duration::from_secs(seconds));
                assert_eq!(judgement, Judgement::TryAgain, "{class:?}");
            }
        }
        assert_eq!(failing.overdue(0, start + Duration::from_hours(2)), None);
    }

    #[test]
    fn anything_else_is_permanent_when_it_lasts_without_a_success() {
        let (mut failing, start, other) = (Failing::default(), Instant::now(), error(ErrorClass::Other));
        let mut judge =
            |done, seconds| failing.judge(other, Done::all(done), start + Duration::from_secs(seconds));
        assert_eq!([0, 15].map(|second| judge(5, second)), [Judgement::TryAgain; 2]);
        assert_eq!([30, 45].map(|second| judge(6, second)), [Judgement::TryAgain; 2], "one was acked");
        assert_eq!(judge(6, 60), Judgement::Lasting);
        assert_eq!([100, 115].map(|second| judge(6, second)), [Judgement::TryAgain; 2], "not in between");
        assert!(Judgement::Lasting.is_final() && !Judgement::TryAgain.is_final());
    }

    #[test]
    fn who_never_had_a_right_is_told_at_once_and_who_had_it_is_patient() {
        for class in [ErrorClass::Denied, ErrorClass::AuthFailed] {
            let (mut failing, start) = (Failing::default(), Instant::now());
            assert_eq!(failing.judge(error(class), Done::all(0), start), Judgement::Permanent);
            assert_eq!(failing.judge(error(class), Done::all(1), start), Judgement::TryAgain);
            assert_eq!(
                failing.judge(error(class), Done::all(1), start + HALF_A_MINUTE / 2),
                Judgement::TryAgain
            );
            assert_eq!(failing.judge(error(class), Done::all(1), start + HALF_A_MINUTE), Judgement::Lasting);
        }
    }

    #[test]
    fn who_has_a_right_is_known_by_what_the_whole_run_has_done() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        let refused = error(ErrorClass::Denied);
        let of_others = Done { here: 0, in_run: 1 };
        assert_eq!(failing.judge(refused, of_others, start), Judgement::TryAgain);
        // What others get done is none of the success that this one waits for.
        let more = Done { here: 0, in_run: 1_000 };
        assert_eq!(failing.judge(refused, more, start + HALF_A_MINUTE / 2), Judgement::TryAgain);
        assert_eq!(failing.judge(refused, more, start + HALF_A_MINUTE), Judgement::Lasting);
    }

    #[test]
    fn what_failed_last_is_not_forgotten_when_nothing_is_left_to_fail() {
        let (mut failing, start, other) = (Failing::default(), Instant::now(), error(ErrorClass::Other));
        failing.judge(other, Done::all(5), start);
        assert_eq!(failing.overdue(5, start + HALF_A_MINUTE / 2), None);
        assert_eq!(failing.overdue(5, start + HALF_A_MINUTE), Some(other));
        assert_eq!(failing.overdue(6, start + HALF_A_MINUTE * 5), None, "it succeeds again");
        assert_eq!(failing.overdue(6, start + HALF_A_MINUTE * 9), None);
        failing.judge(other, Done::all(6), start);
        failing.forget();
        assert_eq!(failing.overdue(6, start + HALF_A_MINUTE), None, "brokers are away");
    }

    #[test]
    fn attempts_in_vain_pause_and_others_do_not() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert!(!backoff.ended(5, now) && backoff.wait(now).is_zero());
        let mut pause_of = |done| {
            backoff.ended(done, now);
            backoff.wait(now).as_millis()
        };
        assert_eq!([5, 5, 5, 5, 5, 5].map(&mut pause_of), [10, 20, 40, 80, 100, 100]);
        assert_eq!([6, 6, 6].map(&mut pause_of), [0, 10, 20]);
    }

    #[test]
    fn the_remedy_fits_the_error() {
        let of = |number| remedy(KafkaError::Broker(number), "--batch_max_bytes", "choose another time");
        assert!(of(10).contains("lower --batch_max_bytes") && of(18).contains("max.message.bytes"));
        assert!(of(32).contains("message.timestamp.after.max.ms") && of(32).contains("another time"));
        assert!(of(76).contains("--compression-type") && of(49).contains("transactional.id.expiration.ms"));
        assert_eq!(of(87), "");
    }
}
