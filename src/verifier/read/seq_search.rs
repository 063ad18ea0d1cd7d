//! A sequential reader's partition that stands still: what its broker says, and what lies there.

use std::time::Instant;

use super::{
    ends::{Ends, Reply},
    prober::Answer,
    sequential::seq_reader::SeqReader,
    stall::Look,
    unreadable::MALFORMED,
    witness::{Suspect, Word},
};
use crate::verifier::shard::Halt;

impl SeqReader<'_> {
    /// Nothing is decided without the broker's word: one that does not answer is waited for.
    pub(crate) fn hear(&mut self, reply: Reply) -> Result<(), Halt> {
        let Some(index) = self.pass.place(reply.partition) else { return Ok(()) };
        let track = &mut self.pass.tracks[index];
        let Some(ends) = reply.ends else {
            track.watch.unanswered();
            return if self.deafness.unanswered(Instant::now()) { self.renew_client() } else { Ok(()) };
        };
        self.deafness.heard();
        if track.is_done() || track.is_paused() || track.position != reply.asked_at {
            return Ok(());
        }
        if track.skip.is_some() {
            self.try_again(index, ends);
            return Ok(());
        }
        if let Some(suspect) = self.pass.judge(index, ends)? {
            self.consumer.stop(suspect.partition);
            self.prober.is_cut(suspect);
            return Ok(());
        }
        self.pass.leave_out_tail(index, Instant::now());
        self.resume(index);
        self.look_for_stall(index, ends.end)
    }

    /// The broker answers, and says that there is more than was shown.
    fn look_for_stall(&mut self, index: usize, end: i64) -> Result<(), Halt> {
        let track = &mut self.pass.tracks[index];
        let (partition, position) = (track.partition, track.position);
        if track.is_done() || position >= end {
            return Ok(());
        }
        let what = || format!("what lies at offset {position}");
        let look = self.watchman.look(&mut track.watch, partition, (position, end), what);
        if look != Look::Patience {
            // Or it may be neither who sleeps: what lies there may be such that the client has nothing to show of it.
            self.prober.what_is(partition, position);
        }
        if look == Look::HalfTime { self.renew_client() } else { Ok(()) }
    }

    /// A try behind what cannot be read got no answer that can be trusted.
    fn try_again(&mut self, index: usize, ends: Ends) {
        let track = &mut self.pass.tracks[index];
        let refused = std::mem::take(&mut track.out_of_range);
        match &mut track.skip {
            Some(skip) if (ends.start..ends.end).contains(&skip.trying()) => {
                if refused {
                    self.consumer.read_from(track.partition, skip.trying());
                } else {
                    // This client may be the wrong one to ask: of what it cannot take apart it says nothing.
                    self.search(index);
                }
            }
            // There is nothing so far behind.
            Some(skip) => skip.succeeded(),
            None => {}
        }
    }

    /// What has been found out about partitions that stand still.
    pub(crate) fn hear_of_silence(&mut self) -> Result<(), Halt> {
        self.prober.answers().into_iter().try_for_each(|answer| match answer {
            Answer::Malformed { partition, offset } => self.malformed(partition, offset),
            Answer::Reaches { partition, from, to } => {
                self.go_on_behind(partition, from, to);
                Ok(())
            }
            Answer::Leader { suspect, word } => self.hear_of_suspect(suspect, word),
        })
    }

    /// Only now is it known whether the log was cut.
    #[cold]
    fn hear_of_suspect(&mut self, Suspect { partition, .. }: Suspect, word: Word) -> Result<(), Halt> {
        let Some(index) = self.pass.place(partition) else { return Ok(()) };
        if self.pass.tracks[index].is_suspected {
            self.pass.hear(index, word)?;
            self.resume(index);
        }
        Ok(())
    }

    /// It is no stall: the broker has sent what lies there, and nobody can read it.
    #[cold]
    fn malformed(&mut self, partition: i32, offset: i64) -> Result<(), Halt> {
        let Some(index) = self.pass.place(partition) else { return Ok(()) };
        let track = &mut self.pass.tracks[index];
        if track.is_done() || track.position != offset || track.skip.is_some() || track.is_paused() {
            return Ok(());
        }
        self.watchman.settled(&mut track.watch);
        self.pass.checker.stats().errors.add(1);
        self.pass.checker.corrupt(partition, offset, MALFORMED)?;
        self.search(index);
        Ok(())
    }

    /// Has somebody find out how far reaches what cannot be read at a partition's place.
    fn search(&mut self, index: usize) {
        let track = &mut self.pass.tracks[index];
        (track.skip, track.is_searched) = (None, true);
        self.consumer.stop(track.partition);
        self.prober.how_far(track.partition, track.position);
    }

    fn go_on_behind(&mut self, partition: i32, from: i64, to: i64) {
        let Some(index) = self.pass.place(partition) else { return };
        let track = &mut self.pass.tracks[index];
        if track.is_done() || track.position != from || !track.is_searched {
            return;
        }
        // Nothing is missed behind the end of this reader's part.
        let to = to.min(track.end());
        if to > from {
            track.pass_over(from, to);
            tracing::warn!("partition {partition}: offsets {from} to {} are passed over", to - 1);
        } else {
            // The log was cut meanwhile. That shows where it is read.
            track.is_searched = false;
        }
        if !track.is_done() {
            self.consumer.read_from(partition, track.position);
        }
    }
}
