//! The connections of one client: opened when they are first wanted, opened again with pauses that grow, closed when they
//! are idle; and the questions who leads what.

mod opinion;

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use self::opinion::Opinion;
use super::{
    cluster::{Cluster, RefreshTimes},
    connection::{Connection, ConnectionError, ConnectionSettings, Response},
    machine::{Action, LinkId},
    notice::{Answered, BrokerName, Notice},
};
use crate::{
    kafka::wire::protocol::{Api, Decoder, MetadataRequest, MetadataResponse},
    partitions::PartitionTable,
};

/// The pause before a broker is asked again that has said no, and the longest that it grows to, µs.
const REFUSED_SHORTEST_US: u64 = 1_000_000;
const REFUSED_LONGEST_US: u64 = 5_000_000;

/// What a connection is used for: data is a FIFO of its own, so that no question waits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Questions.
    Control,
    /// Records, one way or the other.
    Data,
}

/// Where a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The broker's id; below 0, one of the addresses to begin with.
    pub broker: i32,
    /// What it is for.
    pub purpose: Purpose,
}

/// An address to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    /// A name, or an IP address.
    pub host: Rc<str>,
    /// The port.
    pub port: u16,
}

/// How a client deals with connections. Times are in µs.
#[derive(Clone, Debug)]
pub(crate) struct NetworkSettings {
    /// The addresses to begin with.
    pub bootstrap: Vec<Bootstrap>,
    /// Every connection.
    pub connection: ConnectionSettings,
    /// How often the cluster is asked.
    pub refresh: RefreshTimes,
    /// The pause before a connection is opened again; doubled with each failure.
    pub reconnect_shortest_us: u64,
    /// The longest such pause.
    pub reconnect_longest_us: u64,
    /// How long a broker may take to answer a question.
    pub question_us: u64,
    /// How long a connection may be opening before another broker is tried beside it.
    pub hedge_us: u64,
    /// After so long without use a connection is closed.
    pub idle_us: u64,
    /// Each answer is a notice.
    pub traces: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag<T> {
    /// Who leads what.
    Metadata,
    /// The same, asked of another broker.
    Opinion,
    /// The client's own business.
    Own(T),
}

/// A connection that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost<T> {
    /// Which one.
    pub link: LinkId,
    /// Where it led to.
    pub peer: Peer,
    /// Why it is over.
    pub error: ConnectionError,
    /// The requests without an answer, the oldest first. Nobody knows what became of them.
    pub unanswered: Vec<T>,
}

#[derive(Debug)]
enum State<T> {
    Closed,
    Opening { since_us: u64 },
    Open(Box<Connection<Tag<T>>>),
}

#[derive(Debug)]
struct Slot<T> {
    peer: Peer,
    /// Where it was opened to last: a broker may be named no more.
    address: Option<(Rc<str>, u16)>,
    generation: u32,
    state: State<T>,
    /// Attempts in vain since the last answer.
    failures: u32,
    not_before_us: u64,
    /// Somebody waits for it.
    wanted: bool,
    used_us: u64,
}

/// All connections of a client. `T` says what its own requests are for.
#[derive(Debug)]
pub(crate) struct Network<T> {
    /// What is known of the cluster.
    pub cluster: Cluster,
    settings: NetworkSettings,
    slots: Vec<Slot<T>>,
    actions: VecDeque<Action>,
    lost: VecDeque<Lost<T>>,
    /// Which candidate for a control connection is tried next.
    candidate: usize,
    /// Why a connection could not be used, most recently, until one could.
    trouble: Option<(Peer, ConnectionError)>,
    opinion: Opinion,
    /// A broker has said what it speaks, and hung up on the first question of somebody without a name.
    is_nameless: bool,
    notices: VecDeque<Notice>,
}

/// Notices that are kept for whoever asks for them.
const MOST_NOTICES: usize = 1_000;

impl<T: Copy> Network<T> {
    /// No connection yet.
    #[must_use]
    pub(crate) fn new(settings: NetworkSettings, table: Arc<PartitionTable>) -> Self {
        Self {
            cluster: Cluster::new(table, settings.refresh),
            settings,
            slots: Vec::new(),
            actions: VecDeque::new(),
            lost: VecDeque::new(),
            candidate: 0,
            trouble: None,
            opinion: Opinion::default(),
            is_nameless: false,
            notices: VecDeque::new(),
        }
    }

