//! How long a run waits for what it needs at the start.

use std::time::Duration;

use serde::Serialize;

/// `--startup-timeout`: where it is given it holds for each thing that is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct StartupTimeout(Option<Duration>);

/// For a first broker.
const FIRST_BROKER: Duration = Duration::from_mins(1);
/// For a topic that a live broker denies: harnesses want the process gone within 10 s of that answer.
const DENIED_TOPIC: Duration = Duration::from_millis(9_500);

impl StartupTimeout {
    /// As it was given, zero for ever; `None` where it was not.
    #[must_use]
    pub(crate) fn new(given: Option<Duration>) -> Self {
        Self(given)
    }

    fn or(self, default: Option<Duration>) -> Option<Duration> {
        self.0.map_or(default, |given| Some(given).filter(|given| !given.is_zero()))
    }

    /// For a first broker; `None` is for ever.
    #[must_use]
    pub(crate) fn for_a_broker(self) -> Option<Duration> {
        self.or(Some(FIRST_BROKER))
    }

    /// For a topic of which a live broker says that there is none; `None` is for ever.
    #[must_use]
    pub(crate) fn for_a_denied_topic(self) -> Option<Duration> {
        self.or(Some(DENIED_TOPIC))
    }

    /// For leaders, offsets, coordinators and groups; `None` is for ever.
    #[must_use]
    pub(crate) fn for_the_rest(self) -> Option<Duration> {
        self.or(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_holds_for_each_and_zero_is_for_ever() {
        let limits = |timeout: StartupTimeout| {
            [timeout.for_a_broker(), timeout.for_a_denied_topic(), timeout.for_the_rest()]
        };
        let default = StartupTimeout::default();
        assert_eq!(limits(default), [Some(FIRST_BROKER), Some(DENIED_TOPIC), None]);
        assert!(DENIED_TOPIC < Duration::from_secs(10));
        let given = Duration::from_secs(4);
        assert_eq!(limits(StartupTimeout::new(Some(given))), [Some(given); 3]);
        assert_eq!(limits(StartupTimeout::new(Some(Duration::ZERO))), [None; 3]);
    }
}
