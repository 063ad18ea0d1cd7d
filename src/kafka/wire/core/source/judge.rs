//! Whether a leader's log is the one that was read, and what it means that it denies a place.

use super::{
    Source,
    position::{Inquiry, Position, Stage},
    show::{Arrived, Content},
};
use crate::kafka::wire::core::{
    code::{self, Kind},
    questions::{Answer, Found, NoAnswer, QuestionId, Questions, What},
};

/// How often in a row a leader may deny a place that lies between its log's start and its end, before that is told. It may:
/// what was asked first and what was asked then are not one moment.
const DENIALS: u8 = 5;

impl Source {
    /// Asks what is to be asked about a partition, and draws the consequences of what was answered.
    pub(super) fn settle_one(&mut self, index: usize, questions: &mut Questions, now_us: u64) {
        let position = &mut self.positions[index];
        let until_us = now_us + self.settings.question_us;
        match position.stage {
            Stage::Idle | Stage::Fetching | Stage::Showing => return,
            Stage::Reading => {
                let Some(epoch) = position.epoch_to_check() else { return };
                if position.not_before_us <= now_us {
                    let id = questions.ask(&[position.slot], What::EpochEnd { epoch }, until_us, now_us);
                    position.stage = Stage::Checking(id);
                }
            }
            Stage::Denied => {
                position.stage = Stage::Judging(inquire(position, questions, (until_us, now_us)));
            }
            Stage::Checking(id) => {
                if let Some(answer) = answer(questions, id) {
                    self.confirm(index, answer, now_us);
                }
            }
            Stage::Judging(inquiry) => self.judge(index, inquiry, questions, now_us),
        }
        self.is_unsettled = true;
    }

    /// A leader has said where the epoch of the last record ends in its log.
    fn confirm(&mut self, index: usize, answer: Answer, now_us: u64) {
        let position = &mut self.positions[index];
        let leader_epoch = position.leader.map(|leader| leader.epoch);
        position.stage = Stage::Reading;
        match answer {
            // Somebody else leads by now, and is asked.
            Ok(found) if Some(found.leader_epoch) != leader_epoch => {}
            Ok(found) => match position.epochs.parts_at(found, position.offset) {
                Some(to) => self.tell(index, Content::Truncated { to }),
                None => position.confirmed = leader_epoch,
            },
            Err(NoAnswer::Error(error)) if code::kind(error) == Kind::Refused => {
                // Without that right, or with a broker that old, it is read as others read it.
                position.confirmed = leader_epoch;
                self.unchecked = Some(error);
            }
            Err(_) => position.rest_until(now_us + self.settings.back_off_us),
        }
    }

    fn judge(&mut self, index: usize, inquiry: Inquiry, questions: &mut Questions, now_us: u64) {
        let Inquiry { epoch_end, start, end } = inquiry;
        let ids = [epoch_end, Some(start), Some(end)];
        // All in one go: taken one by one, those that are there would be lost while the others are waited for.
        if ids.into_iter().flatten().any(|id| !questions.is_answered(id)) {
            return;
        }
        let [epoch_end, start, end] = ids.map(|id| id.and_then(|id| answer(questions, id)));
        let verdict = verdict(&self.positions[index], epoch_end, start, end);
        let position = &mut self.positions[index];
        position.rest_until(now_us + self.settings.back_off_us);
        match verdict {
            Verdict::Again => {}
            Verdict::Lies if position.denials < DENIALS => position.denials += 1,
            Verdict::Lies | Verdict::OutOfRange => self.tell(index, Content::OutOfRange),
            Verdict::Truncated { to } => self.tell(index, Content::Truncated { to }),
            Verdict::Error(error) => self.tell_error(index, error),
        }
    }

    /// Something is to be told of a partition, behind all that has come of it.
    fn tell(&mut self, index: usize, content: Content) {
        let position = &mut self.positions[index];
        position.stage = Stage::Showing;
        let mut arrived = self.spare.pop().unwrap_or_default();
        arrived.begin(None);
        arrived.tell(index, position.generation, content);
        self.keep(arrived);
    }

    /// An error is to be told of a partition, which goes on all the same.
    pub(super) fn tell_error(&mut self, index: usize, error: i16) {
        let mut arrived = self.spare.pop().unwrap_or_default();
        arrived.begin(None);
        arrived.tell(index, self.positions[index].generation, Content::Error(error));
        self.keep(arrived);
    }

    /// What has come waits to be shown; what is empty is used again.
    pub(super) fn keep(&mut self, arrived: Arrived) {
        if arrived.sections.is_empty() {
            self.recycle(arrived);
        } else {
            if let Some(turn) = self.turns.iter_mut().find(|turn| Some(turn.key) == arrived.turn) {
                turn.held += 1;
                turn.rotate(&mut self.positions);
            }
            self.arrived.push_back(arrived);
        }
    }
}

/// What it means that a leader denies a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody knows yet.
    Again,
    /// The place lies between the log's start and end, of the same log.
    Lies,
    OutOfRange,
    Truncated {
        to: i64,
    },
    Error(i16),
}

fn verdict(
    position: &Position,
    epoch_end: Option<Answer>,
    start: Option<Answer>,
    end: Option<Answer>,
) -> Verdict {
    let leader_epoch = position.leader.map_or(-1, |leader| leader.epoch);
    // Of the leader that is in charge by now.
    let current = |answer: Option<Answer>| match answer? {
        Ok(found) => Some(found).filter(|found| found.leader_epoch == leader_epoch),
        Err(_) => None,
    };
    let refusal = |answer: Option<Answer>| match answer? {
        Err(NoAnswer::Error(error)) if code::kind(error) == Kind::Refused => Some(error),
        _ => None,
    };
    if let Some(to) = current(epoch_end).and_then(|found| position.epochs.parts_at(found, position.offset)) {
        return Verdict::Truncated { to };
    }
    if let Some(error) = refusal(start).or_else(|| refusal(end)) {
        return Verdict::Error(error);
    }
    let (Some(Found { offset: start, .. }), Some(Found { offset: end, .. })) = (current(start), current(end))
    else {
        return Verdict::Again;
    };
    if (start..=end).contains(&position.offset) { Verdict::Lies } else { Verdict::OutOfRange }
}

fn inquire(position: &Position, questions: &mut Questions, (until_us, now_us): (u64, u64)) -> Inquiry {
    let mut ask = |what| questions.ask(&[position.slot], what, until_us, now_us);
    Inquiry {
        epoch_end: position.epochs.last().map(|epoch| ask(What::EpochEnd { epoch })),
        start: ask(What::Start),
        end: ask(What::End { read_committed: false }),
    }
}

/// The answer about one partition.
fn answer(questions: &mut Questions, id: QuestionId) -> Option<Answer> {
    let answers = questions.answers(id)?;
    Some(answers.first().map_or(Err(NoAnswer::TimedOut), |(_, answer)| *answer))
}
