//! The observer.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use super::{Admin, BrokerChange, BrokerStates, Described, Resource, TopicError};
use crate::{
    config::{ClientKind, NewTopic, StartupTimeout},
    findings::{Awaited, ComplaintKind, complaints},
    kafka::{
        ClientError, ClientSettings, GroupDescription, Isolation, KafkaError, LocalError, OffsetAndEpoch,
        OffsetSpec, librdkafka::AdminClient, wire,
    },
    runtime::cores::cpu_set::CpuSet,
};

/// How wide a topic and its cluster are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicShape {
    /// Partitions of the topic.
    pub partitions: usize,
    /// Brokers of the cluster; at least 1.
    pub brokers: usize,
    /// The topic's id, where it is known: one that was made anew has another.
    pub id: Option<[u8; 16]>,
    /// The cluster is known to be Redpanda's.
    pub is_redpanda: bool,
}

/// Why brokers do not let us in, or we do not trust them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// In the client's words.
    pub words: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.words, self.remedy)
    }
}

/// What has been seen since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Brokers that went, or came back.
    pub changes: Vec<BrokerChange>,
    /// How the brokers refused to let us in, or we did not trust them.
    pub refusals: Vec<Refusal>,
    /// A broker can be talked to.
    pub any_up: bool,
}

/// Looks at a cluster. It may be shared between threads.
pub(crate) struct Observer {
    admin: Arc<dyn Admin>,
    /// Whoever answers questions about groups, from the first one on.
    groups: OnceLock<Option<Arc<AdminClient>>>,
    settings: ClientSettings,
    cpus: CpuSet,
}

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// How long a cluster has to say how many brokers it has.
const COUNT_LIMIT: Duration = Duration::from_secs(3);
/// What is waited for goes without a word for so long.
const QUIET: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);
/// Topics that are made are counted this often.
const COUNTED: Duration = Duration::from_secs(5);

impl Observer {
    /// Starts a client of this kind; does not wait for any broker. Our own needs an executor: see
    /// [`preflight`](crate::runtime::preflight).
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn start(
        settings: &ClientSettings,
        cpus: &CpuSet,
        choice: ClientKind,
    ) -> Result<Self, ClientError> {
        let groups = OnceLock::new();
        let admin: Arc<dyn Admin> = match choice {
            ClientKind::Wire => Arc::new(wire::AdminClient::start(settings, cpus)?),
            ClientKind::Librdkafka => {
                let client = Arc::new(AdminClient::start(settings, cpus)?);
                // Nobody else has it yet.
                let _ = groups.set(Some(client.clone()));
                client
            }
        };
        Ok(Self { admin, groups, settings: settings.clone(), cpus: cpus.clone() })
    }

    /// One that stands on anything.
    #[cfg(test)]
    fn on(admin: Arc<dyn Admin>, settings: ClientSettings) -> Self {
        let groups = OnceLock::new();
        let _ = groups.set(None);
        Self { admin, groups, settings, cpus: CpuSet::default() }
    }

    /// The bootstrap list.
    pub(super) fn bootstrap(&self) -> &str {
        &self.settings.bootstrap
    }

    /// The shape of a topic, as soon as brokers answer and the topic is there. If it is missing, and `new` says
    /// what it is like, it is made.
    ///
    /// # Errors
    /// It did not come in time, cannot be used, or `still`, which is told what is waited for, became false.
    pub(crate) fn wait_for_topic(
        &self,
        topic: &str,
        new: Option<&NewTopic>,
        timeout: StartupTimeout,
        mut still: impl FnMut(&dyn Fn() -> Awaited) -> bool,
    ) -> Result<TopicShape, TopicError> {
        let started = Instant::now();
        let not_created = |reason| TopicError::NotCreated { topic: topic.to_owned(), reason };
        let (mut making, mut denied) = (new, None);
        let (mut quiet, mut missing) = (true, false);
        while still(&|| self.topic_awaited(topic, missing)) {
            missing = match self.look_at_topic(topic) {
                Ok(shape) => return Ok(shape),
                Err(error) if error.is_denied() => {
                    return Err(TopicError::Refused { topic: topic.to_owned(), error });
                }
                Err(error) => error.is_unknown_topic(),
            };
            if let Some(refusal) = self.admin.look().refusals.into_iter().next() {
                return Err(TopicError::NotAdmitted { brokers: self.bootstrap().to_owned(), refusal });
            }
            if let Some(complaint) = complaints().latest().filter(|one| one.kind == ComplaintKind::TooOld) {
                let brokers = self.bootstrap().to_owned();
                return Err(TopicError::TooOld { brokers, complaint: Box::new(complaint) });
            }
            let mut problem = None;
            if let Some(new) = making.filter(|_| missing) {
                match self.admin.create_topic(topic, new) {
                    // Once is enough: it takes a moment until all brokers know.
                    Ok(()) => making = None,
                    Err(error) if error.passing => problem = Some(error.reason),
                    Err(error) => return Err(not_created(error.reason)),
                }
            }
            // One that is being made is not denied.
            let (since, timeout) = if missing && new.is_none() {
                (*denied.get_or_insert_with(Instant::now), timeout.for_a_denied_topic())
            } else {
                (started, timeout.for_a_broker())
            };
            if let Some(waited) = timeout.filter(|limit| since.elapsed() >= *limit) {
                return Err(problem.map_or_else(|| self.not_found(topic, waited, missing), not_created));
            }
            if quiet && started.elapsed() >= QUIET {
                quiet = false;
                self.tell_what_is_waited_for(topic, missing, timeout);
            }
            std::thread::sleep(PAUSE);
        }
        Err(TopicError::Stopped { topic: topic.to_owned() })
    }

