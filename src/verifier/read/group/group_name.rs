//! Groups of ours: each pass without a name of the user's makes one, and none is left behind.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::group_reader::{self, STATIC_MEMBER};
use crate::{
    clock,
    config::Brokers,
    verifier::{read::checker, run_context::RunContext},
};

const DELETE_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// Groups that are tried again after a pass, so that a pass does not wait for very many.
const AGAIN: usize = 8;
/// Groups that were deleted and are looked at again: what was under way then, a commit for instance that waited for a
/// coordinator, can make them anew.
const LOOKED_AT: usize = 16;

/// What came of an attempt to delete a group.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Attempt {
    Deleted,
    /// No coordinator knows it: it is gone, or its coordinator is about to learn of it.
    Unknown,
    /// Why not.
    Refused(String),
}

/// The groups that this run has made.
#[derive(Debug, Default)]
pub(crate) struct OwnGroups {
    /// Could not be deleted yet, and why.
    left: VecDeque<(String, Attempt)>,
    /// The last that could.
    deleted: VecDeque<String>,
}

impl OwnGroups {
    /// A pass is over, and its group goes. Members that were on their way in when it ended may still be on their way
    /// out, and its coordinator may be moving.
    pub(crate) fn delete(&mut self, run_context: &RunContext<'_>, name: &str) {
        if is_embedded(run_context) {
            return;
        }
        let until = Instant::now() + DELETE_LIMIT + static_session(run_context);
        let mut attempt = attempt(run_context, name);
        while attempt != Attempt::Deleted
            && Instant::now() < until
            && !run_context.lifecycle().stop_requested()
        {
            std::thread::sleep(PAUSE);
            attempt = self::attempt(run_context, name);
        }
        let stop = || run_context.lifecycle().stop_requested();
        self.try_again(AGAIN, |name| (!stop()).then(|| self::attempt(run_context, name)));
        self.note(name.to_owned(), attempt);
    }

