//! What gave way at a rate, in words: whose backlog it was, and how much of what against how much. Pure.

use super::search::{Bounds, GaveWay, Measured};
use crate::{human::count, stats::LatencyHistogram};

use std::time::Duration;

/// The reader that is behind most, of those that each read everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slowest {
    /// Who it is, such as `group g`.
    pub(super) name: String,
    /// Records that were acked and that it has not read.
    pub(super) behind: u64,
}

/// Why a rate did not hold; what comes first in [`Bounds`] is told.
#[must_use]
pub(super) fn why(
    gave_way: GaveWay,
    measured: &Measured,
    limit: Duration,
    slowest: Option<&Slowest>,
) -> String {
    let Measured { achieved, overdue, unanswered, latency, .. } = *measured;
    let bounds = Bounds::of(measured, limit);
    if gave_way == GaveWay::Latency {
        let text =
            |time: Duration| LatencyHistogram::text(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        return format!("{} against {}", text(latency), text(limit));
    }
    let (late, records) = (count(overdue, "record"), if overdue == 1 { "was" } else { "were" });
    if unanswered > 0 {
        format!("{} had no ack long after the end", count(unanswered, "record"))
    } else if overdue as f64 > bounds.overdue {
        format!("{late} {records} due and not sent, against {:.0} at the most", bounds.overdue)
    } else if achieved < bounds.achieved {
        format!("{achieved:.0} records/s were acked, against {:.0} at the least", bounds.achieved)
    } else {
        let (name, behind) = slowest.map_or(("the readers", measured.backlog), |one| (&one.name, one.behind));
        let behind = count(behind, "acked record");
        format!("{name} had not read {behind}, against {:.0} at the most", bounds.backlog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_somebody_s_and_has_a_size_and_a_limit() {
        let (limit, held) = (
            Duration::from_millis(20),
            Measured {
                rate: 1_000.0,
                achieved: 999.0,
                measured_s: 10.0,
                latency: Duration::from_millis(5),
                overdue: 0,
                backlog: 0,
                unanswered: 0,
                is_client_bound: false,
            },
        );
        let slowest = Slowest { name: "group g-2".to_owned(), behind: 3_000 };
        let said = |measured: Measured| {
            let gave_way = crate::bench::search::assess(&measured, limit).expect("it did not hold");
            why(gave_way, &measured, limit, Some(&slowest))
        };
        for (measured, expected) in [
            (
                Measured { backlog: 1_500, ..held },
                "group g-2 had not read 3,000 acked records, against 1000 at the most",
            ),
            (Measured { overdue: 30, ..held }, "30 records were due and not sent, against 21 at the most"),
            (Measured { achieved: 900.0, ..held }, "900 records/s were acked, against 989 at the least"),
            (Measured { unanswered: 1, ..held }, "1 record had no ack long after the end"),
            (Measured { latency: Duration::from_millis(25), ..held }, "25.0 ms against 20.0 ms"),
            (
                Measured { achieved: 900.0, is_client_bound: true, ..held },
                "900 records/s were acked, against 989 at the least",
            ),
        ] {
            assert_eq!(said(measured), expected);
        }
        let nobody = Measured { backlog: 1_500, ..held };
        let said = why(GaveWay::Backlog, &nobody, limit, None);
        assert_eq!(said, "the readers had not read 1,500 acked records, against 1000 at the most");
    }
}
