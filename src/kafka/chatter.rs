//! What a client tells of itself when it is asked to: a few lines of each kind a second.
//!
//! A run sends thousands of requests a second, and each of them is worth several lines to librdkafka: tens of megabytes in
//! half a minute, in which nobody finds anything. What is rare is shown whole, of what is frequent a sample.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Lines of a kind in a second.
const LINES: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Counts lines by kind.
#[derive(Debug, Default)]
pub(crate) struct Chatter(BTreeMap<String, Kind>);

#[derive(Debug)]
struct Kind {
    since: Instant,
    shown: u32,
    held_back: u64,
}

impl Chatter {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether a line of this kind is shown; if so, with how many of its kind that were not, since the last one.
    pub(crate) fn admit(&mut self, kind: &str, now: Instant) -> Option<u64> {
        let fresh = || Kind { since: now, shown: 0, held_back: 0 };
        if !self.0.contains_key(kind) {
            self.0.insert(kind.to_owned(), fresh());
        }
        let known = self.0.get_mut(kind)?;
        if now.saturating_duration_since(known.since) >= SECOND {
            (known.since, known.shown) = (now, 0);
        }
        if known.shown >= LINES {
            known.held_back += 1;
            return None;
        }
        known.shown += 1;
        Some(std::mem::take(&mut known.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_frequent_a_sample_is_shown_and_the_rest_counted() {
        let (mut chatter, start) = (Chatter::new(), Instant::now());
        let shown = (0..1_000).filter(|_| chatter.admit("SEND", start).is_some()).count();
        assert_eq!(shown, 10);
        assert_eq!(chatter.admit("STATE", start), Some(0), "another kind has its own share");
        let later = start + SECOND;
        assert_eq!(chatter.admit("SEND", later), Some(990));
        assert_eq!(chatter.admit("SEND", later), Some(0));
    }
}
