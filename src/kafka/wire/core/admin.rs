//! A client that sends no data: it asks about the cluster, and keeps a connection to each broker, so that it is known who is
//! there. Not on the data path: there are few questions, and it may allocate.

use std::sync::Arc;

use super::{
    client::Client,
    connection::{Connection, ConnectionError, Response},
    machine::LinkId,
    network::{Network, NetworkSettings, Peer, Purpose, Tag},
    notice::BrokerName,
};
use crate::kafka::wire::protocol::{
    Api, Broker, CreateTopicRequest, CreateTopicsResponse, DecodeError, Decoder, DescribeSettingsRequest,
    DescribeSettingsResponse, ListOffsetsRequest, ListOffsetsResponse, ListedOffset, MetadataRequest,
    MetadataResponse, OffsetQuestion, SettingsOf, Timestamp, TopicId, TopicMetadata, UnsupportedApi,
};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Any broker: the first that has nothing else to answer.
    Any,
    /// The controller, or any broker where that is not known: newer ones pass it on.
    Controller,
    /// This one.
    Broker(i32),
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which brokers there are, and what a topic is like.
    Describe {
        /// Its name; empty: none.
        topic: String,
    },
    /// Where logs start or end.
    Offsets {
        /// Of this topic.
        topic: String,
        /// Of these partitions.
        partitions: Vec<OffsetQuestion>,
        /// Which of both.
        timestamp: Timestamp,
        /// Only what is committed counts.
        read_committed: bool,
    },
    /// Makes a topic.
    CreateTopic {
        /// Its name.
        name: String,
        /// How many; -1 is the cluster's default.
        partitions: i32,
        /// Of each; -1 is the cluster's default.
        replication_factor: i16,
        /// Settings, name and value.
        settings: Vec<(String, String)>,
        /// How long the controller may take, ms.
        timeout_ms: i32,
    },
    /// How something is set.
    Setting {
        /// A topic's name, or a broker's id.
        of: String,
        /// It is a broker's id.
        is_broker: bool,
        /// The setting.
        name: String,
    },
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// To [`Question::Describe`].
    Described(Description),
    /// To [`Question::Offsets`].
    Offsets(Vec<ListedOffset>),
    /// To [`Question::CreateTopic`]: an error, or 0, and the broker's words.
    Created(i16, String),
    /// To [`Question::Setting`]: the value, where there is one.
    Setting(Option<String>),
}

/// A cluster, and the topic in it that was asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// The brokers.
    pub brokers: Vec<BrokerDescription>,
    /// What was said of the topic: an error, or 0.
    pub error: i16,
    /// Its id; zeros where there is none.
    pub topic_id: TopicId,
    /// Its partitions, in no order.
    pub partitions: Vec<PartitionDescription>,
    /// What we may do with the topic: a bit for each operation, by its number in ACLs; `None` where that was not said.
    pub rights: Option<i32>,
    /// The broker that answers is a Redpanda.
    pub is_redpanda: bool,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// The name by which it wants to be called.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionDescription {
    /// Its number.
    pub id: i32,
    /// The broker that leads it; negative is none.
    pub leader: i32,
    /// The leader's epoch; -1 is unknown.
    pub leader_epoch: i32,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// Nobody said anything in time.
    TimedOut,
    /// The broker does not speak it.
    Unsupported(UnsupportedApi),
}

/// By this an answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AskId(u64);

#[derive(Debug)]
struct Open {
    id: AskId,
    whom: Whom,
    question: Question,
    deadline_us: u64,
    is_sent: bool,
}

/// The client.
#[derive(Debug)]
pub(crate) struct Admin {
    network: Network<AskId>,
    open: Vec<Open>,
    answered: Vec<(AskId, Result<Reply, NoReply>)>,
    /// Connections that could not be used since somebody asked.
    losses: Vec<(BrokerName, ConnectionError)>,
    controller: i32,
    last_id: u64,
    /// Which broker is asked next where any will do.
    turn: usize,
}

/// What every broker of a cluster must speak for a run to be possible at all.
const NEEDED: [Api; 4] = [Api::Metadata, Api::Produce, Api::Fetch, Api::ListOffsets];
/// Losses that are kept.
const MOST_LOSSES: usize = 100;

