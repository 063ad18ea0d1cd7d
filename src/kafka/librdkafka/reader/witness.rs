//! Whether a log was truncated below a place up to which it was read: a question of our own, asked of the leader after somebody
//! has raised the suspicion, and about exactly that place.
//!
//! What the client says of a truncation may be no more than two of its own thoughts that do not belong together: it
//! holds the answer to a question about epochs against a place that has moved on since (librdkafka 2.12.1; elections of
//! leaders are enough for it). So the record before the place is read once more, by another client and without an epoch.
//! A leader writes one record at an offset: where the same offset has the same epoch, the log is the same up to there. And
//! since a deposed leader may not have heard of it, another broker says before each look who leads.

use std::time::Duration;

use crate::{
    kafka::{
        Ends,
        librdkafka::{
            consumer::{Consumer, Event},
            fault::{FaultKind, LogTruncation},
        },
    },
    mutants::enforced,
    partitions::PartitionSlot,
};

/// Up to where a log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspect {
    pub(crate) partition: PartitionSlot,
    /// The offset behind the last record that was read.
    pub(crate) behind: i64,
    /// The epoch of that record.
    pub(crate) epoch: i32,
}

/// What the leader has there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaderAnswer {
    /// The record that was read last: the log was not truncated.
    Same,
    /// Another record in its place, or none: the log was truncated.
    Truncated {
        /// Where, as far as the leader says: it has nothing of what was read from there on.
        to: Option<i64>,
        /// Where it starts and ends now.
        ends: Ends,
    },
    /// Nothing that proves one or the other: the record may have been taken by retention or compaction.
    Uncertain,
    /// There was no leader that answered: it is asked again if the suspicion comes again.
    Unanswered,
}

/// What one read of the record before the place has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Record {
        offset: i64,
        epoch: i32,
    },
    End {
        offset: i64,
    },
    /// The leader does not have this offset.
    Refused,
    Nothing,
}

/// What that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Same,
    Another,
    /// The log ends below: a leader that has just been elected may say so for a moment.
    EndsBelow,
    Unclear,
}

/// How often, and how far apart, leaders are asked before a log counts as truncated: one that has just been elected may
/// name a lower end for a moment.
const LOOKS: usize = 3;
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How long one read may take.
const WAIT: Duration = Duration::from_millis(100);
const PATIENCE_WAITS: u32 = 50;

/// Asks the leader of a partition. The client reads nothing else meanwhile. [`LeaderAnswer::Unanswered`] when `stop` becomes true.
pub(super) async fn ask(consumer: &mut Consumer, suspect: Suspect, stop: &impl Fn() -> bool) -> LeaderAnswer {
    let (mut below, mut answered) = (0, None);
    for look in 0..2 * LOOKS {
        if look > 0 {
            glommio::timer::sleep(LOOK_PAUSE).await;
        }
        if stop() {
            return LeaderAnswer::Unanswered;
        }
        consumer.hear_another_broker(suspect.partition, stop).await;
        let shown = read_before(consumer, suspect, stop).await;
        let ends = consumer.ends(suspect.partition, stop).await;
        tracing::debug!("was the log truncated? {suspect:?}: the leader shows {shown:?}, and says {ends:?}");
        let Some(ends) = ends else { continue };
        answered = Some(ends);
        match judge(shown, ends, suspect) {
            Look::Same => return LeaderAnswer::Same,
            Look::Another => return ask_where(consumer, suspect, ends, stop).await,
            Look::EndsBelow => below += 1,
            Look::Unclear => below = 0,
        }
        if below == LOOKS {
            return ask_where(consumer, suspect, ends, stop).await;
        }
    }
    match answered {
        // In the record's place there may be one that nobody is shown by now: a marker, or what was aborted.
        Some(ends) if ends.start < suspect.behind => {
            unless_named(ask_where(consumer, suspect, ends, stop).await)
        }
        Some(_) => LeaderAnswer::Uncertain,
        None => LeaderAnswer::Unanswered,
    }
}

/// Where no record tells, a truncation is proven by a leader that says where it was, and by nothing else.
fn unless_named(word: LeaderAnswer) -> LeaderAnswer {
    if matches!(word, LeaderAnswer::Truncated { to: None, .. }) { LeaderAnswer::Uncertain } else { word }
}

fn judge(shown: Shown, ends: Ends, suspect: Suspect) -> Look {
    let last = suspect.behind - 1;
    match shown {
        Shown::Record { offset, epoch } if offset == last && epoch == suspect.epoch => Look::Same,
        // A broker that names no epoch proves nothing.
        Shown::Record { offset, epoch } if offset == last && epoch >= 0 => Look::Another,
        Shown::End { offset } if offset <= last => Look::EndsBelow,
        Shown::Refused if ends.end <= last => Look::EndsBelow,
        _ => Look::Unclear,
    }
}

