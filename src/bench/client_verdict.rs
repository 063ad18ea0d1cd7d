//! Whether the client was what held the load back. Pure.

use std::fmt;

/// A shard that is on its core, or ready for it, for this part of the time has no more to give.
const BUSY: f64 = 0.9;
/// From this part of the time on it is worth a word that others had the core.
const STARVED: f64 = 0.1;
/// A rate counts as kept from this part of it on, without what may be under way at the end, as time.
const KEPT: f64 = 0.995;
const UNDER_WAY_S: f64 = 0.1;
/// Who waits for slots for this part of the time waits for the broker.
const WAITS: f64 = 0.5;

/// What is known of a shard's time, parts of it (0 to 1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ShardTime {
    /// Its threads were on its core.
    pub busy: f64,
    /// A thread of it was ready, and somebody else was on the core.
    pub starved: f64,
    /// A record was due, the shard slept, and no slot was free.
    pub slot_wait: f64,
}

/// What the verdict is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Observed {
    /// Records a second; `None` for a closed loop.
    pub goal_records_per_s: Option<f64>,
    /// Acks a second.
    pub achieved_records_per_s: f64,
    /// For how long.
    pub measured_s: f64,
    /// Records due and not sent at the end.
    pub overdue_records: u64,
    /// The shards, by number.
    pub shards: Vec<ShardTime>,
}

/// Who held the load back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientVerdict {
    /// Nobody: the rate was kept.
    AtRate,
    /// The brokers: acks came too slowly for what may be in flight.
    BrokerBound,
    /// The client had nothing more to give, or was kept from giving it.
    ClientBound,
}

impl ClientVerdict {
    /// The code in results.
    #[must_use]
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::AtRate => "at-rate",
            Self::BrokerBound => "broker-bound",
            Self::ClientBound => "client-bound",
        }
    }
}

impl fmt::Display for ClientVerdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::AtRate => "at rate",
            Self::BrokerBound => "broker-bound",
            Self::ClientBound => "client-bound",
        })
    }
}

/// The verdict, and why, in words.
#[must_use]
pub(super) fn judge(observed: &Observed) -> (ClientVerdict, String) {
    let Observed { goal_records_per_s, achieved_records_per_s, measured_s, overdue_records, shards } =
        observed;
    if let Some(goal) = goal_records_per_s
        && *achieved_records_per_s >= goal * (KEPT - UNDER_WAY_S / measured_s.max(1.0))
    {
        return (
            ClientVerdict::AtRate,
            format!("{:.1}% of the rate was acked", kept(*goal, *achieved_records_per_s)),
        );
    }
    let of_rate = goal_records_per_s.map_or_else(String::new, |goal| {
        format!("{:.1}% of the rate was acked: ", kept(goal, *achieved_records_per_s))
    });
    let behind = |goal: f64| *overdue_records as f64 > goal * UNDER_WAY_S;
    if goal_records_per_s.is_some_and(|goal| !behind(goal)) {
        // However busy it was, it kept to its schedule.
        let why = format!("{of_rate}what was due was sent, and acks were missing at the end");
        return (ClientVerdict::BrokerBound, why);
    }
    let wanted = |(_, shard): &(usize, &ShardTime)| (shard.busy + shard.starved).min(1.0);
    let busiest = shards.iter().enumerate().max_by(|one, other| wanted(one).total_cmp(&wanted(other)));
    if let Some((number, shard)) = busiest.filter(|busiest| wanted(busiest) >= BUSY) {
        return (ClientVerdict::ClientBound, format!("{of_rate}{}", time_of(number, shard)));
    }
    let slot_wait = shards.iter().map(|shard| shard.slot_wait).fold(0.0, f64::max);
    if slot_wait >= WAITS {
        let why = format!("{of_rate}records waited for a slot for {:.0}% of the time", slot_wait * 100.0);
        return (ClientVerdict::BrokerBound, why);
    }
    if goal_records_per_s.is_none() {
        let why = format!("no shard was busy for {:.0}% of the time: it waited for acks", BUSY * 100.0);
        return (ClientVerdict::BrokerBound, why);
    }
    // A wait for a core counts when it is over: who waited at the end of what is measured was starved for longer than is known.
    let held_up = busiest
        .filter(|(_, shard)| shard.starved >= STARVED)
        .map_or_else(|| "it was held up".to_owned(), |(number, shard)| time_of(number, shard));
    let why = format!(
        "{of_rate}slots were free ({:.0}% of the time was spent waiting for one), and the client did not send what was due: \
         {held_up}",
        slot_wait * 100.0
    );
    (ClientVerdict::ClientBound, why)
}

