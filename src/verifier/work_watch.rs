//! Whether the workers of a phase come on, seen from the main thread: who stands still for long is said to wait, and
//! for what.

use std::time::{Duration, Instant};

use crate::{control::StartWait, kafka::Trouble};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a worker must have stood still to be one that waits.
const STANDS: Duration = Duration::from_secs(2);

/// What a worker is about: how far it has come, and what it wants in order to go on, if it wants anything.
pub(crate) type Standing<W> = (u64, Option<W>);

/// Watches the workers of a phase.
pub(crate) struct WorkWatch<'a, W> {
    wait: StartWait<'a>,
    workers: Vec<(Standing<W>, Instant)>,
    looked: Instant,
    /// Workers may stand still of their own accord, to keep to a rate for instance: then it is only said what the
    /// cluster says is missing.
    patient: bool,
}

impl<'a, W: Copy + PartialEq> WorkWatch<'a, W> {
    pub(crate) fn new(wait: StartWait<'a>, patient: bool) -> Self {
        Self { wait, workers: Vec::new(), looked: Instant::now(), patient }
    }

    /// The work is over.
    pub(crate) fn ended(&mut self) {
        self.wait.ended();
    }

    /// Looks when it is time. `trouble` says what is waited for; the flag is whether to say so where nobody knows of
    /// anything that is missing.
    pub(crate) fn look(
        &mut self,
        workers: impl Iterator<Item = Standing<W>>,
        trouble: impl Fn(W, bool) -> Option<Trouble>,
    ) {
        let now = Instant::now();
        if now.duration_since(self.looked) < LOOK_EVERY {
            return;
        }
        self.looked = now;
        let Some((since, wants)) = longest(&mut self.workers, workers, now) else {
            self.wait.over();
            return;
        };
        self.wait.began(since);
        self.wait.still_if(|| trouble(wants, !self.patient));
    }
}

/// Who has stood still for longest, for so long that it waits.
fn longest<W: Copy + PartialEq>(
    known: &mut Vec<(Standing<W>, Instant)>,
    workers: impl Iterator<Item = Standing<W>>,
    now: Instant,
) -> Option<(Instant, W)> {
    let mut longest: Option<(Instant, W)> = None;
    let mut count = 0;
    for (index, standing) in workers.enumerate() {
        count = index + 1;
        match known.get_mut(index) {
            Some((before, since)) if *before == standing => {
                let (since, wants) = (*since, standing.1);
                if let Some(wants) = wants.filter(|_| longest.is_none_or(|(longest, _)| since < longest)) {
                    longest = Some((since, wants));
                }
            }
            Some(moved) => *moved = (standing, now),
            None => known.push((standing, now)),
        }
    }
    known.truncate(count);
    longest.filter(|(since, _)| now.duration_since(*since) >= STANDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_moves_or_wants_nothing_does_not_wait() {
        let (mut known, start) = (Vec::new(), Instant::now());
        let mut at = |second, standings: &[Standing<char>]| {
            let found = longest(&mut known, standings.iter().copied(), start + Duration::from_secs(second));
            found.map(|(since, wants)| (since.duration_since(start).as_secs(), wants))
        };
        assert_eq!(at(0, &[(0, Some('a')), (0, None)]), None);
        assert_eq!(at(1, &[(0, Some('a')), (0, None)]), None, "not yet");
        assert_eq!(at(2, &[(0, Some('a')), (0, None)]), Some((0, 'a')));
        assert_eq!(at(3, &[(1, Some('a')), (0, Some('b'))]), None, "one moved, the other has just begun");
        assert_eq!(at(5, &[(2, Some('a')), (0, Some('b'))]), Some((3, 'b')));
        assert_eq!(at(9, &[(2, Some('c')), (0, Some('b'))]), Some((3, 'b')), "another want is another wait");
        assert_eq!(at(12, &[(2, Some('c'))]), Some((9, 'c')), "who is done does not count");
        assert_eq!(at(99, &[]), None);
    }
}
