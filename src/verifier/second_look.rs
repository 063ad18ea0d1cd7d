//! The main thread's look at a ledger that has grown since a pass began, for records of which only that can tell what they
//! prove.

use std::time::{Duration, Instant};

use super::{run_context::RunContext, shard::Halt};
use crate::{
    findings::anomaly::Violation,
    ledger::undecided::{self, Decided},
};

/// How often the ledger is read while a pass goes on, and something depends on it.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the ledger may be behind what was acked: a long one is written every 4 s.
const LEDGER_DELAY: Duration = Duration::from_secs(5);
/// The pause between two looks at the end of a pass.
const PAUSE: Duration = Duration::from_millis(250);

/// The looks during one pass: whoever waits for more would learn of a broken promise at its end only.
pub(crate) struct SecondLook<'a> {
    run_context: &'a RunContext<'a>,
    next: Instant,
    halt: Option<Halt>,
}

impl<'a> SecondLook<'a> {
    pub(crate) fn new(run_context: &'a RunContext<'a>) -> Self {
        Self { run_context, next: Instant::now() + LOOK_EVERY, halt: None }
    }

    /// Called again and again. A broken promise ends the run, unless it goes on.
    pub(crate) fn look(&mut self) {
        let (run_context, undecided) = (self.run_context, &self.run_context.control.shared.undecided);
        if undecided.is_empty() || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + LOOK_EVERY;
        // One that cannot be read now is read at the end of the pass.
        let Ok((ledger, _)) = run_context.ledger() else { return };
        if let Err(halt) = run_context.accuse(undecided.convict(&ledger)) {
            run_context.lifecycle().note_halt(halt.exit_code(), || halt.to_string());
            run_context.lifecycle().request_stop();
            self.halt.get_or_insert(halt);
        }
    }

    /// What came of it.
    pub(crate) fn finish(self) -> Result<(), Halt> {
        self.halt.map_or(Ok(()), Err)
    }
}

impl RunContext<'_> {
    /// A pass is over: decides about the records that were left to this moment.
    ///
    /// # Errors
    /// The first promise that was broken, unless the run goes on.
    pub(crate) fn decide(&self) -> Result<(), Halt> {
        let shared = &self.control.shared;
        let until = Instant::now() + LEDGER_DELAY;
        while !shared.undecided.is_empty() {
            let ledger = self.ledger().ok().map(|(ledger, _)| ledger);
            let awaits = ledger.as_ref().is_some_and(|ledger| shared.undecided.awaits(ledger));
            if awaits && Instant::now() < until && !self.lifecycle().stop_requested() {
                std::thread::sleep(PAUSE);
                continue;
            }
            // Without a ledger nobody promised anything.
            let decided = ledger.map_or_else(
                || Decided { broken: Vec::new(), unlisted: shared.undecided.take() },
                |ledger| shared.undecided.decide(&ledger),
            );
            self.draw_consequences(decided)?;
        }
        Ok(())
    }

    /// Counts what the client itself sent twice, and accuses where a promise was broken.
    ///
    /// # Errors
    /// The first promise that was broken, unless the run goes on.
    pub(crate) fn draw_consequences(&self, decided: Decided) -> Result<(), Halt> {
        let causes = &self.control.shared.causes;
        decided.unlisted.iter().for_each(|record| undecided::note_resend(causes, record));
        self.accuse(decided.broken)
    }

    fn accuse(&self, violations: Vec<Violation>) -> Result<(), Halt> {
        for violation in violations {
            if !self.config.proof.keep_going {
                return Err(Halt::Violation(Box::new(violation)));
            }
            self.control.shared.violations.add(violation);
        }
        Ok(())
    }
}
