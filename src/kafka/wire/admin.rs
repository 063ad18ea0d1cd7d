//! Questions to a cluster by our own client, from any thread: it has an executor of its own, on a thread that is no shard.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use futures_lite::future;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    bearer, complaint,
    core::{
        admin::{Admin, AskId, BrokerDescription, Description, NoReply, Question, Reply, Whom},
        client::Client as _,
        code,
        connection::ConnectionError,
        network::NetworkSettings,
        notice::BrokerName,
    },
    leaders::Leaders,
    protocol::{ListedOffset, OffsetQuestion, Timestamp},
    security, settings,
    shell::Shell,
};
use crate::{
    config::NewTopic,
    kafka::{
        ClientError, ClientSettings, Isolation, KafkaError, LocalError, OffsetAndEpoch, OffsetSpec,
        TopicAnswers,
        observer::{
            self, AdminLook, Described, DescribedPartition, NamedBroker, NotCreated, Refusal, Resource, Seen,
        },
    },
    runtime::{cores::cpu_set::CpuSet, executor},
};

/// Room for answers, in bytes: they are short.
const RECEIVE_BYTES: usize = 16 << 10;
/// How often it is looked who is up.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks that are kept for whoever asks for them.
const MOST_LOOKS: usize = 8;
/// How long leaders have to answer.
const OFFSETS_LIMIT: Duration = Duration::from_secs(5);
/// How long the controller has to make a topic, and how long it is waited for.
const CREATE_LIMIT: Duration = Duration::from_secs(5);
const CREATED_LIMIT: Duration = Duration::from_secs(10);
/// How long settings are waited for: they only explain.
const SETTING_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks whether an answer is wanted any more.
const STOP_PAUSE: Duration = Duration::from_millis(100);
/// An executor answers in time; this is for the day it does not.
const GRACE: Duration = Duration::from_secs(2);
/// How long the thread's end is waited for.
const END_LIMIT: Duration = Duration::from_millis(200);

type Answer = Result<Reply, NoReply>;

struct Request {
    whom: Whom,
    question: Question,
    limit: Duration,
    answer: Sender<Answer>,
}

/// What the executor has seen.
#[derive(Debug, Default)]
struct State {
    looks: Vec<Vec<Seen>>,
    refusals: Vec<Refusal>,
    /// Why no broker can be talked to; empty where one can.
    complaint: String,
    /// Who leads which partition of the topics that were asked about, and in which epoch.
    leaders: BTreeMap<String, Leaders>,
}

/// Looks at a cluster. It may be shared between threads.
pub(crate) struct AdminClient {
    /// Taken when it goes.
    requests: Option<UnboundedSender<Request>>,
    state: Arc<Mutex<State>>,
    gone: Receiver<()>,
}

