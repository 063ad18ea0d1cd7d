//! The search for a rate in a result.

use serde::{Deserialize, Serialize};

use crate::human;

/// How the highest rate that holds the objective was looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchReport {
    /// The objective as it was given, such as `p99=20ms`.
    pub objective: String,
    /// What it is asked of: `publish` or `end-to-end`.
    pub objective_on: String,
    /// The highest rate that was confirmed, records a second; `null` where there is none.
    pub found_records_per_s: Option<f64>,
    /// The lowest rate above it that did not hold; `null` where none was tried.
    pub failed_records_per_s: Option<f64>,
    /// What gave way first above the rate that was found: `latency`, `backlog` or `client`.
    pub gave_way: Option<String>,
    /// The highest rate that has held so far, confirmed or not; `null` where none has. Not in results of older versions.
    #[serde(default)]
    pub held_records_per_s: Option<f64>,
    /// The run was ended before the search was: what was found is what was known by then.
    #[serde(default)]
    pub interrupted: bool,
    /// In their order.
    pub steps: Vec<SearchStep>,
}

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchStep {
    /// `up`, `down`, `bisect` or `confirm`.
    pub kind: String,
    /// The rate that was asked for, records a second.
    pub rate_records_per_s: f64,
    /// The rate of acks.
    pub achieved_records_per_s: f64,
    /// How long it was measured.
    pub measured_s: f64,
    /// The latency that the objective speaks of, at its percentile.
    pub latency_us: u64,
    /// Records that were due and not sent at the end.
    pub overdue_records: u64,
    /// Records that were acked and not read at the end.
    pub backlog_records: u64,
    /// For how long brokers held the client back by their quotas, ms; 0 in results of versions that did not tell.
    #[serde(default)]
    pub throttled_ms: u64,
    /// Whether the objective held, and no backlog grew.
    pub held: bool,
    /// What gave way, where it did not hold: `latency`, `backlog` or `client`.
    pub gave_way: Option<String>,
    /// The same in words: whose backlog, and how much of what against how much. Not in results of older versions.
    #[serde(default)]
    pub why: Option<String>,
}

impl SearchStep {
    /// What gave way, if anything did.
    #[must_use]
    pub(crate) fn gave_way_in_words(&self) -> Option<String> {
        let why = self.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        self.gave_way.as_ref().map(|what| format!("{what} gave way{why}"))
    }
}

impl SearchReport {
    /// Why the lowest rate above the one that was found did not hold.
    #[must_use]
    pub(crate) fn why(&self) -> Option<&str> {
        let failed = self.failed_records_per_s?;
        let is_it = |step: &&SearchStep| !step.held && step.rate_records_per_s.total_cmp(&failed).is_eq();
        self.steps.iter().rev().find(is_it)?.why.as_deref()
    }

    /// What came of it; `rate` writes one.
    #[must_use]
    pub(crate) fn in_words(&self, rate: impl Fn(f64) -> String) -> String {
        let objective = format!("{} ({})", self.objective, self.objective_on);
        let tried = human::count(self.steps.len(), "rate");
        let found = match (self.found_records_per_s, self.held_records_per_s) {
            (Some(found), _) => format!("{} hold {objective}, confirmed", rate(found)),
            (None, Some(held)) if self.interrupted => {
                format!("interrupted after {tried}: {} held {objective}, not confirmed", rate(held))
            }
            (None, _) if self.interrupted => {
                format!("interrupted after {tried}, of which none held {objective}")
            }
            (None, _) => format!("no rate that holds {objective}"),
        };
        let why = self.why().map_or_else(String::new, |why| format!(": {why}"));
        match (self.failed_records_per_s, &self.gave_way) {
            (Some(failed), Some(what)) => format!("{found}; at {} {what} gave way{why}", rate(failed)),
            _ => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_said_with_what_gave_way() {
        let step = SearchStep {
            kind: "bisect".into(),
            rate_records_per_s: 12_700.0,
            achieved_records_per_s: 12_500.0,
            measured_s: 2.0,
            latency_us: 9_000,
            overdue_records: 0,
            backlog_records: 30_000,
            throttled_ms: 0,
            held: false,
            gave_way: Some("backlog".into()),
            why: Some("group g had not read 30,000 acked records, against 12700 at the most".into()),
        };
        let mut search = SearchReport {
            objective: "p99=20ms".into(),
            objective_on: "publish".into(),
            found_records_per_s: Some(12_345.6),
            failed_records_per_s: Some(12_700.0),
            gave_way: Some("backlog".into()),
            held_records_per_s: Some(12_345.6),
            interrupted: false,
            steps: vec![step],
        };
        let said = |search: &SearchReport| search.in_words(|rate| format!("{rate:.0}/s"));
        let above = "; at 12700/s backlog gave way: group g had not read 30,000 acked records, against 12700 at the most";
        assert_eq!(said(&search), format!("12346/s hold p99=20ms (publish), confirmed{above}"));
        search.found_records_per_s = None;
        assert_eq!(said(&search), format!("no rate that holds p99=20ms (publish){above}"));
        search.interrupted = true;
        let held = "interrupted after 1 rate: 12346/s held p99=20ms (publish), not confirmed";
        assert_eq!(said(&search), format!("{held}{above}"));
        (search.held_records_per_s, search.failed_records_per_s, search.gave_way) = (None, None, None);
        search.steps.clear();
        assert_eq!(said(&search), "interrupted after 0 rates, of which none held p99=20ms (publish)");
    }
}