    /// Makes those of many topics that are missing, one behind the other, and waits for none of them until a leader is known, as
    /// [`wait_for_topic`](Self::wait_for_topic) does. What is not made here, for whatever reason, is left to that.
    pub(crate) fn make_missing(&self, topics: &[String], new: &NewTopic, mut still: impl FnMut() -> bool) {
        let mut told = Instant::now();
        for (number, topic) in topics.iter().enumerate() {
            if told.elapsed() >= COUNTED {
                told = Instant::now();
                tracing::info!("{number} of {} topics are there", topics.len());
            }
            let is_missing = || self.look_at_topic(topic).is_err_and(KafkaError::is_unknown_topic);
            if !still() || (is_missing() && self.admin.create_topic(topic, new).is_err()) {
                return;
            }
        }
    }

    fn tell_what_is_waited_for(&self, topic: &str, missing: bool, timeout: Option<Duration>) {
        let limit = timeout.map_or_else(String::new, |limit| format!(", for {limit:?} at the most"));
        if missing {
            tracing::warn!("topic '{topic}' is not there; waiting for it{limit}");
        } else {
            let reason = complaints().latest().map_or_else(String::new, |complaint| format!(": {complaint}"));
            tracing::warn!("no answer from {} yet; waiting for it{limit}{reason}", self.bootstrap());
        }
    }

    fn topic_awaited(&self, topic: &str, missing: bool) -> Awaited {
        let from = format!("the brokers at {}", self.bootstrap());
        if missing {
            let (what, remedy) =
                (format!("topic '{topic}', which is not there"), "create it, or check --topic");
            return Awaited { what, from, remedy: remedy.to_owned() };
        }
        let remedy = "start them, or check --brokers and the network".to_owned();
        Awaited { what: "a first answer".to_owned(), from, remedy }
    }

    fn not_found(&self, topic: &str, waited: Duration, missing: bool) -> TopicError {
        let (topic, brokers) = (topic.to_owned(), self.bootstrap().to_owned());
        if missing {
            return TopicError::Missing { topic, brokers, waited };
        }
        if let Some(complaint) = complaints().latest().filter(|complaint| complaint.kind.explains()) {
            return TopicError::Explained { brokers, waited, complaint: Box::new(complaint) };
        }
        let complaint = self.admin.last_complaint();
        let reason = if complaint.is_empty() { complaint } else { format!(" ({complaint})") };
        TopicError::NoBroker { brokers, waited, reason }
    }

