//! A group that we share with members that are not ours: what they own we are not shown.
//!
//! That is legal, and may be meant: so it is waited for, with a word, as long as they or we come further. Where neither does
//! for a minute, a pass that has an end will never come to it. A group with a name of the user's that is read for ever
//! (`--continuous`, `--loop`) may be shared for ever, too.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use super::{
    ground::GroupGround,
    group_partition::GroupPartition,
    group_reader,
    group_refusal::{self, owners},
};
use crate::{
    config::{GroupReadConfig, Passes},
    findings::Awaited,
    kafka::{CommittedPlaces, Trouble},
    mutants::enforced,
    verifier::{read::checker, run_context::RunContext},
};

/// For how long neither they nor we may come further.
const LIMIT: Duration = Duration::from_mins(1);
/// How often the group's committed offsets are asked for, while it is shared.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The others in our group, as far as they are known. Looked at only where the group stands still.
pub(super) struct Sharing<'a> {
    ground: &'a GroupGround<'a>,
    config: &'a GroupReadConfig,
    name: &'a str,
    /// Made when there is somebody to be watched.
    places: RefCell<Option<CommittedPlaces>>,
    others: RefCell<Others>,
    /// There was somebody else at the last look.
    has_others: Cell<bool>,
}

/// Whether members that are not ours come further.
#[derive(Debug, Default)]
struct Others {
    /// Since when they have not.
    since: Option<Instant>,
    looked: Option<Instant>,
    committed: Vec<i64>,
}

impl Others {
    /// There is somebody else in the group; the last of our own records came at `moved`. `committed` says how far the
    /// group has come in each partition. Returns whether neither has come further for too long.
    fn are_stuck(
        &mut self,
        now: Instant,
        moved: Instant,
        committed: impl FnOnce() -> Option<Vec<i64>>,
    ) -> bool {
        if self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_EVERY) {
            self.looked = Some(now);
            if let Some(committed) = committed().filter(|committed| *committed != self.committed) {
                self.committed = committed;
                self.since = Some(now);
            }
        }
        let since = (*self.since.get_or_insert(now)).max(moved);
        now.duration_since(since) >= LIMIT
    }
}

impl<'a> Sharing<'a> {
    pub(super) fn new(ground: &'a GroupGround<'a>, config: &'a GroupReadConfig, name: &'a str) -> Self {
        let (places, others) = (RefCell::default(), RefCell::default());
        Self { ground, config, name, places, others, has_others: Cell::new(false) }
    }

    /// Whether somebody else may have what we are not shown: then it is no broker that keeps it from us.
    pub(super) fn has_others(&self) -> bool {
        self.has_others.get()
    }

    /// What the group waits for, of which so many members of ours have `joined`, where all partitions have a leader; with
    /// `speak` also where nobody knows.
    pub(super) fn trouble(&self, parts: &[GroupPartition], joined: usize, speak: bool) -> Option<Trouble> {
        let (run_context, members) = (self.ground.run_context, self.config.members.get());
        let classic = run_context.observer.describe_group(self.name);
        let seen = run_context.observer.who_is_in(self.name, &classic);
        let from = format!("group '{}': {}", self.name, owners(&seen));
        if joined < members {
            let what = format!("{} of {members} members to be taken in", members - joined);
            let remedy =
                "a member that died keeps its place until its session is over; look at the coordinator's log";
            return speak.then(|| Awaited { what, from, remedy: remedy.to_owned() }.into());
        }
        let open = parts.iter().filter(|part| !part.is_done()).map(|part| part.progress.partition);
        let what = format!("the next record of {}", self.ground.named(open));
        self.has_others.set(seen.is_ok_and(|group| group.members > members));
        if !self.has_others.get() {
            *self.others.borrow_mut() = Others::default();
            let remedy = "look at the log of the brokers".to_owned();
            return speak.then_some(Trouble { is_known: true, ..Awaited { what, from, remedy }.into() });
        }
        let name = self.ground.flags.name;
        let remedy = format!(
            "members that are not ours read them, perhaps: stop those, or use another group ({name})"
        );
        // Who speaks the newer protocol is none of ours, and what he owns we shall never be shown.
        let is_theirs = !run_context.client.brokers_assign() && group_refusal::is_theirs(&classic);
        let is_denied = is_theirs || self.are_stuck(parts);
        Some(Trouble { awaited: Awaited { what, from, remedy }, is_known: true, is_denied })
    }

    /// Whether the pass will never come to its end.
    fn are_stuck(&self, parts: &[GroupPartition]) -> bool {
        let may_be_meant =
            self.config.name.is_some() && self.ground.run_context.config.passes != Passes::Once;
        let Some(moved) = parts.iter().map(|part| part.moved).max() else { return false };
        let committed = || {
            let mut places = self.places.borrow_mut();
            if places.is_none() {
                *places = committed_places(self.ground.run_context, self.config, self.name);
            }
            places.as_ref()?.look(&self.ground.topics)
        };
        let are_stuck = self.others.borrow_mut().are_stuck(Instant::now(), moved, committed);
        are_stuck && !may_be_meant && enforced("shared-group")
    }
}

/// Looks at a group's committed offsets.
pub(super) fn committed_places(
    run_context: &RunContext<'_>,
    config: &GroupReadConfig,
    group: &str,
) -> Option<CommittedPlaces> {
    let context = run_context.context(run_context.placement.shards[0].clone());
    let isolation = checker::isolation(run_context.config.proof);
    let settings = group_reader::settings(&context.client, config, group.to_owned(), isolation);
    context.committed_places(&settings).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_stuck_when_neither_they_nor_we_come_further() {
        let (mut others, start) = (Others::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let mut stuck =
            |second, moved, place| others.are_stuck(at(second), at(moved), || Some(vec![place, -1]));
        assert!(!stuck(0, 0, 5) && !stuck(59, 0, 5));
        assert!(stuck(60, 0, 5));
        assert!(!stuck(61, 50, 5), "one of ours came");
        assert!(!stuck(70, 50, 9) && !stuck(129, 50, 9), "they have come further");
        assert!(stuck(130, 50, 9));
    }

    #[test]
    fn places_that_nobody_tells_do_not_hold_it_up() {
        let (mut others, start) = (Others::default(), Instant::now());
        assert!(!others.are_stuck(start, start, || None));
        assert!(others.are_stuck(start + LIMIT, start, || None));
    }

    #[test]
    fn the_places_are_not_asked_for_each_time() {
        let (mut others, start) = (Others::default(), Instant::now());
        let mut asked = 0;
        for second in 0..10 {
            others.are_stuck(start + Duration::from_secs(second), start, || {
                asked += 1;
                None
            });
        }
        assert_eq!(asked, 2);
    }
}