    /// How it deals with connections.
    #[must_use]
    pub(crate) fn settings(&self) -> &NetworkSettings {
        &self.settings
    }

    /// The next thing to be done.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next connection that is over.
    pub(crate) fn poll_lost(&mut self) -> Option<Lost<T>> {
        self.lost.pop_front()
    }

    /// The next thing that is to be said of the connections.
    pub(crate) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    #[cold]
    fn notice(&mut self, notice: Notice) {
        if self.notices.len() < MOST_NOTICES {
            self.notices.push_back(notice);
        }
    }

    /// A broker, as people know it.
    #[must_use]
    pub(crate) fn name_of(&self, broker: i32) -> BrokerName {
        let opened = || self.slots.iter().filter(|slot| slot.peer.broker == broker);
        let address = self.address_of(broker).or_else(|| opened().find_map(|slot| slot.address.clone()));
        let (host, port) = address.unwrap_or_else(|| ("?".into(), 0));
        BrokerName::new(&host, port, Some(broker))
    }

    /// A broker has answered, and reads nothing for so many ms: see [`Connection::throttle`].
    pub(crate) fn throttle(&mut self, link: LinkId, api: Api, throttle_ms: i32, now_us: u64) {
        let Some(connection) = self.connection(link) else { return };
        connection.throttle(throttle_ms, now_us);
        if throttle_ms > 0 {
            let broker = self.name_of(self.slots[link.slot].peer.broker);
            self.notice(Notice::Throttled { broker, api, for_ms: throttle_ms.unsigned_abs() });
        }
    }

    /// The answer that came out of [`Self::next_response`] last has this error in it, or 0.
    pub(crate) fn note_error(&mut self, code: i16) {
        if let Some(Notice::Answered(Answered { error, .. })) = self.notices.back_mut() {
            *error = code;
        }
    }

    #[cold]
    fn note_answer(&mut self, link: LinkId, api: Api, version: i16) {
        let Some(size) = self.connection_ref(link).map(Connection::last_answered) else { return };
        let broker = self.name_of(self.slots[link.slot].peer.broker);
        self.notice(Notice::Answered(Answered { broker, api, version, size, error: 0 }));
    }

    /// Why a connection could not be used, most recently, if none has been since.
    #[must_use]
    pub(crate) fn trouble(&self) -> Option<&(Peer, ConnectionError)> {
        self.trouble.as_ref()
    }

    /// Whether it may be that brokers want to know who asks.
    #[must_use]
    pub(crate) fn may_lack_a_name(&self) -> bool {
        self.is_nameless
    }

    /// A connection, unless it is over.
    pub(crate) fn connection(&mut self, link: LinkId) -> Option<&mut Connection<Tag<T>>> {
        self.connection_and_cluster(link).map(|(connection, _)| connection)
    }

    /// A connection, unless it is over, and what is known of the cluster.
    pub(crate) fn connection_and_cluster(
        &mut self,
        link: LinkId,
    ) -> Option<(&mut Connection<Tag<T>>, &Cluster)> {
        match self.slots.get_mut(link.slot) {
            Some(Slot { generation, state: State::Open(connection), .. })
                if *generation == link.generation =>
            {
                Some((connection, &self.cluster))
            }
            _ => None,
        }
    }

    /// A connection to look at, unless it is over.
    #[must_use]
    pub(crate) fn connection_ref(&self, link: LinkId) -> Option<&Connection<Tag<T>>> {
        match self.slots.get(link.slot) {
            Some(Slot { generation, state: State::Open(connection), .. })
                if *generation == link.generation =>
            {
                Some(connection)
            }
            _ => None,
        }
    }

    /// A connection that can be used; it is opened if need be, and if its pause is over.
    pub(crate) fn ready(&mut self, peer: Peer, now_us: u64) -> Option<LinkId> {
        let index = self.slot_of(peer);
        let slot = &mut self.slots[index];
        slot.wanted = true;
        match &mut slot.state {
            State::Open(connection) if connection.is_ready() => {
                connection.tick(now_us);
                slot.used_us = now_us;
                Some(LinkId { slot: index, generation: slot.generation })
            }
            State::Closed if slot.not_before_us <= now_us => {
                self.open(index, now_us);
                None
            }
            _ => None,
        }
    }