impl AdminClient {
    /// Starts the client's thread, which may run on these cores; does not wait for any broker.
    ///
    /// # Errors
    /// A setting that is not accepted, or a thread that cannot start.
    pub(crate) fn start(client: &ClientSettings, cpus: &CpuSet) -> Result<Self, ClientError> {
        if let Some(what) = settings::lacks(client) {
            return Err(ClientError::Start(format!("our own client has no {what}")));
        }
        // What is wrong with the settings is found here, and not on the other thread.
        let tls = security::tls(client)?;
        network(client)?;
        let (requests, received) = unbounded_channel();
        let (over, gone) = bounded::<()>(1);
        let state = Arc::<Mutex<State>>::default();
        let (client, shared) = (client.clone(), state.clone());
        executor::spawn_aside("observer", cpus, move || async move {
            if let Ok(network) = network(&client) {
                bearer::keep(network.connection.login.as_ref());
                serve(Shell::new(Admin::new(network), tls), received, &shared).await;
            }
            drop(over);
        })
        .map_err(ClientError::Start)?;
        Ok(Self { requests: Some(requests), state, gone })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn ask(&self, whom: Whom, question: Question, limit: Duration) -> Receiver<Answer> {
        let (answer, answered) = bounded(1);
        if let Some(requests) = &self.requests {
            // A thread that is gone lets go of the channel, which is an answer.
            let _ = requests.send(Request { whom, question, limit, answer });
        }
        answered
    }

    fn ask_and_wait(&self, whom: Whom, question: Question, limit: Duration) -> Result<Reply, KafkaError> {
        let answer = self.ask(whom, question, limit).recv_timeout(limit + GRACE);
        answer.unwrap_or(Err(NoReply::TimedOut)).map_err(no_reply)
    }

    /// Who leads partitions, as was told last; asks where that was never told.
    fn leaders(&self, topic: &str) -> BTreeMap<i32, (i32, i32)> {
        let known = self.state().leaders.get(topic).cloned();
        let leaders = known.unwrap_or_else(|| {
            // It is kept where it is answered.
            let _ = observer::Admin::describe(self, Some(topic), SETTING_LIMIT);
            self.state().leaders.get(topic).cloned().unwrap_or_default()
        });
        leaders.into_map()
    }
}

impl Drop for AdminClient {
    fn drop(&mut self) {
        drop(self.requests.take());
        // A resolver that hangs must not hold up the exit.
        let _ = self.gone.recv_timeout(END_LIMIT);
    }
}

fn network(client: &ClientSettings) -> Result<NetworkSettings, ClientError> {
    let mut network = settings::network(client)?;
    network.connection.receive_bytes = RECEIVE_BYTES;
    Ok(network)
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until whoever asks is gone.
async fn serve(shell: Shell<Admin>, mut requests: UnboundedReceiver<Request>, state: &Mutex<State>) {
    shell.with(Admin::step);
    let (mut open, mut looked) = (Vec::<(AskId, Sender<Answer>)>::new(), Instant::now());
    loop {
        let asked = async { Some(requests.recv().await) };
        let waited = async {
            shell.wait(LOOK_EVERY).await;
            None
        };
        match future::or(asked, waited).await {
            Some(None) => return,
            Some(Some(Request { whom, question, limit, answer })) => {
                let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
                let id = shell
                    .with(|admin, now_us| admin.ask(whom, question, now_us.saturating_add(limit_us), now_us));
                open.push((id, answer));
            }
            None => {}
        }
        let answers = shell.machine().take_answers();
        for (id, reply) in answers {
            if let Some(index) = open.iter().position(|(open, _)| *open == id) {
                // Whoever asked may have lost interest.
                let _ = open.swap_remove(index).1.try_send(reply);
            }
        }
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            look(&shell, state);
        }
        note_refusals(shell.machine().take_losses(), state);
    }
}

fn look(shell: &Shell<Admin>, state: &Mutex<State>) {
    let (brokers, trouble) = shell.with(|admin, now_us| {
        let brokers = admin.brokers(now_us);
        let network = admin.network();
        let trouble = network.trouble().map(|(peer, error)| {
            complaint::in_a_line(&network.name_of(peer.broker), error, network.may_lack_a_name())
        });
        (brokers, trouble)
    });
    let seen = |(id, BrokerName { address, .. }, is_up)| Seen { id, address, is_up };
    let seen: Vec<Seen> = brokers.into_iter().map(seen).collect();
    let mut state = locked(state);
    state.complaint = trouble.unwrap_or_default();
    // Before the cluster has answered there is nobody who could be away.
    if !seen.is_empty() {
        if state.looks.len() == MOST_LOOKS {
            state.looks.remove(0);
        }
        state.looks.push(seen);
    }
}

fn note_refusals(losses: Vec<(BrokerName, ConnectionError)>, state: &Mutex<State>) {
    for (broker, error) in losses {
        if let Some(refusal) = complaint::refusal(&broker, &error) {
            let refusals = &mut locked(state).refusals;
            refusals.truncate(MOST_LOOKS);
            refusals.push(refusal);
        }
    }
}

fn no_reply(error: NoReply) -> KafkaError {
    match error {
        NoReply::TimedOut => KafkaError::timed_out(),
        NoReply::Unsupported(_) => KafkaError::Local(LocalError::Unsupported),
    }
}

impl observer::Admin for AdminClient {
    fn describe(&self, topic: Option<&str>, limit: Duration) -> Result<Described, KafkaError> {
        let question = Question::Describe { topic: topic.unwrap_or_default().to_owned() };
        let Reply::Described(description) = self.ask_and_wait(Whom::Any, question, limit)? else {
            return Err(KafkaError::Local(LocalError::BadMessage));
        };
        if let Some(topic) = topic.filter(|_| description.error == code::NONE) {
            self.state().leaders.entry(topic.to_owned()).or_default().learn(&description);
        }
        described(topic.is_some(), description)
    }

    fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
        isolation: Isolation,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<TopicAnswers> {
        let leaders = self.leaders(topic);
        let mut by_leader = BTreeMap::<i32, Vec<OffsetQuestion>>::new();
        for &partition in partitions {
            if let Some(&(leader, leader_epoch)) = leaders.get(&partition) {
                by_leader.entry(leader).or_default().push(OffsetQuestion { partition, leader_epoch });
            }
        }
        let timestamp = match spec {
            OffsetSpec::Start => Timestamp::Earliest,
            OffsetSpec::End => Timestamp::Latest,
        };
        let read_committed = isolation == Isolation::ReadCommitted;
        let ask = |(leader, partitions)| {
            let topic = topic.to_owned();
            let question = Question::Offsets { topic, partitions, timestamp, read_committed };
            self.ask(Whom::Broker(leader), question, OFFSETS_LIMIT)
        };
        let asked: Vec<_> = by_leader.into_iter().map(ask).collect();
        let (until, mut answers) = (Instant::now() + OFFSETS_LIMIT + GRACE, BTreeMap::new());
        for answered in asked {
            if let Ok(Reply::Offsets(listed)) = wait_for(&answered, until, stop)? {
                answers.extend(listed.into_iter().map(|one| (one.partition, place(one))));
            }
        }
        let of = |&id: &i32| (id, answers.get(&id).copied().unwrap_or_else(|| Err(KafkaError::timed_out())));
        Some(partitions.iter().map(of).collect())
    }

    fn create_topic(&self, topic: &str, new: &NewTopic) -> Result<(), NotCreated> {
        let too_many = || ClientError::Start(format!("topic '{topic}': too many partitions"));
        let question = Question::CreateTopic {
            name: topic.to_owned(),
            partitions: i32::try_from(new.partitions).map_err(|_| too_many())?,
            replication_factor: new
                .replication_factor
                .map_or(-1, |replicas| i16::try_from(replicas).unwrap_or(i16::MAX)),
            settings: new.config.clone(),
            timeout_ms: i32::try_from(CREATE_LIMIT.as_millis()).unwrap_or(i32::MAX),
        };
        match self.ask_and_wait(Whom::Controller, question, CREATED_LIMIT) {
            // Somebody else was faster.
            Ok(Reply::Created(code::NONE | code::TOPIC_ALREADY_EXISTS, _)) => Ok(()),
            Ok(Reply::Created(error, words)) => Err(NotCreated::new(KafkaError::Broker(error), &words)),
            Ok(_) => Err(NotCreated::new(KafkaError::Local(LocalError::BadMessage), "")),
            Err(error) => Err(NotCreated::new(error, "")),
        }
    }

    fn setting(&self, of: Resource<'_>, name: &str) -> Option<String> {
        let (whom, of, is_broker) = match of {
            Resource::Topic(topic) => (Whom::Any, topic.to_owned(), false),
            Resource::Broker(id) => (Whom::Broker(id), id.to_string(), true),
        };
        let question = Question::Setting { of, is_broker, name: name.to_owned() };
        match self.ask_and_wait(whom, question, SETTING_LIMIT) {
            Ok(Reply::Setting(value)) => value,
            _ => None,
        }
    }

    fn look(&self) -> AdminLook {
        let state = &mut *self.state();
        AdminLook { looks: std::mem::take(&mut state.looks), refusals: std::mem::take(&mut state.refusals) }
    }

    fn last_complaint(&self) -> String {
        self.state().complaint.clone()
    }
}

/// `None` when nobody wants the answer any more.
fn wait_for(answered: &Receiver<Answer>, until: Instant, stop: &mut dyn FnMut() -> bool) -> Option<Answer> {
    loop {
        match answered.recv_timeout(STOP_PAUSE) {
            Ok(answer) => return Some(answer),
            Err(RecvTimeoutError::Timeout) if stop() => return None,
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
            Err(_) => return Some(Err(NoReply::TimedOut)),
        }
    }
}

fn described(has_topic: bool, description: Description) -> Result<Described, KafkaError> {
    KafkaError::check(description.error)?;
    // A topic in the making has no partitions yet.
    if has_topic && description.partitions.is_empty() {
        return Err(KafkaError::unknown_topic());
    }
    let broker = |broker: BrokerDescription| NamedBroker {
        id: broker.id,
        address: BrokerName::new(&broker.host, broker.port, None).address,
    };
    let partitions = description.partitions.into_iter().map(|partition| DescribedPartition {
        id: partition.id,
        leader: partition.leader,
        replicas: partition.replicas,
    });
    Ok(Described {
        brokers: description.brokers.into_iter().map(broker).collect(),
        topic_id: Some(description.topic_id).filter(|id| *id != [0; 16]),
        partitions: partitions.collect(),
        rights: description.rights.map(i32::cast_unsigned),
        is_redpanda: description.is_redpanda,
    })
}

fn place(listed: ListedOffset) -> Result<OffsetAndEpoch, KafkaError> {
    KafkaError::check(listed.error)?;
    if listed.offset < 0 {
        return Err(KafkaError::Local(LocalError::NoOffset));
    }
    Ok(OffsetAndEpoch { offset: listed.offset, leader_epoch: listed.leader_epoch })
}