impl Admin {
    /// Nothing is connected yet.
    #[must_use]
    pub(crate) fn new(network: NetworkSettings) -> Self {
        Self {
            network: Network::new(network, Arc::default()),
            open: Vec::new(),
            answered: Vec::new(),
            losses: Vec::new(),
            controller: -1,
            last_id: 0,
            turn: 0,
        }
    }

    /// Asks. There is an answer, or word that there is none, at the deadline at the latest.
    pub(crate) fn ask(&mut self, whom: Whom, question: Question, deadline_us: u64, now_us: u64) -> AskId {
        self.last_id += 1;
        let id = AskId(self.last_id);
        self.open.push(Open { id, whom, question, deadline_us, is_sent: false });
        self.step(now_us);
        id
    }

    /// All answers that there are, each once.
    pub(crate) fn take_answers(&mut self) -> Vec<(AskId, Result<Reply, NoReply>)> {
        std::mem::take(&mut self.answered)
    }

    /// Connections that could not be used, since the last call.
    pub(crate) fn take_losses(&mut self) -> Vec<(BrokerName, ConnectionError)> {
        std::mem::take(&mut self.losses)
    }

    /// The brokers that the cluster names, and whether each can be talked to now.
    pub(crate) fn brokers(&mut self, now_us: u64) -> Vec<(i32, BrokerName, bool)> {
        let ids: Vec<i32> = self.network.cluster.brokers().iter().map(|broker| broker.id).collect();
        let state = |id| (id, self.network.name_of(id), self.network.ready(control(id), now_us).is_some());
        ids.into_iter().map(state).collect()
    }

    /// Does whatever can be done by now.
    pub(crate) fn step(&mut self, now_us: u64) {
        self.network.handle_timeout(now_us);
        self.note_losses();
        let (expired, open) =
            std::mem::take(&mut self.open).into_iter().partition(|open| open.deadline_us <= now_us);
        self.open = open;
        let expired: Vec<Open> = expired;
        self.answered.extend(expired.into_iter().map(|open| (open.id, Err(NoReply::TimedOut))));
        // Who is there shows by a connection.
        let ids: Vec<i32> = self.network.cluster.brokers().iter().map(|broker| broker.id).collect();
        for id in ids {
            self.network.ready(control(id), now_us);
        }
        self.send(now_us);
        self.note_losses();
    }

    fn note_losses(&mut self) {
        while let Some(lost) = self.network.poll_lost() {
            for open in self.open.iter_mut().filter(|open| lost.unanswered.contains(&open.id)) {
                open.is_sent = false;
            }
            if !matches!(lost.error, ConnectionError::Idle | ConnectionError::GivenUp)
                && self.losses.len() < MOST_LOSSES
            {
                self.losses.push((self.network.name_of(lost.peer.broker), lost.error));
            }
        }
    }

