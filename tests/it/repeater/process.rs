//! Repeaters that run, and what they count.

use std::{ops::Deref, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::dsl::{EXIT_LIMIT, Finished, Run, Running, Topic, poll};

/// A repeater that is still to be started, in the group that has its topic's name.
pub fn repeater(topic: &Topic, words: &str) -> Run {
    let group = format!("--group {} --report report.json", topic.name());
    Run::repeater().args(topic.flags()).args(group).args(words).with_control()
}

/// A repeater that runs.
pub struct Repeater(Running);

impl Deref for Repeater {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.0
    }
}

impl Repeater {
    pub fn start(topic: &Topic, words: &str) -> Self {
        Self::of(repeater(topic, words).start())
    }

    pub fn of(running: Running) -> Self {
        Self(running)
    }

    /// Starts so many alike.
    pub fn start_several(topic: &Topic, words: &str, processes: usize) -> Vec<Self> {
        (0..processes).map(|_| Self::start(topic, words)).collect()
    }

    /// What `/status` says of each worker; `None` while there is no answer.
    pub fn status(&self) -> Option<Vec<Value>> {
        let answer = self.http().get("/status").filter(|answer| answer.code == 200)?;
        answer.json()?.as_array().cloned()
    }

    /// A counter of all workers together, by `/status`; 0 while there is no answer.
    pub fn sum(&self, field: &str) -> i64 {
        sum(&self.status().unwrap_or_default(), field)
    }

    /// A counter that only `/v1/status` has; 0 while there is no answer.
    pub fn sum_in_full(&self, field: &str) -> i64 {
        let status = self.http().get("/v1/status").and_then(|answer| answer.json()).unwrap_or_default();
        sum(status["workers"].as_array().map_or(&[], Vec::as_slice), field)
    }

    /// Waits until a counter of `/status` has grown by so much.
    #[track_caller]
    pub fn grows(&self, field: &str, by: i64) {
        let from = self.sum(field);
        poll(|| (self.sum(field) >= from + by).then_some(()))
            .unwrap_or_else(|| panic!("{field} was {from}, and is {} now", self.sum(field)));
    }

    /// Waits until the group is stable with so many members.
    #[track_caller]
    pub fn sees_members(&self, members: usize) {
        let view = || self.http().get("/v1/status")?.json().map(|status| status["group"].clone());
        let is_so = |group: &Value| group["state"] == "Stable" && group["members"] == members;
        poll(|| view().filter(is_so)).unwrap_or_else(|| panic!("no {members} members: {:?}", view()));
    }

    /// Ends it with a signal; what it says must be well.
    #[track_caller]
    pub fn finish(self) -> Rest {
        self.signal(Signal::SIGTERM);
        self.rest()
    }

    /// Waits for the end that it was told to come to.
    #[track_caller]
    pub fn rest(self) -> Rest {
        Rest::of(self.0.finish_within(EXIT_LIMIT).expect_code(0))
    }

    /// Waits for an end that it comes to by itself.
    #[track_caller]
    pub fn ends_within(self, limit: Duration) -> Finished {
        self.0.finish_within(limit)
    }
}

/// What a repeater's report says at its end, of all workers together.
pub struct Rest {
    pub consumed: i64,
    pub produced: i64,
    /// Tokens that were in the process at its end.
    pub here: i64,
    /// Records of which the group did not learn that they were consumed.
    pub again: i64,
    pub finished: Finished,
}

impl Rest {
    fn of(finished: Finished) -> Self {
        let report = finished.workdir.report();
        let workers = report["workers"].as_array().expect("workers");
        Self {
            consumed: sum(workers, "consumed_records"),
            produced: sum(workers, "produced_records"),
            here: sum(workers, "tokens_held"),
            again: sum(workers, "replayed_records"),
            finished,
        }
    }

    /// Another counter of the report.
    #[track_caller]
    pub fn sum(&self, field: &str) -> i64 {
        sum(self.finished.workdir.report()["workers"].as_array().expect("workers"), field)
    }

    /// Whether the log has these words just once.
    #[track_caller]
    pub fn expect_once(&self, words: &str) {
        let told = self.finished.stderr.matches(words).count();
        assert_eq!(told, 1, "'{words}' in\n{}", self.finished.transcript());
    }
}

fn sum(workers: &[Value], field: &str) -> i64 {
    workers.iter().map(|worker| worker[field].as_i64().unwrap_or(0)).sum()
}
