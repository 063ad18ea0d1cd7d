//! Quotas: how long a client has to wait that sends more than it may.

use std::collections::BTreeMap;

/// Windows of a second that a rate is taken over.
const WINDOWS: f64 = 10.0;

/// Producers by their client ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Throttle {
    limits: BTreeMap<String, f64>,
    /// Bytes that were sent, less what has been allowed since.
    used: BTreeMap<String, (f64, u64)>,
}

impl Throttle {
    pub(super) fn limit(&mut self, client_id: &str, bytes_per_s: f64) {
        self.limits.insert(client_id.to_owned(), bytes_per_s);
    }

    /// Nobody is limited any more.
    pub(super) fn lift(&mut self) {
        self.limits.clear();
    }

    /// So many bytes came; returns how long the client is not heard, ms.
    pub(super) fn sent(&mut self, client_id: &str, bytes: usize, now_us: u64) -> u32 {
        let Some(limit) = self.limits.get(client_id).copied() else { return 0 };
        let (used, since_us) = self.used.entry(client_id.to_owned()).or_insert((0.0, now_us));
        let passed_s = (now_us - *since_us) as f64 / 1e6;
        *used = (*used - passed_s * limit).max(0.0) + bytes as f64;
        *since_us = now_us;
        let wait_s = (*used / limit - WINDOWS).max(0.0);
        std::time::Duration::from_secs_f64(wait_s).as_millis().try_into().unwrap_or(u32::MAX)
    }
}
