//! The end of a run: the verdict is told once, by whoever ends it. That may be the main thread, the control thread when
//! a client does not close in time, or a thread that panics.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    Shared,
    error::RunError,
    facts, logging,
    report::{Report, ReportError},
    trogdor,
    verdict::{Facts, Gate, Verdict},
};
use crate::{
    clock,
    config::{BenchConfig, CommonConfig, LogFormat, RepeaterConfig, VerifierConfig},
    partitions::Slice,
};

/// How long a thread that must end the process waits for summary and report: a disk or a reader may hang.
const TELL_LIMIT: Duration = Duration::from_secs(1);

/// What the run was asked to do.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// A verifier's run.
    Verifier(Box<VerifierConfig>),
    /// A repeater's.
    Repeater(Box<RepeaterConfig>),
    /// A benchmark's.
    Bench(Box<BenchConfig>),
}

impl Asked {
    /// Name of the program.
    #[must_use]
    pub(crate) fn program(&self) -> &'static str {
        match self {
            Self::Verifier(_) => "verifier",
            Self::Repeater(_) => "repeater",
            Self::Bench(_) => "bench",
        }
    }

    /// The part of the topic that this process works on; `None`: all of it.
    #[must_use]
    pub(crate) fn slice(&self) -> Option<Slice> {
        match self {
            Self::Verifier(config) => config.slice,
            Self::Repeater(_) | Self::Bench(_) => None,
        }
    }

    /// What both programs share.
    #[must_use]
    pub(crate) fn common(&self) -> &CommonConfig {
        match self {
            Self::Verifier(config) => &config.common,
            Self::Repeater(config) => &config.common,
            Self::Bench(config) => &config.verifier.common,
        }
    }
}

/// The summary for whoever wants JSON lines: one object, on stdout.
#[derive(Serialize)]
struct Conclusion<'a> {
    verdict: &'static str,
    exit_code: u8,
    complete: bool,
    cause: Option<String>,
    /// The summary's lines.
    summary: Vec<&'a str>,
}

/// A part of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// Its name, such as `produce` or `sequential read`.
    pub name: &'static str,
    /// How long it took, or has taken so far.
    pub took: Duration,
}

/// A phase that has begun.
#[derive(Debug)]
struct Begun {
    name: &'static str,
    began: Instant,
    took: Option<Duration>,
}

/// What a run needs in order to end, from its first line on.
pub(crate) struct Ending {
    /// What it was asked to do.
    pub asked: Asked,
    /// When it began, ms since 1970.
    pub started_at_ms: i64,
    clock: Instant,
    gate: Gate,
    report: Option<Report>,
    report_begun: AtomicBool,
    shared: OnceLock<Weak<Shared>>,
    phases: Mutex<Vec<Begun>>,
    /// The exit code, once the verdict was told.
    told: Mutex<Option<u8>>,
}

/// The run of this process, for a thread that panics.
static CURRENT: OnceLock<Arc<Ending>> = OnceLock::new();

impl Ending {
    /// Begins a run.
    #[must_use]
    pub(crate) fn begin(asked: Asked) -> Arc<Self> {
        let gate = Gate {
            require_complete: asked.common().limits.require_complete,
            ledger_asked_for: matches!(&asked, Asked::Verifier(config) if config.ledger_asked_for),
        };
        let report = asked.common().report.clone().map(Report::new);
        let ending = Arc::new(Self {
            asked,
            started_at_ms: clock::unix_ms(),
            clock: Instant::now(),
            gate,
            report,
            report_begun: AtomicBool::new(false),
            shared: OnceLock::new(),
            phases: Mutex::default(),
            told: Mutex::default(),
        });
        let _ = CURRENT.set(ending.clone());
        for warning in &ending.asked.common().warnings {
            tracing::warn!("{warning}");
        }
        ending
    }