    fn send(&mut self, now_us: u64) {
        for index in 0..self.open.len() {
            if self.open[index].is_sent {
                continue;
            }
            let Some(link) = self.link_to(self.open[index].whom, now_us) else { continue };
            let question_us = self.network.settings().question_us;
            let Some(connection) = self.network.connection(link) else { continue };
            // A busy broker may take longer than whoever asks wants to wait: its connection is not to blame.
            let deadline_us = connection.deadline_us(now_us, question_us);
            let Open { id, question, is_sent, .. } = &mut self.open[index];
            let (tag, timeout_ms) = (Tag::Own(*id), i32::try_from(question_us / 1_000).unwrap_or(i32::MAX));
            let sent = match question {
                Question::Describe { topic } => {
                    let topics: &[&str] = if topic.is_empty() { &[] } else { &[topic] };
                    let request = MetadataRequest { topics: Some(topics), tell_rights: !topic.is_empty() };
                    connection.send(&request, deadline_us, tag)
                }
                Question::Offsets { topic, partitions, timestamp, read_committed } => {
                    let (timestamp, read_committed) = (*timestamp, *read_committed);
                    let request =
                        ListOffsetsRequest { topic, partitions, timestamp, read_committed, timeout_ms };
                    let sent = connection.send(&request, deadline_us, tag);
                    sent.inspect(|()| connection.measure(partitions.len(), 0))
                }
                Question::CreateTopic { name, partitions, replication_factor, settings, timeout_ms } => {
                    let settings: Vec<_> =
                        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                    let request = CreateTopicRequest {
                        name,
                        partitions: *partitions,
                        replication_factor: *replication_factor,
                        settings: &settings,
                        timeout_ms: *timeout_ms,
                    };
                    connection.send(&request, deadline_us, tag)
                }
                Question::Setting { of, is_broker, name } => {
                    let of = if *is_broker { SettingsOf::Broker(of) } else { SettingsOf::Topic(of) };
                    connection.send(&DescribeSettingsRequest { of, settings: &[name] }, deadline_us, tag)
                }
            };
            match sent {
                Ok(()) => *is_sent = true,
                Err(error) => {
                    self.answered.push((*id, Err(NoReply::Unsupported(error))));
                    // It is taken out below.
                    self.open[index].deadline_us = 0;
                }
            }
        }
        self.open.retain(|open| open.deadline_us > 0);
    }

    /// The connection for a question; one that is opened if there is none is for later.
    fn link_to(&mut self, whom: Whom, now_us: u64) -> Option<LinkId> {
        let known = |id| self.network.cluster.brokers().iter().any(|broker| broker.id == id);
        match whom {
            Whom::Broker(id) => self.network.ready(control(id), now_us),
            Whom::Controller if known(self.controller) => {
                self.network.ready(control(self.controller), now_us)
            }
            Whom::Any | Whom::Controller => self.any_link(now_us),
        }
    }

    /// Of the brokers that can be talked to, one that has nothing to answer: another one may be frozen.
    fn any_link(&mut self, now_us: u64) -> Option<LinkId> {
        let ids: Vec<i32> = self.network.cluster.brokers().iter().map(|broker| broker.id).collect();
        for step in 0..ids.len() {
            let turn = (self.turn + step) % ids.len();
            if let Some(link) = self.network.ready(control(ids[turn]), now_us)
                && self.network.connection(link).is_some_and(|connection| connection.in_flight() == 0)
            {
                self.turn = turn + 1;
                return Some(link);
            }
        }
        self.network.control(now_us)
    }

    /// A broker that says what it speaks may be too old for us, or too new.
    fn check_versions(&mut self, link: LinkId, now_us: u64) {
        let Some(connection) = self.network.connection_ref(link) else { return };
        if connection.is_ready()
            && let Some(error) = NEEDED.iter().find_map(|api| connection.version(*api).err())
        {
            self.network.fail(link, error.into(), now_us);
        }
    }

    fn answered(&mut self, link: LinkId, response: &Response<AskId>, now_us: u64) {
        let &Response { tag: id, api, version } = response;
        let answer = self.network.body(link, response).and_then(|body| {
            decode(api, version, body).map_err(|error| ConnectionError::Unreadable { api, version, error })
        });
        let (mut reply, throttle_ms) = match answer {
            Ok(Decoded { reply, throttle_ms, controller }) => {
                self.controller = controller.unwrap_or(self.controller);
                (reply, throttle_ms)
            }
            Err(error) => return self.network.fail(link, error, now_us),
        };
        self.network.note_error(error_of(&reply));
        if let Reply::Described(description) = &mut reply {
            description.is_redpanda |= self.network.connection_ref(link).is_some_and(speaks_as_redpanda);
            let brokers = description.brokers.iter();
            self.network.cluster.name_brokers(brokers.map(|one| (one.id, one.host.as_str(), one.port)));
        }
        if let Some(connection) = self.network.connection(link) {
            connection.pass();
        }
        self.network.throttle(link, api, throttle_ms, now_us);
        if let Some(index) = self.open.iter().position(|open| open.id == id) {
            self.open.swap_remove(index);
            self.answered.push((id, Ok(reply)));
        }
    }
}

/// What Redpanda calls a cluster whose name nobody has set begins so.
const REDPANDA: &str = "redpanda.";