    /// A connection for questions that any broker can answer; one is opened if there is none.
    pub(crate) fn control(&mut self, now_us: u64) -> Option<LinkId> {
        let is_control = |slot: &&Slot<T>| slot.peer.purpose == Purpose::Control;
        let is_usable = |slot: &&Slot<T>| matches!(&slot.state, State::Open(link) if link.is_ready());
        let usable = self.slots.iter().filter(is_control).filter(is_usable);
        // The one that answered last: a broker that froze is the last to be asked again.
        if let Some(peer) = usable.max_by_key(|slot| slot.used_us).map(|slot| slot.peer) {
            return self.ready(peer, now_us);
        }
        let hedge_us = self.settings.hedge_us;
        let is_under_way = |slot: &Slot<T>| match &slot.state {
            State::Opening { since_us } => since_us + hedge_us > now_us,
            State::Open(_) => slot.used_us + hedge_us > now_us,
            State::Closed => false,
        };
        if !self.slots.iter().filter(is_control).any(is_under_way) {
            self.try_candidate(now_us);
        }
        None
    }

    fn try_candidate(&mut self, now_us: u64) {
        let (brokers, addresses) = (self.cluster.brokers().len(), self.settings.bootstrap.len());
        for _ in 0..brokers + addresses {
            let candidate = self.candidate % (brokers + addresses);
            self.candidate = candidate + 1;
            let broker = match self.cluster.brokers().get(candidate) {
                Some(broker) => broker.id,
                None => -1 - i32::try_from(candidate - brokers).unwrap_or(0),
            };
            let index = self.slot_of(Peer { broker, purpose: Purpose::Control });
            self.slots[index].wanted = true;
            if matches!(self.slots[index].state, State::Closed) && self.slots[index].not_before_us <= now_us {
                return self.open(index, now_us);
            }
        }
    }

    fn slot_of(&mut self, peer: Peer) -> usize {
        let found = self.slots.iter().position(|slot| slot.peer == peer);
        found.unwrap_or_else(|| {
            self.slots.push(Slot {
                peer,
                address: None,
                generation: 0,
                state: State::Closed,
                failures: 0,
                not_before_us: 0,
                wanted: false,
                used_us: 0,
            });
            self.slots.len() - 1
        })
    }

    fn address_of(&self, broker: i32) -> Option<(Rc<str>, u16)> {
        if let Ok(index) = usize::try_from(-1 - i64::from(broker)) {
            return self.settings.bootstrap.get(index).map(|address| (address.host.clone(), address.port));
        }
        let found = self.cluster.brokers().iter().find(|known| known.id == broker);
        found.map(|known| (known.host.clone(), known.port))
    }

    fn open(&mut self, index: usize, now_us: u64) {
        let Some((host, port)) = self.address_of(self.slots[index].peer.broker) else {
            // It is not in the cluster's answer: the next one may have it.
            self.cluster.suspect();
            self.slots[index].not_before_us = now_us + self.settings.reconnect_shortest_us;
            return;
        };
        let slot = &mut self.slots[index];
        slot.address = Some((host.clone(), port));
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Opening { since_us: now_us };
        let link = LinkId { slot: index, generation: slot.generation };
        self.actions.push_back(Action::Open { link, host, port });
    }

    fn slot(&mut self, link: LinkId) -> Option<&mut Slot<T>> {
        self.slots.get_mut(link.slot).filter(|slot| slot.generation == link.generation)
    }

    /// A connection is there.
    pub(crate) fn opened(&mut self, link: LinkId, now_us: u64) {
        let settings = self.settings.connection.clone();
        if let Some(slot) = self.slot(link)
            && matches!(slot.state, State::Opening { .. })
        {
            slot.used_us = now_us;
            slot.state = State::Open(Box::new(Connection::new(&settings, now_us)));
        }
    }

    /// A connection could not be opened, or is over: the shell says so.
    pub(crate) fn closed(&mut self, link: LinkId, error: ConnectionError, now_us: u64) {
        self.end(link, error, now_us);
    }

    /// Closes a connection.
    pub(crate) fn fail(&mut self, link: LinkId, error: ConnectionError, now_us: u64) {
        if self.slot(link).is_some_and(|slot| !matches!(slot.state, State::Closed)) {
            self.actions.push_back(Action::Close { link });
            self.end(link, error, now_us);
        }
    }

