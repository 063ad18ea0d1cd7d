//! Questions on their way to leaders.

use super::{
    cluster::{Cluster, Leader},
    code,
    machine::LinkId,
    network::{Network, Peer, Purpose, Tag},
    questions::{QuestionBody, QuestionRequest, Questions},
};
use crate::{
    kafka::wire::protocol::{LeaderEpochRequest, ListOffsetsRequest, UnsupportedApi},
    partitions::PartitionSlot,
};

/// Sends all questions that can be, on connections of their own. `tag` says what an answer is for, by its number.
pub(crate) fn send_questions<T: Copy>(
    questions: &mut Questions,
    network: &mut Network<T>,
    tag: impl Fn(u64) -> T,
    now_us: u64,
) {
    for broker in questions.wanted(now_us, |slot| leader(&network.cluster, slot)) {
        let peer = Peer { broker, purpose: Purpose::Control };
        let Some(link) = network.ready(peer, now_us) else { continue };
        while let Some(request) =
            questions.next_request(broker, now_us, |slot| leader(&network.cluster, slot))
        {
            let number = request.number;
            match send(network, link, &request, tag(number), now_us) {
                Some(Ok(())) => {}
                Some(Err(_)) => questions.refused(number, code::UNSUPPORTED_VERSION, now_us),
                None => questions.failed(number, now_us),
            }
        }
    }
}

/// Who leads a partition, or why nobody is known to.
fn leader(cluster: &Cluster, slot: PartitionSlot) -> Result<Leader, i16> {
    let error = cluster.topic_error(slot).filter(|error| *error != code::NONE);
    cluster.leader(slot).ok_or(error.unwrap_or(code::LEADER_NOT_AVAILABLE))
}

/// Sends a question; `None`: the connection is over.
fn send<T: Copy>(
    network: &mut Network<T>,
    link: LinkId,
    request: &QuestionRequest,
    tag: T,
    now_us: u64,
) -> Option<Result<(), UnsupportedApi>> {
    let question_us = network.settings().question_us;
    let (connection, cluster) = network.connection_and_cluster(link)?;
    let topic = &*cluster.table().topics()[request.topic];
    let timeout_ms = i32::try_from(question_us / 1_000).unwrap_or(i32::MAX);
    let (tag, deadline_us) = (Tag::Own(tag), connection.deadline_us(now_us, question_us));
    let (sent, partitions) = match &request.body {
        QuestionBody::Offsets { partitions, timestamp, read_committed } => {
            let (timestamp, read_committed) = (*timestamp, *read_committed);
            let request = ListOffsetsRequest { topic, partitions, timestamp, read_committed, timeout_ms };
            (connection.send(&request, deadline_us, tag), request.partitions.len())
        }
        QuestionBody::EpochEnds(partitions) => {
            let request = LeaderEpochRequest { topic, partitions };
            (connection.send(&request, deadline_us, tag), partitions.len())
        }
    };
    Some(sent.inspect(|()| connection.measure(partitions, 0)))
}
