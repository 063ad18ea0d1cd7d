//! What ends a run that would go on: a deadline, and brokers that are away for too long.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{app::Shared, findings::complained};

/// Since when each broker that is away has been.
#[derive(Debug, Default)]
pub(super) struct Outages(BTreeMap<String, Instant>);

impl Outages {
    /// A broker went, or came back.
    pub(super) fn note(&mut self, broker: &str, up: bool, now: Instant) {
        if up {
            self.0.remove(broker);
        } else {
            self.0.entry(broker.to_owned()).or_insert(now);
        }
    }

    /// The broker that has been away for longest, if that is longer than the limit.
    pub(super) fn beyond(&self, limit: Duration, now: Instant) -> Option<&str> {
        let (broker, since) = self.0.iter().min_by_key(|(_, since)| **since)?;
        (now.duration_since(*since) >= limit).then_some(broker.as_str())
    }
}

/// Ends the run at its deadline, done or not.
pub(super) async fn keep_deadline(shared: Arc<Shared>, deadline: Duration) {
    tokio::time::sleep(deadline.saturating_sub(shared.ending.elapsed())).await;
    if shared.lifecycle.work_is_done() {
        // Where /shutdown was asked for meanwhile, that ends it.
        if !shared.lifecycle.shutdown_requested() {
            tracing::info!(
                "the deadline of {deadline:?} (--deadline) has come: all work is done, /shutdown is not waited for any longer"
            );
        }
        shared.lifecycle.request_shutdown();
        return;
    }
    let facts = shared.ending.facts(None);
    let done = if facts.done.is_empty() { "nothing".to_owned() } else { facts.done };
    let complaint = facts.complaint.filter(|_| !facts.progress);
    let complained = || complained(complaint.as_ref());
    let waited = facts.waits_for.map_or_else(complained, |what| format!(", waiting for {what}"));
    give_up(&shared, format!("the deadline of {deadline:?} (--deadline) has come after {done}{waited}"))
        .await;
}

/// Ends a run that cannot or may not go on, and the process if that takes too long.
pub(super) async fn give_up(shared: &Shared, reason: String) {
    shared.lifecycle.fail(reason);
    shared.lifecycle.request_shutdown();
    super::force_end_after_limit(shared).await;
}

/// Whether SIGHUP was ignored when the process began, as under `nohup`: then it stays ignored.
pub(super) fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_ignored(&status, 1))
}

/// Whether the mask of ignored signals in `/proc/PID/status` has this one.
fn is_ignored(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_too_long_when_one_broker_is_away_for_too_long() {
        let (mut outages, start, limit) = (Outages::default(), Instant::now(), Duration::from_mins(1));
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(outages.beyond(limit, at(1_000)), None);
        outages.note("a", false, at(0));
        outages.note("b", false, at(30));
        outages.note("b", false, at(80));
        assert_eq!(outages.beyond(limit, at(59)), None);
        assert_eq!(outages.beyond(limit, at(60)), Some("a"));
        outages.note("a", true, at(61));
        assert_eq!(outages.beyond(limit, at(89)), None);
        assert_eq!(outages.beyond(limit, at(90)), Some("b"), "the first time counts");
    }

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t01\nSigIgn:\t{mask}\nSigCgt:\t03\n");
        assert!(is_ignored(&status("0000000000000001"), 1));
        assert!(!is_ignored(&status("0000000000000006"), 1) && is_ignored(&status("0000000000000006"), 2));
        assert!(!is_ignored("", 1) && !is_ignored(&status("no mask"), 1));
    }
}