    fn end(&mut self, link: LinkId, error: ConnectionError, now_us: u64) {
        let (mut shortest_us, mut longest_us) =
            (self.settings.reconnect_shortest_us, self.settings.reconnect_longest_us);
        if error.is_denied() {
            // Who has said no says so again, and may lock out who asks too often.
            (shortest_us, longest_us) =
                (shortest_us.max(REFUSED_SHORTEST_US), longest_us.max(REFUSED_LONGEST_US));
        }
        let Some(slot) = self.slot(link) else { return };
        let (unanswered, was_ready): (Vec<_>, _) = match std::mem::replace(&mut slot.state, State::Closed) {
            State::Closed => return,
            State::Opening { .. } => (Vec::new(), false),
            State::Open(connection) => (connection.tags().collect(), connection.is_ready()),
        };
        let is_ours = matches!(error, ConnectionError::Idle | ConnectionError::GivenUp);
        if is_ours {
            slot.wanted = false;
        } else {
            let pause_us = shortest_us.saturating_mul(1 << slot.failures.min(16)).min(longest_us);
            slot.not_before_us = now_us + pause_us;
            slot.failures = slot.failures.saturating_add(1);
        }
        let peer = slot.peer;
        if !is_ours {
            let broker = self.name_of(peer.broker);
            self.notice(Notice::Trouble { broker, error: error.clone(), was_ready });
            self.trouble = Some((peer, error.clone()));
            let is_nameless = self.settings.connection.login.is_none() && self.cluster.brokers().is_empty();
            self.is_nameless = is_nameless && was_ready;
            // A broker that goes may lead no more.
            self.cluster.suspect();
        }
        self.opinion.lost(peer);
        if unanswered.iter().any(|tag| matches!(tag, Tag::Metadata)) {
            self.cluster.not_answered();
        }
        let own = |tag| if let Tag::Own(own) = tag { Some(own) } else { None };
        let unanswered = unanswered.into_iter().filter_map(own).collect();
        self.lost.push_back(Lost { link, peer, error, unanswered });
    }

    /// Where bytes that come in on a connection belong; empty where it is over.
    #[must_use]
    pub(crate) fn space(&mut self, link: LinkId) -> &mut [u8] {
        self.connection(link).map(Connection::space).unwrap_or_default()
    }

    /// So many bytes have come in on a connection.
    pub(crate) fn received(&mut self, link: LinkId, bytes: usize, now_us: u64) {
        if let Some(connection) = self.connection(link) {
            connection.received(bytes);
            self.slots[link.slot].used_us = now_us;
        }
    }

    /// The next answer to a request of the client's own that has come in on a connection. [`Connection::pass`] or
    /// [`Connection::swap`] must follow.
    pub(crate) fn next_response(&mut self, link: LinkId, now_us: u64) -> Option<Response<T>> {
        loop {
            let response = match self.connection(link)?.next_response(now_us) {
                Ok(response) => response,
                Err(error) => {
                    self.fail(link, error, now_us);
                    return None;
                }
            };
            let Some(Response { tag, api, version }) = response else {
                self.note_ready(link);
                // The answer may have been that of the handshake, for which a question of ours has waited.
                if self.cluster.ask_at_us() <= now_us {
                    self.ask(now_us);
                }
                self.ask_opinion(now_us);
                return None;
            };
            self.is_nameless = false;
            self.note_ready(link);
            if self.settings.traces {
                self.note_answer(link, api, version);
            }
            match tag {
                Tag::Own(tag) => return Some(Response { tag, api, version }),
                Tag::Metadata => self.learn(link, Response { tag, api, version }, now_us),
                Tag::Opinion => {
                    self.learn(link, Response { tag, api, version }, now_us);
                    self.opinion.over();
                }
            }
        }
    }

    /// It has answered: the next pause is a short one.
    fn note_ready(&mut self, link: LinkId) {
        // Where brokers hang up on the first question, only its answer is the end of that.
        if !self.is_nameless && self.connection(link).is_some_and(|connection| connection.is_ready()) {
            let slot = &mut self.slots[link.slot];
            if std::mem::take(&mut slot.failures) > 0 || self.trouble.is_some() {
                self.trouble = None;
            }
        }
    }