    /// The shape of a topic. Asks once.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn look_at_topic(&self, topic: &str) -> Result<TopicShape, KafkaError> {
        self.describe(topic).map(|described| TopicShape {
            partitions: described.partitions.len(),
            brokers: described.brokers.len().max(1),
            id: described.topic_id,
            is_redpanda: described.is_redpanda,
        })
    }

    /// What the cluster says of a topic. Asks once; a topic in the making is not there yet.
    pub(super) fn describe(&self, topic: &str) -> Result<Described, KafkaError> {
        let described = self.admin.describe(Some(topic), ATTEMPT)?;
        for broker in &described.brokers {
            self.settings.known.learn(broker.id, &broker.address);
        }
        Ok(described)
    }

    /// The brokers, and a topic where one is named. Asks once.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn described(&self, topic: Option<&str>) -> Result<Described, KafkaError> {
        self.admin.describe(topic, ATTEMPT)
    }

    /// The ids of the brokers that the cluster lists, if one of them answers in that time.
    pub(super) fn brokers_within(&self, limit: Duration) -> Option<Vec<i32>> {
        let described = self.admin.describe(None, limit).ok()?;
        Some(described.brokers.iter().map(|broker| broker.id).collect())
    }

    /// How many brokers the cluster has, if one of them answers soon.
    #[must_use]
    pub(crate) fn count_brokers(&self) -> Option<usize> {
        self.brokers_within(COUNT_LIMIT).map(|brokers| brokers.len()).filter(|brokers| *brokers > 0)
    }

    /// How something is set, if a broker says so soon.
    pub(super) fn setting(&self, of: Resource<'_>, name: &str) -> Option<String> {
        self.admin.setting(of, name)
    }

    /// Whether a topic may be compacted, as far as the brokers say so soon; `None` without an answer.
    #[must_use]
    pub(crate) fn is_compacted(&self, topic: &str) -> Option<bool> {
        let policy = self.setting(Resource::Topic(topic), "cleanup.policy")?;
        Some(policy.contains("compact"))
    }

    /// Where these partitions of a topic, sorted, start or end, asked again until all have
    /// answered; `None` when `still`, which is told of which ones, became false before that.
    pub(crate) fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
        isolation: Isolation,
        mut still: impl FnMut(&[i32]) -> bool,
    ) -> Option<Vec<OffsetAndEpoch>> {
        let mut known = vec![None; partitions.len()];
        loop {
            let open = partitions.iter().zip(&known).filter(|(_, offset)| offset.is_none());
            let open: Vec<i32> = open.map(|(partition, _)| *partition).collect();
            if open.is_empty() {
                return known.into_iter().collect();
            }
            if !still(&open) {
                return None;
            }
            for (partition, place) in self.offsets_of(topic, &open, spec, isolation, || !still(&open))? {
                if let Some(known) =
                    partitions.binary_search(&partition).ok().and_then(|index| known.get_mut(index))
                {
                    *known = Some(place);
                }
            }
            if known.contains(&None) {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Where these partitions start or end, as far as their leaders say so now; `None` when `stop` became true.
    ///
    /// Only those that have a leader are asked about: the client gives no answer at all before it has found all of
    /// the leaders that a question needs.
    pub(crate) fn offsets_of(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
        isolation: Isolation,
        mut stop: impl FnMut() -> bool,
    ) -> Option<Vec<(i32, OffsetAndEpoch)>> {
        let led: Vec<i32> = match self.leaders(topic) {
            Ok(leaders) => partitions.iter().copied().filter(|partition| leaders.leads(*partition)).collect(),
            Err(_) => partitions.to_vec(),
        };
        if led.is_empty() {
            return Some(Vec::new());
        }
        let answers = self.admin.offsets(topic, &led, spec, isolation, &mut stop)?;
        Some(answers.into_iter().filter_map(|(partition, answer)| Some((partition, answer.ok()?))).collect())
    }

    /// What has become of the brokers, when the client has looked again since the last call.
    ///
    /// `states` keeps what was told of each broker, so that nothing is told twice.
    pub(crate) fn look(&self, states: &mut BrokerStates) -> Look {
        let seen = self.admin.look();
        let mut look = Look { refusals: seen.refusals, ..Look::default() };
        for brokers in &seen.looks {
            for broker in brokers {
                self.settings.known.learn(broker.id, &broker.address);
                look.any_up |= broker.is_up;
                if broker.is_up && !states.is_up(broker.id) {
                    complaints().is_up(&broker.address);
                }
            }
            look.changes.extend(states.look(brokers));
        }
        look
    }

    /// Who answers questions about groups: made when it is first asked, since most runs have none.
    fn groups(&self) -> Result<&AdminClient, KafkaError> {
        let client = self.groups.get_or_init(|| {
            let started = AdminClient::start(&self.settings, &self.cpus);
            started.map(Arc::new).map_err(|error| tracing::warn!("questions about groups: {error}")).ok()
        });
        client.as_deref().ok_or(KafkaError::Local(LocalError::Fatal))
    }

    /// Asks for a group's state; waits for the answer, but not long.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn describe_group(&self, group: &str) -> Result<GroupDescription, KafkaError> {
        self.groups()?.describe_group(group)
    }

    /// Who is in a group of which `seen` is the answer to that: of one of the newer protocol (`group.protocol=consumer`)
    /// it shows nobody. Asked where a group is waited for, or was waited for in vain.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn who_is_in(
        &self,
        group: &str,
        seen: &Result<GroupDescription, KafkaError>,
    ) -> Result<GroupDescription, KafkaError> {
        self.groups()?.who_is_in(group, seen)
    }

    /// Deletes a group that all members have left, if the cluster can do that now; waits for it, but not long.
    ///
    /// # Errors
    /// The brokers' answer, or that there was none.
    pub(crate) fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        self.groups()?.delete_group(group)
    }
}

#[cfg(test)]
#[path = "observer_tests.rs"]
mod tests;
