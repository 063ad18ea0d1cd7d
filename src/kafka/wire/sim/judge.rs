//! What the log holds in the end, against what was told of it.

use super::{run::Run, run::TOPIC, writing::Sent};
use crate::kafka::wire::core::partition::Fate;

/// So often readers may ask again at once for what a leader does not know to be committed yet: each time another leads.
const HURRIED_MOST: usize = 20;
/// What is in a Produce beside its batches.
const HEAD_MOST_BYTES: usize = 500;

impl Run {
    /// Says what is wrong, if something is.
    pub(super) fn judge(&mut self) {
        let mut times = vec![0; self.writing.sent.len()];
        for partition in 0..self.plan.partitions {
            self.judge_log(partition, &mut times);
        }
        for (token, times) in times.into_iter().enumerate() {
            let sent = self.writing.sent[token];
            if !self.fits(token, sent, times) {
                self.wrong.push(format!("record {token}, {sent:?}, is in the log {times} times"));
            }
        }
        if self.server.refused > 0 {
            self.wrong.push(format!("{} requests that must not be made", self.server.refused));
        }
        if self.server.expired > 0 && self.plan.is_quiet() {
            self.wrong.push(format!("{} sessions were over", self.server.expired));
        }
        let most_bytes = self.plan.sink.request_most_bytes + HEAD_MOST_BYTES;
        if self.server.largest_produce > most_bytes {
            self.wrong.push(format!("a Produce of {} bytes", self.server.largest_produce));
        }
        if self.server.hurried > HURRIED_MOST {
            self.wrong.push(format!(
                "{} questions asked in a hurry for what no leader can have yet",
                self.server.hurried
            ));
        }
        if !self.reading.is_over(&mut self.server) {
            self.wrong.push("not all that is in the logs was shown, or something else".to_owned());
        }
    }

    fn judge_log(&mut self, index: i32, times: &mut [usize]) {
        let Some(partition) = self.server.partition(TOPIC, index) else { return };
        let mut before = None;
        for (offset, number) in partition.past.all() {
            let token = usize::try_from(number).unwrap_or(usize::MAX);
            let Some(sent) = self.writing.sent.get(token) else {
                self.wrong.push(format!("{index}/{offset}: nobody's record"));
                continue;
            };
            times[token] += 1;
            if sent.partition != index {
                self.wrong.push(format!("record {token} is in partition {index}"));
            }
            let is_unknown = matches!(sent.fate, Some(Fate::Unknown(_)));
            if before.replace(token).is_some_and(|before| before > token) && !is_unknown {
                self.wrong.push(format!("{index}/{offset}: record {token} behind {before:?}"));
            }
        }
    }

    fn fits(&mut self, token: usize, sent: Sent, times: usize) -> bool {
        let past = self.server.partition(TOPIC, sent.partition).map(|partition| &partition.past);
        let is_lost = past.is_some_and(|past| past.has_lost(token as u64));
        match sent.fate {
            Some(Fate::Acked { .. } | Fate::AckedNoOffset) => times == 1 || times == 0 && is_lost,
            Some(Fate::Failed(_)) => times == 0,
            Some(Fate::Unknown(_)) | None => times <= 1,
        }
    }
}
