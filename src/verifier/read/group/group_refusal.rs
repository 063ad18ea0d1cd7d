//! A group that does not take its members in: how long that may last, and what is said of it.

use std::time::{Duration, Instant};

use crate::{
    findings::Awaited,
    kafka::{GroupDescription, KafkaError},
};

/// A member that was killed keeps its place for a session, and may be what is in the way: so long a refusal is
/// tolerated, within these bounds.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(50);
/// Members ask again every other second. What was not refused for so long has been taken in meanwhile.
const GAP: Duration = Duration::from_secs(15);

/// Measures for how long members have been refused.
#[derive(Debug)]
pub(crate) struct Refusals {
    limit: Duration,
    first: Option<Instant>,
    last: Option<(Instant, KafkaError)>,
}

impl Refusals {
    /// Of a group in which a member that is silent has so much time.
    pub(crate) fn new(session: Duration) -> Self {
        let limit = (session + Duration::from_secs(5)).clamp(SHORTEST, LONGEST);
        Self { limit, first: None, last: None }
    }

    /// A member was refused. Returns whether that will not change by itself.
    pub(crate) fn refused(&mut self, error: KafkaError, now: Instant) -> bool {
        if self.open(now).is_none() {
            self.first = Some(now);
        }
        self.last = Some((now, error));
        error.is_bad_session() || self.first.is_some_and(|first| now.duration_since(first) >= self.limit)
    }

    /// Why a member is still refused, if one is.
    pub(crate) fn open(&self, now: Instant) -> Option<KafkaError> {
        self.last.filter(|(last, _)| now.duration_since(*last) <= GAP).map(|(_, error)| error)
    }

    /// A member was taken in.
    pub(crate) fn taken_in(&mut self) {
        (self.first, self.last) = (None, None);
    }
}

/// The flags by which a program's user can mend what a group has against its members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupFlags {
    pub(crate) members: &'static str,
    pub(crate) name: &'static str,
    pub(crate) session: &'static str,
}

/// What members wait for that are not taken in: from whom, and who can change that.
pub(crate) fn awaited(
    group: &str,
    error: KafkaError,
    seen: &Result<GroupDescription, KafkaError>,
    flags: GroupFlags,
) -> Awaited {
    let GroupFlags { members, name, session } = flags;
    let remedy = if error.is_bad_session() {
        format!(
            "give {session} a value between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms"
        )
    } else if error.is_full_group() {
        format!("raise the brokers' group.max.size, start fewer members ({members}), or stop those of others")
    } else {
        format!("stop the others, or use another group ({name})")
    };
    let owners = if error.is_bad_session() { String::new() } else { format!("; {}", owners(seen)) };
    let from = format!("group '{group}', which answers {error}{owners}");
    Awaited { what: "members to be taken in".to_owned(), from, remedy }
}

/// Why members are not taken in, who is in the way, and who can change that.
pub(crate) fn explain(
    group: &str,
    error: KafkaError,
    seen: &Result<GroupDescription, KafkaError>,
    flags: GroupFlags,
) -> String {
    let Awaited { from, remedy, .. } = awaited(group, error, seen, flags);
    format!("members were not taken in by {from}: {remedy}")
}

/// Whether a group in which ours are members is not of the classic protocol, which ours speak.
pub(crate) fn is_theirs(classic: &Result<GroupDescription, KafkaError>) -> bool {
    match classic {
        Ok(group) => group.is_of_another_kind(),
        Err(error) => error.is_unknown_group(),
    }
}

/// Who is in a group.
pub(crate) fn owners(seen: &Result<GroupDescription, KafkaError>) -> String {
    match seen {
        Ok(group) => group.to_string(),
        Err(error) => format!("its members cannot be listed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::GroupMember;

    const FLAGS: GroupFlags = GroupFlags { members: "--m", name: "--n", session: "--s" };

    #[test]
    fn a_refusal_ends_the_run_when_a_dead_member_s_session_is_over() {
        let (mut refusals, start) = (Refusals::new(Duration::from_secs(6)), Instant::now());
        let mut at = |second| refusals.refused(KafkaError::full_group(), start + Duration::from_secs(second));
        assert!(!at(0) && !at(8) && at(11));
        assert!(!at(40) && !at(48) && at(52), "after a gap it is another one");
        refusals.taken_in();
        assert!(!refusals.refused(KafkaError::full_group(), start + Duration::from_secs(53)));
        for (session_s, limit_s) in [(1, 10), (45, 50), (600, 50)] {
            assert_eq!(Refusals::new(Duration::from_secs(session_s)).limit.as_secs(), limit_s);
        }
    }

    #[test]
    fn what_is_refused_for_good_ends_it_at_once() {
        let mut refusals = Refusals::new(Duration::from_secs(45));
        assert!(refusals.refused(KafkaError::bad_session(), Instant::now()));
    }

    #[test]
    fn who_is_in_the_way_is_named() {
        let member = |client: &str| GroupMember { client_id: client.into(), host: "/10.0.0.7".into() };
        let seen = Ok(GroupDescription {
            state: "Stable".into(),
            members: 2,
            protocol: "range".into(),
            clients: vec![member("a"), member("b")],
            ..GroupDescription::default()
        });
        let text = explain("g", KafkaError::full_group(), &seen, FLAGS);
        for said in
            ["group 'g'", "GROUP_MAX_SIZE_REACHED", "range", "'a' at /10.0.0.7", "group.max.size", "--m"]
        {
            assert!(text.contains(said), "{said}: {text}");
        }
        let text = explain("g", KafkaError::bad_session(), &seen, FLAGS);
        assert!(text.contains("group.max.session.timeout.ms") && text.contains("--s"), "{text}");
    }
}
