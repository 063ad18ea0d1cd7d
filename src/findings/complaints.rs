//! What the Kafka client itself complains of, and quotas that hold it back: who is to blame when nothing comes.
//!
//! A client's log is the only place where some reasons show. It is heard on the client's own threads, for all clients
//! of the process, and kept by kind and by broker.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{clock, mutants::enforced};

/// For how long a complaint may explain what goes on: the client keeps one that is the same as before to itself for
/// half a minute.
const RECENT: Duration = Duration::from_mins(1);
/// So many connections that were closed before they were of use are closed again and again, if they come within
/// [`CLOSED_WITHIN`].
const CLOSED_OFTEN: u64 = 5;
const CLOSED_WITHIN: Duration = Duration::from_secs(40);
/// A quota explains that nothing comes when it has held clients back for so long within [`THROTTLE_WINDOW`], and for
/// so long after it has let them go.
const THROTTLED_MS: u64 = 500;
const THROTTLE_WINDOW: Duration = Duration::from_secs(30);
const THROTTLE_GRACE: Duration = Duration::from_secs(5);
/// So often, and for so long, a client must have been refused for it to be refused again and again; the client keeps what it
/// said before to itself for half a minute.
const REFUSED_OFTEN: u64 = 3;
const REFUSED_FOR: Duration = Duration::from_secs(25);
const REFUSED_AGAIN_WITHIN: Duration = Duration::from_secs(45);
/// Kinds at brokers that are kept; further ones are not.
const KEPT: usize = 200;

/// What a complaint is about. In this order they explain: the first that there is says most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ComplaintKind {
    /// There are no descriptors left in this process.
    Descriptors,
    /// An answer is larger than the client takes.
    TooLarge,
    /// A broker does not speak what this client does.
    TooOld,
    /// What comes from a broker is no answer of one.
    Unreadable,
    /// A broker does not accept who we say we are.
    Authentication,
    /// We do not trust a broker, or it does not trust us.
    Trust,
    /// A broker's name has no address.
    Resolution,
    /// A broker closes connections that were never of use.
    HungUp,
    /// Nobody listens at a broker's address.
    Unreachable,
    /// A broker does not answer.
    Silent,
}

impl ComplaintKind {
    /// Whether it says why nothing comes of a broker that answers other questions.
    #[must_use]
    pub(crate) fn explains(self) -> bool {
        self <= Self::HungUp
    }

    /// Whether it is over when the broker can be talked to.
    fn ends_when_up(self) -> bool {
        !matches!(self, Self::Descriptors | Self::TooLarge | Self::HungUp)
    }
}

/// A complaint, however often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Complaint {
    /// What it is about.
    pub kind: ComplaintKind,
    /// `host:port`, or empty for none in particular.
    pub broker: String,
    /// A sentence, with the client's own words.
    pub words: String,
    /// Who can mend it, and how.
    pub remedy: String,
    /// How often.
    pub count: u64,
    /// When it came first, ms since 1970.
    pub first_ms: i64,
    /// When it came last, ms since 1970.
    pub last_ms: i64,
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.words, self.remedy)
    }
}

/// What was heard of a client just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// What it is about.
    pub kind: ComplaintKind,
    /// `host:port`.
    pub broker: String,
    /// A sentence.
    pub words: String,
    /// Who can mend it, and how.
    pub remedy: String,
    /// A broker said that it does not let us in, or we do not trust it.
    pub is_denied: bool,
    /// How often it came, with those that the client has kept to itself.
    pub count: u64,
}

/// Whose requests a quota holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// Producers'.
    Producers,
    /// Consumers'.
    Consumers,
}

/// A broker that holds back our clients, by a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Throttling {
    /// Whose requests.
    pub side: Side,
    /// `host:port`.
    pub broker: String,
    /// Answers that said so.
    pub count: u64,
    /// For how long in all, ms.
    pub total_ms: u64,
    /// For how long at most at once, ms.
    pub max_ms: u64,
    /// When it came first, ms since 1970.
    pub first_ms: i64,
    /// When it came last, ms since 1970.
    pub last_ms: i64,
}