/// Redpanda makes topics by requests that Kafka has had since 2.7, and takes records by those of Kafka 2.1.
fn speaks_as_redpanda(connection: &Connection<Tag<AskId>>) -> bool {
    const MADE_AS_IN_2_7: i16 = 6;
    const TAKEN_AS_IN_2_1: i16 = 7;
    let is = |api, holds: fn(i16) -> bool| connection.version(api).is_ok_and(holds);
    is(Api::CreateTopics, |version| version >= MADE_AS_IN_2_7)
        && is(Api::Produce, |version| version <= TAKEN_AS_IN_2_1)
}

fn control(broker: i32) -> Peer {
    Peer { broker, purpose: Purpose::Control }
}

fn error_of(reply: &Reply) -> i16 {
    match reply {
        Reply::Described(description) => description.error,
        Reply::Offsets(listed) => listed.iter().map(|one| one.error).find(|error| *error != 0).unwrap_or(0),
        Reply::Created(error, _) => *error,
        Reply::Setting(_) => 0,
    }
}

struct Decoded {
    reply: Reply,
    throttle_ms: i32,
    controller: Option<i32>,
}

fn decode(api: Api, version: i16, body: Decoder<'_>) -> Result<Decoded, DecodeError> {
    let mut controller = None;
    let (reply, throttle_ms) = match api {
        Api::Metadata => {
            let answer = MetadataResponse::decode(version, body)?;
            controller = Some(answer.controller);
            (Reply::Described(description(&answer)), answer.throttle_time_ms)
        }
        Api::ListOffsets => {
            let answer = ListOffsetsResponse::decode(version, body)?;
            (Reply::Offsets(answer.partitions), answer.throttle_time_ms)
        }
        Api::CreateTopics => {
            let answer = CreateTopicsResponse::decode(version, body)?;
            // One that is not named was not refused.
            let (error, words) =
                answer.topics.first().map_or((0, None), |topic| (topic.error, topic.message));
            (Reply::Created(error, words.unwrap_or_default().to_owned()), answer.throttle_time_ms)
        }
        _ => {
            let answer = DescribeSettingsResponse::decode(version, body)?;
            let value = answer.settings.first().and_then(|setting| setting.value);
            (Reply::Setting(value.map(str::to_owned)), answer.throttle_time_ms)
        }
    };
    Ok(Decoded { reply, throttle_ms, controller })
}

fn description(answer: &MetadataResponse<'_>) -> Description {
    let broker = |broker: &Broker<'_>| BrokerDescription {
        id: broker.id,
        host: broker.host.to_owned(),
        port: u16::try_from(broker.port).unwrap_or(0),
    };
    let mut description = Description {
        brokers: answer.brokers.iter().map(broker).collect(),
        is_redpanda: answer.cluster_id.is_some_and(|id| id.starts_with(REDPANDA)),
        ..Description::default()
    };
    let Some(TopicMetadata { error, id, partitions, rights, .. }) = answer.topics.first() else {
        description.error = answer.error;
        return description;
    };
    (description.error, description.topic_id, description.rights) = (*error, *id, *rights);
    let partitions = partitions.iter().map(|partition| PartitionDescription {
        id: partition.partition,
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.ids().collect(),
    });
    description.partitions = partitions.collect();
    description
}

impl Client for Admin {
    type Tag = AskId;

    fn network(&self) -> &Network<AskId> {
        &self.network
    }

    fn network_mut(&mut self) -> &mut Network<AskId> {
        &mut self.network
    }

    fn take_in(&mut self, link: LinkId, response: Response<AskId>, now_us: u64) {
        self.answered(link, &response, now_us);
    }

    fn took_in(&mut self, link: LinkId, now_us: u64) {
        self.check_versions(link, now_us);
    }

    fn follow_up(&mut self, now_us: u64) {
        self.step(now_us);
    }

    fn own_deadline_us(&self, _now_us: u64) -> u64 {
        self.open.iter().map(|open| open.deadline_us).min().unwrap_or(u64::MAX)
    }

    fn has_own_news(&self) -> bool {
        !self.answered.is_empty()
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
