//! A group's places on a client's connections: the coordinator is looked for, and asked.

use std::rc::Rc;

use super::{
    code,
    connection::{ConnectionError, Response},
    group_places::{GroupPlaces, PlaceAsk},
    machine::LinkId,
    network::{Network, Tag},
    way::{Reached, Way},
};
use crate::{
    kafka::wire::protocol::{
        CoordinatorKind, DecodeError, Decoder, FindCoordinatorRequest, FindCoordinatorResponse,
        OffsetFetchRequest, OffsetFetchResponse, TopicRefs,
    },
    mutants::enforced,
    partitions::{PartitionTable, TopicPartition},
};

/// Asks a group where it has consumed partitions up to.
#[derive(Debug)]
pub(crate) struct Placing {
    group: Rc<str>,
    /// Offsets that an open transaction carries are waited for.
    only_stable: bool,
    places: GroupPlaces,
    way: Way,
}

impl Placing {
    /// Nothing is asked yet. `only_stable`: offsets that an open transaction carries are waited for.
    #[must_use]
    pub(crate) fn new(group: Rc<str>, only_stable: bool) -> Self {
        Self { group, only_stable, places: GroupPlaces::default(), way: Way::default() }
    }

    /// What is asked, and what was said.
    pub(crate) fn places(&mut self) -> &mut GroupPlaces {
        &mut self.places
    }

    /// Whether something was said.
    #[must_use]
    pub(crate) fn has_words(&self) -> bool {
        self.places.has_words()
    }

    /// When something is due, µs; `u64::MAX`: not before something else happens.
    #[must_use]
    pub(crate) fn next_deadline_us(&self, now_us: u64) -> u64 {
        let due_us = self.places.next_us();
        // What is due waits for a connection, whose own time counts.
        let due_us = if due_us > now_us { due_us } else { u64::MAX };
        due_us.min(self.way.next_deadline_us(now_us))
    }

    /// Asks what can be asked by now. `tag` says what an answer is for.
    pub(crate) fn step<T: Copy>(
        &mut self,
        network: &mut Network<T>,
        tag: impl Fn(PlaceAsk) -> T,
        now_us: u64,
    ) {
        let link = self.places.next(now_us).and_then(|_| self.link(network, now_us));
        // Whoever was to be asked may be missed.
        let Some((link, ask)) = link.zip(self.places.next(now_us)) else { return };
        let question_us = network.settings().question_us;
        let Some((connection, cluster)) = network.connection_and_cluster(link) else { return };
        let (tag, deadline_us) = (Tag::Own(tag(ask)), connection.deadline_us(now_us, question_us));
        let sent = match ask {
            PlaceAsk::Coordinator => {
                let request = FindCoordinatorRequest { key: &self.group, kind: CoordinatorKind::Group };
                connection.send(&request, deadline_us, tag)
            }
            PlaceAsk::Places => {
                let (topics, wanted) = (TopicRefs::Names(cluster.table().topics()), self.places.wanted());
                let request = self.request(topics, &wanted);
                connection.send(&request, deadline_us, tag)
            }
        };
        self.places.asked(ask);
        match (ask, sent) {
            (_, Ok(())) => {}
            (PlaceAsk::Coordinator, Err(_)) => self.places.found(code::UNSUPPORTED_VERSION, -1, now_us),
            (PlaceAsk::Places, Err(_)) => {
                self.places.answered(code::UNSUPPORTED_VERSION, std::iter::empty(), now_us);
            }
        }
    }

    /// What the coordinator is asked.
    fn request<'a>(
        &'a self,
        topics: TopicRefs<'a>,
        partitions: &'a [TopicPartition],
    ) -> OffsetFetchRequest<'a> {
        let require_stable = self.only_stable && enforced("wire-stable-places");
        OffsetFetchRequest { group: &self.group, topics, partitions, require_stable }
    }

    /// The connection over which the next question goes. Where the coordinator is missed, somebody is asked who it is.
    fn link<T: Copy>(&mut self, network: &mut Network<T>, now_us: u64) -> Option<LinkId> {
        if let Some(broker) = self.places.coordinator() {
            match self.way.to(broker, network, now_us) {
                Reached::There(link) => return Some(link),
                Reached::NotYet => return None,
                Reached::Missed => self.places.not_answered(),
            }
        }
        self.way.forget();
        network.control(now_us)
    }

    /// There will be no answer.
    pub(crate) fn not_answered(&mut self) {
        self.places.not_answered();
    }

    /// Takes in an answer. Returns for how many ms the broker reads nothing.
    ///
    /// # Errors
    /// It cannot be read, and nobody knows what it said.
    pub(crate) fn take_in<T>(
        &mut self,
        ask: PlaceAsk,
        response: &Response<T>,
        body: Result<Decoder<'_>, ConnectionError>,
        (table, now_us): (&PartitionTable, u64),
    ) -> Result<i32, ConnectionError> {
        let &Response { api, version, .. } = response;
        let unreadable = |error| ConnectionError::Unreadable { api, version, error };
        let taken =
            body.and_then(|body| self.take_in_body(ask, version, body, (table, now_us)).map_err(unreadable));
        taken.inspect_err(|_| self.places.not_answered())
    }

    fn take_in_body(
        &mut self,
        ask: PlaceAsk,
        version: i16,
        body: Decoder<'_>,
        (table, now_us): (&PartitionTable, u64),
    ) -> Result<i32, DecodeError> {
        match ask {
            PlaceAsk::Coordinator => {
                let answer = FindCoordinatorResponse::decode(version, body)?;
                let (error, id) =
                    answer.coordinator.map_or((code::NONE, -1), |found| (found.error, found.id));
                self.places.found(error, id, now_us);
                Ok(answer.throttle_time_ms)
            }
            PlaceAsk::Places => {
                let answer = OffsetFetchResponse::decode(version, body)?;
                let offsets = answer.offsets.iter().filter_map(|told| {
                    let topic = table.topic_named(told.topic)?;
                    Some((TopicPartition { topic, partition: told.partition }, told.error, told.offset))
                });
                self.places.answered(answer.error, offsets, now_us);
                Ok(answer.throttle_time_ms)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an open transaction carries would be read again, or not at all, whatever becomes of it.
    #[test]
    fn who_reads_what_is_committed_waits_for_what_a_transaction_carries() {
        let wanted = [TopicPartition { topic: 0, partition: 3 }];
        for only_stable in [true, false] {
            let placing = Placing::new("g".into(), only_stable);
            let request = placing.request(TopicRefs::Names(&[]), &wanted);
            assert_eq!((request.group, request.partitions), ("g", &wanted[..]));
            assert_eq!(request.require_stable, only_stable);
        }
    }
}