impl Throttling {
    fn remedy(&self) -> &'static str {
        match self.side {
            Side::Producers => "raise producer_byte_rate or request_percentage, or produce less",
            Side::Consumers => {
                "raise consumer_byte_rate or request_percentage, or read less (a batch that is larger than the quota \
                 lets through in its window never comes)"
            }
        }
    }
}

impl fmt::Display for Throttling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, broker, max_ms, .. } = self;
        let side = match side {
            Side::Producers => "producers",
            Side::Consumers => "consumers",
        };
        write!(
            formatter,
            "throttled by quota, {max_ms} ms at a time: broker {broker} holds back our {side}: {}",
            self.remedy()
        )
    }
}

/// All of a process.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    complaints: Vec<Kept>,
    throttlings: Vec<KeptThrottling>,
}

#[derive(Debug)]
struct Kept {
    complaint: Complaint,
    told: bool,
    /// What it was about may be over.
    over: bool,
    last: Instant,
    /// Since when it is counted whether it comes again and again.
    counted_since: Instant,
    counted: u64,
    /// A refusal that comes again and again: since when, and how often.
    refused: Option<(Instant, u64)>,
}

impl Kept {
    fn count_refusal(&mut self, is_denied: bool, count: u64, now: Instant) {
        let is_over = self.over || now.duration_since(self.last) > REFUSED_AGAIN_WITHIN;
        let before = self.refused.filter(|_| !is_over);
        self.refused =
            is_denied.then(|| before.map_or((now, count), |(since, before)| (since, before + count)));
    }

    /// Since when a client has been refused again and again, up to now.
    fn refused_since(&self, now: Instant) -> Option<Instant> {
        let (since, count) = self.refused.filter(|_| self.is_current(now))?;
        let is_lasting = count >= REFUSED_OFTEN && self.last.duration_since(since) >= REFUSED_FOR;
        is_lasting.then_some(since)
    }
}

#[derive(Debug)]
struct KeptThrottling {
    throttling: Throttling,
    told: bool,
    /// Until when the broker holds us back, and since when it has done so for how long.
    until: Instant,
    window: (Instant, u64),
}

/// Those of this process.
#[must_use]
pub(crate) fn complaints() -> &'static Complaints {
    static ALL: Complaints =
        Complaints(Mutex::new(Inner { complaints: Vec::new(), throttlings: Vec::new() }));
    &ALL
}

impl Complaints {
    /// A client complains. Called on the client's own threads.
    #[cold]
    pub(crate) fn note(&self, heard: Heard) {
        self.inner().note(heard, Instant::now());
    }

    /// A broker holds a client back for so long. Called where the client's main queue is served, at most once for an
    /// answer.
    #[cold]
    pub(crate) fn throttled(&self, side: Side, broker: &str, for_ms: u64) {
        self.inner().throttled(side, broker, for_ms, Instant::now());
    }

    /// A broker can be talked to again.
    pub(crate) fn is_up(&self, broker: &str) {
        self.inner().is_up(broker);
    }

    /// What explains that nothing comes, and is not that a broker stands still.
    #[must_use]
    pub(crate) fn explanation(&self, sides: &[Side]) -> Option<String> {
        self.inner().explanation(sides, Instant::now())
    }

    /// Whether brokers hold back such clients now; if so, in which words.
    #[must_use]
    pub(crate) fn throttling(&self, sides: &[Side]) -> Option<String> {
        let inner = self.inner();
        inner.throttling(sides, Instant::now()).map(Throttling::to_string)
    }

    /// What the client complains of now: the first reason for whatever is waited for.
    #[must_use]
    pub(crate) fn latest(&self) -> Option<Complaint> {
        self.inner().latest(Instant::now()).cloned()
    }