/// Reads the record before the place.
async fn read_before(consumer: &mut Consumer, suspect: Suspect, stop: &impl Fn() -> bool) -> Shown {
    let Suspect { partition, behind, .. } = suspect;
    let mut shown = Shown::Nothing;
    consumer.poll(|_| ());
    consumer.read_from(partition, (behind - 1).max(0));
    first_word(consumer, stop, |event| {
        shown = match event {
            Event::Record { record, .. } => {
                Shown::Record { offset: record.offset, epoch: record.leader_epoch }
            }
            Event::End { offset, .. } => Shown::End { offset: *offset },
            Event::Fault { fault, .. }
                if matches!(fault.kind, FaultKind::OutOfRange | FaultKind::Truncated) =>
            {
                Shown::Refused
            }
            Event::Fault { .. } => return false,
        };
        true
    })
    .await;
    consumer.stop(partition);
    shown
}

/// Has the leader say where it was truncated. One that has just been elected may not say it, and a connection may be lost: it
/// is asked again before the truncation is taken for the least that it can be, one record.
async fn ask_where(
    consumer: &mut Consumer,
    suspect: Suspect,
    ends: Ends,
    stop: &impl Fn() -> bool,
) -> LeaderAnswer {
    for look in 0..LOOKS {
        if look > 0 {
            glommio::timer::sleep(LOOK_PAUSE).await;
        }
        let to = truncation_place(consumer, suspect, stop).await;
        if to.is_some() || stop() || !enforced("truncation-asked-again") {
            return LeaderAnswer::Truncated { to, ends };
        }
    }
    LeaderAnswer::Truncated { to: None, ends }
}

/// This client has no other question under way that could be answered instead, and its answer names what was asked.
async fn truncation_place(
    consumer: &mut Consumer,
    suspect: Suspect,
    stop: &impl Fn() -> bool,
) -> Option<i64> {
    let Suspect { partition, behind, epoch } = suspect;
    let mut to = None;
    consumer.poll(|_| ());
    consumer.read_from(partition, behind);
    consumer.confirm(partition, behind, epoch);
    first_word(consumer, stop, |event| match event {
        Event::Fault { fault, .. } => {
            to = fault.truncation.and_then(|truncation| answer(truncation, suspect));
            to.is_some()
        }
        _ => false,
    })
    .await;
    consumer.stop(partition);
    to
}

fn answer(truncation: LogTruncation, suspect: Suspect) -> Option<i64> {
    ((truncation.from, truncation.epoch) == (suspect.behind, suspect.epoch)).then_some(truncation.to)
}

/// Shows what comes until `take` says that it was what was waited for.
async fn first_word(
    consumer: &mut Consumer,
    stop: &impl Fn() -> bool,
    mut take: impl FnMut(&Event<'_>) -> bool,
) {
    for _ in 0..PATIENCE_WAITS {
        let mut is_done = false;
        consumer.poll(|event| is_done = is_done || take(&event));
        if is_done || stop() {
            return;
        }
        consumer.wait(WAIT).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUSPECT: Suspect = Suspect { partition: PartitionSlot::new(0), behind: 796, epoch: 145 };

    fn look(shown: Shown, start: i64, end: i64) -> Look {
        judge(shown, Ends { start, end }, SUSPECT)
    }

    #[test]
    fn the_same_record_is_the_same_log() {
        assert_eq!(look(Shown::Record { offset: 795, epoch: 145 }, 0, 900), Look::Same);
        assert_eq!(
            look(Shown::Record { offset: 795, epoch: 145 }, 0, 790),
            Look::Same,
            "the record says more"
        );
    }

    #[test]
    fn another_record_in_its_place_is_a_truncation() {
        assert_eq!(look(Shown::Record { offset: 795, epoch: 146 }, 0, 900), Look::Another);
        assert_eq!(look(Shown::Record { offset: 795, epoch: 144 }, 0, 900), Look::Another);
        assert_eq!(
            look(Shown::Record { offset: 795, epoch: -1 }, 0, 900),
            Look::Unclear,
            "nobody says whose"
        );
    }

    #[test]
    fn where_no_record_tells_only_a_leader_that_names_the_place_does() {
        let ends = Ends { start: 0, end: 900 };
        let named = LeaderAnswer::Truncated { to: Some(790), ends };
        assert_eq!(unless_named(named), named);
        assert_eq!(unless_named(LeaderAnswer::Truncated { to: None, ends }), LeaderAnswer::Uncertain);
    }

    #[test]
    fn a_log_that_ends_below_is_looked_at_again() {
        assert_eq!(look(Shown::End { offset: 795 }, 0, 795), Look::EndsBelow);
        assert_eq!(look(Shown::Refused, 0, 700), Look::EndsBelow);
        assert_eq!(
            look(Shown::End { offset: 796 }, 0, 796),
            Look::Unclear,
            "it was there, and does not show"
        );
    }

    #[test]
    fn what_retention_or_compaction_may_have_taken_proves_nothing() {
        assert_eq!(look(Shown::Record { offset: 797, epoch: 146 }, 0, 900), Look::Unclear);
        assert_eq!(look(Shown::Refused, 850, 900), Look::Unclear);
        assert_eq!(look(Shown::Nothing, 0, 900), Look::Unclear);
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        assert_eq!(answer(LogTruncation { from: 796, epoch: 145, to: 700 }, SUSPECT), Some(700));
        assert_eq!(answer(LogTruncation { from: 795, epoch: 145, to: 700 }, SUSPECT), None);
        assert_eq!(answer(LogTruncation { from: 796, epoch: 144, to: 700 }, SUSPECT), None);
    }
}