    /// No pass follows: what is left is tried once more, and named.
    pub(crate) fn finish(mut self, run_context: &RunContext<'_>) {
        if is_embedded(run_context) {
            return;
        }
        let until = Instant::now() + DELETE_LIMIT;
        if run_context.lifecycle().stop_requested() {
            self.deleted.clear();
        }
        self.left.extend(self.deleted.drain(..).map(|name| (name, Attempt::Unknown)));
        loop {
            let mut first = true;
            // Who is told to stop tries the one of its last pass, and no more.
            self.try_again(usize::MAX, |name| {
                let may_try = std::mem::take(&mut first) || !run_context.lifecycle().stop_requested();
                may_try.then(|| attempt(run_context, name))
            });
            if self.refused().is_none() || Instant::now() > until || run_context.lifecycle().stop_requested()
            {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        if let Some(line) = self.refused() {
            tracing::warn!("{line}");
        }
    }

    fn note(&mut self, name: String, attempt: Attempt) {
        if attempt != Attempt::Deleted {
            self.left.push_back((name, attempt));
            return;
        }
        self.deleted.push_back(name);
        if self.deleted.len() > LOOKED_AT {
            self.deleted.pop_front();
        }
    }

    /// Tries so many of those that are left, the oldest first, until `attempt` makes none any more: a coordinator that
    /// does not answer takes seconds, and the run may be told to stop.
    fn try_again(&mut self, most: usize, mut attempt: impl FnMut(&str) -> Option<Attempt>) {
        for _ in 0..self.left.len().min(most) {
            let Some(outcome) = self.left.front().and_then(|(name, _)| attempt(name)) else { return };
            if let Some((name, _)) = self.left.pop_front() {
                self.note(name, outcome);
            }
        }
    }

    /// Names the groups that the cluster knows and does not delete.
    fn refused(&self) -> Option<String> {
        let refused = self.left.iter().filter_map(|(name, attempt)| match attempt {
            Attempt::Refused(reason) => Some((name.as_str(), reason)),
            Attempt::Deleted | Attempt::Unknown => None,
        });
        let (names, reasons): (Vec<_>, Vec<_>) = refused.unzip();
        let reason = reasons.last()?;
        Some(format!(
            "{} consumer groups that this run has made could not be deleted, and stay behind: {} (the last answer: \
             {reason}): kafka-consumer-groups.sh --delete --group NAME removes them",
            names.len(),
            names.join(", ")
        ))
    }
}

/// The mock cluster cannot delete any, and ends with this process.
fn is_embedded(run_context: &RunContext<'_>) -> bool {
    matches!(run_context.config.common.brokers, Brokers::Embedded { .. })
}

fn attempt(run_context: &RunContext<'_>, name: &str) -> Attempt {
    match run_context.observer.delete_group(name) {
        Ok(()) => Attempt::Deleted,
        Err(error) if error.is_unknown_group() => Attempt::Unknown,
        Err(error) => Attempt::Refused(error.to_string()),
    }
}

/// How long the member that keeps its place, if it does, is still in the group when it has gone: it says to nobody that
/// it leaves.
fn static_session(run_context: &RunContext<'_>) -> Duration {
    let group = run_context.config.group_read.as_ref();
    let Some(group) = group.filter(|_| run_context.client.given(STATIC_MEMBER).is_some()) else {
        return Duration::ZERO;
    };
    let isolation = checker::isolation(run_context.config.proof);
    let settings = group_reader::settings(&run_context.client, group, String::new(), isolation);
    let session = settings.session(&run_context.client);
    tracing::info!(
        "the group is deleted when the session of its static member ({STATIC_MEMBER}) has ended, in {session:?} at most"
    );
    session
}

/// `kgo-verifier-{unix s}-{pid}-{run}`.
pub(crate) fn generated_name(run: u64) -> String {
    let now_s = clock::unix_ms() / 1_000;
    format!("kgo-verifier-{now_s}-{}-{run}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_has_three_numbers() {
        let name = generated_name(7);
        let numbers: Vec<_> = name.strip_prefix("kgo-verifier-").unwrap().split('-').collect();
        assert_eq!(
            (numbers.len(), numbers[1], numbers[2]),
            (3, std::process::id().to_string().as_str(), "7")
        );
    }

    fn refused() -> Attempt {
        Attempt::Refused("coordinator is loading".to_owned())
    }

    #[test]
    fn what_was_not_deleted_is_tried_again_and_then_named() {
        let mut groups = OwnGroups::default();
        groups.note("a".to_owned(), refused());
        groups.note("b".to_owned(), refused());
        groups.note("c".to_owned(), Attempt::Deleted);
        let line = groups.refused().unwrap();
        assert!(
            line.starts_with("2 consumer groups") && line.contains(": a, b (the last answer: coordinator is")
        );
        let mut tried = Vec::new();
        groups.try_again(1, |name| {
            tried.push(name.to_owned());
            Some(Attempt::Deleted)
        });
        assert_eq!(tried, ["a"], "the oldest");
        groups.try_again(9, |_| Some(refused()));
        assert!(groups.refused().unwrap().contains("stay behind: b (the last"));
        groups.try_again(9, |_| Some(Attempt::Unknown));
        assert_eq!(groups.refused(), None, "nobody knows it any more");
    }

    #[test]
    fn who_is_told_to_stop_tries_no_further_group() {
        let mut groups = OwnGroups::default();
        for name in ["a", "b", "c"] {
            groups.note(name.to_owned(), refused());
        }
        let mut tried = 0;
        groups.try_again(9, |_| {
            tried += 1;
            (tried == 1).then(refused)
        });
        assert_eq!(tried, 2, "the second was asked whether it may be tried");
        let line = groups.refused().unwrap();
        assert!(line.contains("stay behind: b, c, a ("), "none is forgotten: {line}");
    }

    #[test]
    fn the_last_ones_are_looked_at_again() {
        let mut groups = OwnGroups::default();
        (0..20).for_each(|number| groups.note(number.to_string(), Attempt::Deleted));
        assert_eq!((groups.deleted.len(), groups.deleted.front().unwrap().as_str()), (LOOKED_AT, "4"));
    }
}