    /// The same for a run that has come to nothing: also what did not come often enough to explain anything for certain.
    #[must_use]
    pub(crate) fn last_words(&self) -> Option<String> {
        self.inner().last_words(Instant::now())
    }

    /// Whether it is told already why a broker cannot be talked to: it does not let us in, or its name does not resolve.
    #[must_use]
    pub(crate) fn is_explained(&self, broker: &str) -> bool {
        let (inner, now) = (self.inner(), Instant::now());
        let tells = |kind: ComplaintKind| kind.explains() && kind.ends_when_up();
        inner.current(now).any(|complaint| tells(complaint.kind) && is_same(&complaint.broker, broker))
    }

    /// Since when a broker has refused one of our clients again and again, and in which words, whoever else it lets in.
    #[must_use]
    pub(crate) fn refused(&self) -> Option<(Instant, String)> {
        self.inner().refused(Instant::now())
    }

    /// What is worth a line in the log, and had none yet.
    #[must_use]
    pub(crate) fn news(&self) -> Vec<String> {
        self.inner().news(Instant::now())
    }

    /// All of them, in the order in which they came first.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<Complaint> {
        self.inner().complaints.iter().map(|kept| kept.complaint.clone()).collect()
    }

    /// All brokers that held us back.
    #[must_use]
    pub(crate) fn throttlings(&self) -> Vec<Throttling> {
        self.inner().throttlings.iter().map(|kept| kept.throttling.clone()).collect()
    }

    /// For how long brokers held us back, ms.
    #[must_use]
    pub(crate) fn throttled_ms(&self) -> u64 {
        self.inner().throttlings.iter().map(|kept| kept.throttling.total_ms).sum()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same broker, although one text may name its id too.
fn is_same(known: &str, broker: &str) -> bool {
    let address = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    address(known) == address(broker)
}

impl Inner {
    fn note(&mut self, heard: Heard, now: Instant) {
        let Heard { kind, broker, words, remedy, is_denied, count } = heard;
        if kind == ComplaintKind::Unreachable {
            // One that is not there has not thrown us out.
            let hung_up = |kept: &&mut Kept| {
                kept.complaint.kind == ComplaintKind::HungUp && kept.complaint.broker == broker
            };
            self.complaints.iter_mut().filter(hung_up).for_each(|kept| kept.counted = 0);
        }
        let is_known = |kept: &&mut Kept| kept.complaint.kind == kind && kept.complaint.broker == broker;
        if let Some(kept) = self.complaints.iter_mut().find(is_known) {
            if now.duration_since(kept.counted_since) > CLOSED_WITHIN {
                (kept.counted_since, kept.counted) = (now, 0);
            }
            kept.counted += count;
            kept.count_refusal(is_denied, count, now);
            (kept.last, kept.over) = (now, false);
            let complaint = &mut kept.complaint;
            complaint.count += count;
            (complaint.words, complaint.remedy, complaint.last_ms) = (words, remedy, clock::unix_ms());
        } else if self.complaints.len() < KEPT {
            let (first_ms, last_ms) = (clock::unix_ms(), clock::unix_ms());
            let complaint = Complaint { kind, broker, words, remedy, count, first_ms, last_ms };
            let (told, over) = (false, false);
            let refused = is_denied.then_some((now, count));
            let kept = Kept { complaint, told, over, last: now, counted_since: now, counted: count, refused };
            self.complaints.push(kept);
        }
    }

    fn throttled(&mut self, side: Side, broker: &str, for_ms: u64, now: Instant) {
        if for_ms == 0 {
            return;
        }
        let until = now + Duration::from_millis(for_ms);
        let is_known =
            |kept: &&mut KeptThrottling| kept.throttling.side == side && kept.throttling.broker == broker;
        if let Some(kept) = self.throttlings.iter_mut().find(is_known) {
            if now.duration_since(kept.window.0) > THROTTLE_WINDOW {
                kept.window = (now, 0);
            }
            kept.window.1 += for_ms;
            kept.until = kept.until.max(until);
            let throttling = &mut kept.throttling;
            throttling.count += 1;
            throttling.total_ms += for_ms;
            throttling.max_ms = throttling.max_ms.max(for_ms);
            throttling.last_ms = clock::unix_ms();
        } else if self.throttlings.len() < KEPT {
            let (first_ms, broker) = (clock::unix_ms(), broker.to_owned());
            let (total_ms, max_ms, last_ms) = (for_ms, for_ms, first_ms);
            let throttling = Throttling { side, broker, count: 1, total_ms, max_ms, first_ms, last_ms };
            self.throttlings.push(KeptThrottling { throttling, told: false, until, window: (now, for_ms) });
        }
    }

    fn is_up(&mut self, broker: &str) {
        for kept in &mut self.complaints {
            kept.over |= kept.complaint.kind.ends_when_up() && is_same(&kept.complaint.broker, broker);
        }
    }

    /// Those that may explain what goes on.
    fn current(&self, now: Instant) -> impl Iterator<Item = &Complaint> {
        self.complaints.iter().filter(move |kept| kept.is_current(now)).map(|kept| &kept.complaint)
    }

    fn latest(&self, now: Instant) -> Option<&Complaint> {
        self.current(now).min_by_key(|complaint| complaint.kind)
    }

    fn last_words(&self, now: Instant) -> Option<String> {
        let recent = self.complaints.iter().filter(|kept| kept.is_recent(now));
        let recent = recent.map(|kept| &kept.complaint).min_by_key(|complaint| complaint.kind);
        self.latest(now).or(recent).map(Complaint::to_string)
    }

    fn refused(&self, now: Instant) -> Option<(Instant, String)> {
        let refused = self.complaints.iter().filter_map(|kept| Some((kept.refused_since(now)?, kept)));
        let first = refused.min_by_key(|(since, _)| *since);
        first.map(|(since, kept)| (since, kept.complaint.to_string()))
    }

    fn throttling(&self, sides: &[Side], now: Instant) -> Option<&Throttling> {
        if !enforced("throttled-is-no-stall") {
            return None;
        }
        let is_held_back = |kept: &&KeptThrottling| {
            sides.contains(&kept.throttling.side)
                && kept.window.1 >= THROTTLED_MS
                && now <= kept.until + THROTTLE_GRACE
        };
        self.throttlings.iter().find(is_held_back).map(|kept| &kept.throttling)
    }

    fn explanation(&self, sides: &[Side], now: Instant) -> Option<String> {
        if let Some(throttling) = self.throttling(sides, now) {
            return Some(throttling.to_string());
        }
        let reason = self.latest(now).filter(|complaint| complaint.kind.explains());
        reason.filter(|_| enforced("stall-explained")).map(Complaint::to_string)
    }

    fn news(&mut self, now: Instant) -> Vec<String> {
        let mut news = Vec::new();
        for kept in &mut self.complaints {
            // Brokers that go are told of once by whoever watches them.
            if !kept.told && kept.complaint.kind.explains() && kept.is_current(now) {
                kept.told = true;
                news.push(kept.complaint.to_string());
            }
        }
        for kept in self.throttlings.iter_mut().filter(|kept| kept.window.1 >= THROTTLED_MS) {
            if !std::mem::replace(&mut kept.told, true) {
                news.push(kept.throttling.to_string());
            }
        }
        news
    }
}

impl Kept {
    fn is_current(&self, now: Instant) -> bool {
        let is_frequent = self.counted >= CLOSED_OFTEN || self.complaint.kind != ComplaintKind::HungUp;
        self.is_recent(now) && is_frequent
    }

    fn is_recent(&self, now: Instant) -> bool {
        !self.over && now.duration_since(self.last) <= RECENT
    }
}

#[cfg(test)]
#[path = "complaints_tests.rs"]
mod tests;