/// What a shard did with its time, and what others did with its core.
fn time_of(number: usize, shard: &ShardTime) -> String {
    let ShardTime { busy, starved, .. } = shard;
    let others = if *starved >= STARVED {
        format!(", and {:.0}% of it ready while others had the core", starved * 100.0)
    } else {
        String::new()
    };
    format!("shard {number} was busy for {:.0}% of the time{others}", busy * 100.0)
}

fn kept(goal: f64, achieved: f64) -> f64 {
    100.0 * achieved / goal.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        goal: Option<f64>,
        achieved: f64,
        overdue: u64,
        shards: &[(f64, f64, f64)],
    ) -> (ClientVerdict, String) {
        let shard = |(busy, starved, slot_wait): &(f64, f64, f64)| ShardTime {
            busy: *busy,
            starved: *starved,
            slot_wait: *slot_wait,
        };
        judge(&Observed {
            goal_records_per_s: goal,
            achieved_records_per_s: achieved,
            measured_s: 1_000.0,
            overdue_records: overdue,
            shards: shards.iter().map(shard).collect(),
        })
    }

    #[test]
    fn a_rate_that_is_kept_is_kept_however_busy_the_client_is() {
        let (verdict, why) = of(Some(1_000.0), 996.0, 0, &[(0.99, 0.0, 0.0)]);
        assert_eq!((verdict, why.as_str()), (ClientVerdict::AtRate, "99.6% of the rate was acked"));
        assert_ne!(of(Some(1_000.0), 994.0, 5, &[(0.99, 0.0, 0.0)]).0, ClientVerdict::AtRate);
        let short = Observed {
            goal_records_per_s: Some(1_000.0),
            achieved_records_per_s: 980.0,
            measured_s: 5.0,
            ..Observed::default()
        };
        assert_eq!(judge(&short).0, ClientVerdict::AtRate, "what is under way at the end counts");
    }

    #[test]
    fn a_shard_without_time_left_is_the_bottleneck() {
        let (verdict, why) = of(Some(1_000.0), 500.0, 900, &[(0.2, 0.0, 0.1), (0.95, 0.0, 0.0)]);
        assert_eq!(verdict, ClientVerdict::ClientBound);
        assert_eq!(why, "50.0% of the rate was acked: shard 1 was busy for 95% of the time");
        assert_eq!(of(None, 500.0, 0, &[(0.95, 0.0, 0.0)]).0, ClientVerdict::ClientBound);
    }

    #[test]
    fn so_is_one_that_others_keep_from_its_core() {
        let (verdict, why) = of(Some(1_000.0), 500.0, 900, &[(0.3, 0.65, 0.4)]);
        assert_eq!(verdict, ClientVerdict::ClientBound);
        assert!(
            why.ends_with("busy for 30% of the time, and 65% of it ready while others had the core"),
            "{why}"
        );
    }

    #[test]
    fn who_sleeps_for_want_of_slots_waits_for_the_brokers() {
        let (verdict, why) = of(Some(1_000.0), 500.0, 900, &[(0.2, 0.05, 0.7)]);
        assert_eq!(verdict, ClientVerdict::BrokerBound);
        assert!(why.ends_with("records waited for a slot for 70% of the time"), "{why}");
        assert_eq!(of(None, 500.0, 0, &[(0.2, 0.0, 0.1)]).0, ClientVerdict::BrokerBound, "a closed loop");
        assert_eq!(
            of(Some(1_000.0), 500.0, 0, &[(0.2, 0.0, 0.1)]).0,
            ClientVerdict::BrokerBound,
            "all was sent"
        );
    }

    #[test]
    fn who_does_not_send_though_there_is_room_was_held_up() {
        let (verdict, why) = of(Some(1_000.0), 500.0, 900, &[(0.2, 0.0, 0.1)]);
        assert_eq!(verdict, ClientVerdict::ClientBound);
        assert!(why.ends_with("the client did not send what was due: it was held up"), "{why}");
        assert_eq!(of(Some(1_000.0), 0.0, 900, &[]).0, ClientVerdict::ClientBound, "nobody at work");
        let (_, why) = of(Some(1_000.0), 500.0, 900, &[(0.2, 0.6, 0.1)]);
        assert!(
            why.ends_with(
                "did not send what was due: shard 0 was busy for 20% of the time, and 60% of it ready while others had \
                 the core"
            ),
            "{why}"
        );
    }
}