    /// The fields of an answer that came out of [`Self::next_response`].
    ///
    /// # Errors
    /// They cannot be read; the connection is to be closed.
    pub(crate) fn body(&self, link: LinkId, response: &Response<T>) -> Result<Decoder<'_>, ConnectionError> {
        let &Response { tag, api, version } = response;
        let response = Response { tag: Tag::Own(tag), api, version };
        match self.connection_ref(link) {
            Some(connection) => connection.body(&response),
            None => Err(ConnectionError::Idle),
        }
    }

    fn learn(&mut self, link: LinkId, response: Response<Tag<T>>, now_us: u64) {
        let Self { slots, cluster, .. } = self;
        let State::Open(connection) = &mut slots[link.slot].state else { return };
        let Response { api, version, .. } = response;
        let answer = connection.body(&response).and_then(|body| {
            MetadataResponse::decode(version, body).map_err(|error| ConnectionError::Unreadable {
                api,
                version,
                error,
            })
        });
        match answer {
            Ok(answer) => {
                let throttle_ms = answer.throttle_time_ms;
                cluster.learn(&answer);
                connection.pass();
                self.throttle(link, api, throttle_ms, now_us);
            }
            Err(error) => {
                cluster.not_answered();
                self.fail(link, error, now_us);
            }
        }
    }

    /// Does what is due: closes connections whose broker is late or that are idle, and asks who leads what.
    pub(crate) fn handle_timeout(&mut self, now_us: u64) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            // Whoever still wants it says so again.
            slot.wanted &= slot.not_before_us > now_us;
            let State::Open(connection) = &mut slot.state else { continue };
            let link = LinkId { slot: index, generation: slot.generation };
            if let Err(error) = connection.handle_timeout(now_us) {
                self.fail(link, error, now_us);
            } else if connection.in_flight() == 0 && slot.used_us + self.settings.idle_us <= now_us {
                self.fail(link, ConnectionError::Idle, now_us);
            }
        }
        if self.cluster.ask_at_us() <= now_us {
            self.ask(now_us);
        }
        self.ask_opinion(now_us);
    }

    fn ask(&mut self, now_us: u64) {
        if let Some(link) = self.control(now_us)
            && self.ask_about_cluster(link, Tag::Metadata, now_us)
        {
            self.opinion.told_by = Some(self.slots[link.slot].peer.broker);
            self.cluster.asked(now_us);
        }
    }

    /// Returns whether the question is under way.
    fn ask_about_cluster(&mut self, link: LinkId, tag: Tag<T>, now_us: u64) -> bool {
        let (table, question_us) = (self.cluster.table().clone(), self.settings.question_us);
        let Some(connection) = self.connection(link) else { return false };
        let deadline_us = connection.deadline_us(now_us, question_us);
        // Whoever has no topic wants to know the brokers.
        let topics: Vec<&str> = table.topics().iter().map(|topic| &**topic).collect();
        let request = MetadataRequest { topics: Some(&topics), tell_rights: false };
        let sent = connection.send(&request, deadline_us, tag);
        sent.map_err(|error| self.fail(link, error.into(), now_us)).is_ok()
    }

    /// When [`Self::handle_timeout`] is due, µs.
    #[must_use]
    pub(crate) fn next_deadline_us(&self, now_us: u64) -> u64 {
        let of_slot = |slot: &Slot<T>| match &slot.state {
            State::Closed if slot.wanted => slot.not_before_us.max(now_us + 1),
            State::Closed => u64::MAX,
            State::Opening { since_us } => hedge(*since_us, self.settings.hedge_us, now_us),
            State::Open(connection) => {
                let idle_us = slot.used_us + self.settings.idle_us;
                connection.next_deadline_us(now_us).min(idle_us)
            }
        };
        let slots = self.slots.iter().map(of_slot).min().unwrap_or(u64::MAX);
        let slots = slots.min(self.opinion.deadline_us());
        let ask_us = self.cluster.ask_at_us();
        // One that is due waits for a connection, whose own time is above.
        if ask_us > now_us || self.slots.is_empty() { slots.min(ask_us) } else { slots }
    }
}

/// When another connection may be tried beside one that is opening; once that is over, nothing is due for it.
fn hedge(since_us: u64, hedge_us: u64, now_us: u64) -> u64 {
    let at_us = since_us + hedge_us;
    if at_us > now_us { at_us } else { u64::MAX }
}

#[cfg(test)]
#[path = "network_tests.rs"]
pub(in crate::kafka::wire::core) mod tests;