    /// All settings exist. Where a report is asked for, one that says that the run has not ended is written: whatever ends
    /// it from here on, nobody reads an older one for this run's.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(crate) fn begin_report(&self) -> Result<(), ReportError> {
        if let Some(reason) = &self.asked.common().client.reason {
            tracing::info!("librdkafka speaks to the brokers: {reason}");
        }
        if let Some(report) = &self.report {
            report.begin(self)?;
            self.report_begun.store(true, Relaxed);
        }
        Ok(())
    }

    /// From now on there is something to say of the workers.
    pub(crate) fn watch(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// A part of the run begins; the one before is over.
    pub(crate) fn begin_phase(&self, name: &'static str) {
        self.end_phase();
        lock(&self.phases).push(Begun { name, began: Instant::now(), took: None });
    }

    /// The part under way is over.
    pub(crate) fn end_phase(&self) {
        if let Some(phase) = lock(&self.phases).last_mut() {
            phase.took.get_or_insert_with(|| phase.began.elapsed());
        }
    }

    /// The parts of the run until now.
    #[must_use]
    pub(crate) fn phases(&self) -> Vec<Phase> {
        let phase = |phase: &Begun| Phase {
            name: phase.name,
            took: phase.took.unwrap_or_else(|| phase.began.elapsed()),
        };
        lock(&self.phases).iter().map(phase).collect()
    }

    /// The part under way; `None` where there is none.
    #[must_use]
    pub(crate) fn phase_under_way(&self) -> Option<&'static str> {
        lock(&self.phases).last().filter(|phase| phase.took.is_none()).map(|phase| phase.name)
    }

    /// How long the run has taken.
    #[must_use]
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// What it has shown.
    #[must_use]
    pub(crate) fn facts(&self, error: Option<&RunError>) -> Facts {
        let shared = self.shared();
        match (&self.asked, &shared) {
            (_, None) => facts::of_error(error),
            (Asked::Verifier(config), Some(shared)) => facts::of_verifier(config, shared, error),
            (Asked::Repeater(config), Some(shared)) => facts::of_repeater(config, shared, error),
            (Asked::Bench(config), Some(shared)) => facts::of_verifier(&config.verifier, shared, error),
        }
    }

    /// The exit code of a run that ends with this verdict.
    #[must_use]
    pub(crate) fn exit_code(&self, verdict: &Verdict) -> u8 {
        verdict.exit_code(self.gate)
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.get().and_then(Weak::upgrade)
    }

    /// Tells the verdict, in the summary and in the report, unless that was done; returns the exit code.
    pub(crate) fn close(&self, error: Option<&RunError>) -> u8 {
        let mut told = lock(&self.told);
        if let Some(code) = *told {
            return code;
        }
        let facts = self.facts(error);
        let code = self.tell(&facts, error);
        *told = Some(code);
        code
    }

    /// The same for a thread that must not hang: for a run that somebody has to end from outside.
    pub(crate) fn close_in_time(self: &Arc<Self>) -> u8 {
        let ending = self.clone();
        let code = within_limit(move || ending.close(None));
        code.unwrap_or_else(|| self.exit_code(&Verdict::of(&self.facts(None))))
    }

    /// Tells that a thread has panicked.
    fn close_on_panic(self: &Arc<Self>, what: &str) {
        let (ending, error) = (self.clone(), RunError::Failed(format!("a bug: {what}")));
        within_limit(move || {
            // Nothing that was found before a bug of ours is the cluster's for certain: it is in the report, and no verdict.
            let facts = Facts { violation: None, ..ending.facts(Some(&error)) };
            ending.tell(&facts, None)
        });
    }

    fn tell(&self, facts: &Facts, error: Option<&RunError>) -> u8 {
        let verdict = &Verdict::of(facts);
        let mut code = self.exit_code(verdict);
        self.end_phase();
        if verdict.is_usage() && !self.report_begun.load(Relaxed) {
            // One line says it, as for any other wrong argument, and no file is touched.
            if self.asked.common().log_format == LogFormat::Trogdor {
                self.conclude(facts, verdict, code);
            }
            return code;
        }
        // One that could not be begun cannot be ended either, and that was said.
        let report = self.report.as_ref().filter(|_| !matches!(error, Some(RunError::Report(_))));
        if let Some(report) = report
            && let Err(error) = report.end(self, facts, verdict, code, error)
        {
            tracing::error!("{error}");
            code = if code == 0 { 3 } else { code };
        }
        self.conclude(facts, verdict, code);
        code
    }

    fn conclude(&self, facts: &Facts, verdict: &Verdict, exit_code: u8) {
        let summary = self.summary(verdict);
        match self.asked.common().log_format {
            LogFormat::Text => logging::conclude(&summary, self.asked.common().color),
            LogFormat::Json => {
                let complete = facts.complete;
                tracing::info!(verdict = verdict.code(), exit_code, complete, "{verdict}");
                logging::conclude_in_json(&Conclusion {
                    verdict: verdict.code(),
                    exit_code,
                    complete,
                    cause: verdict.cause(),
                    summary: summary.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect(),
                });
            }
            LogFormat::Trogdor => {
                let error = (exit_code != 0).then(|| verdict.to_string());
                logging::conclude_in_json(&trogdor::Line::at_end(self, &summary, error));
            }
        }
    }

    fn summary(&self, verdict: &Verdict) -> String {
        let mut text = format!("\nproofload: {verdict}\n");
        if let Some(shared) = self.shared() {
            text += &match &self.asked {
                Asked::Verifier(config) => super::summary::lines(config, &shared, self),
                Asked::Repeater(config) => super::repeater_summary::lines(config, &shared, self),
                // It is over, or it was ended from outside.
                Asked::Bench(_) => shared.bench_summary.get().cloned().unwrap_or_default(),
            };
        }
        text.trim_end().to_owned()
    }
}

/// Tells the verdict of the run under way, if there is one, because a thread has panicked.
pub(crate) fn close_on_panic(what: &str) {
    if let Some(ending) = CURRENT.get() {
        ending.close_on_panic(what);
    }
}

/// What `work` returns, unless that takes too long: then it is left behind.
fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = sync_channel(1);
    let started = thread::Builder::new().name("ending".to_owned()).spawn(move || {
        // Whoever waited may have given up.
        let _ = sender.send(work());
    });
    match started.map(|_| receiver.recv_timeout(TELL_LIMIT)) {
        Ok(Ok(result)) => Some(result),
        Ok(Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) | Err(_) => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
