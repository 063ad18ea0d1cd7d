//! A member of a simulated group: our own client reads for it, over a network of its own.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{
    dealing::Dealing,
    lines::{InFlight, Lines},
    plan::Plan,
    reading::settings,
    run::table,
    server::Server,
};
use crate::{
    kafka::{
        Answers, CommitNumber, CommitWord, GroupWord, KafkaError, LogReader, LogVisitor, MemberReader,
        Membership, OffsetSpec, PlaceAnswer, PortionedReader, QuestionId, ReadFrom,
        wire::{
            asked::{self, ANSWER_US, Asked},
            core::{consumer::Consumer, machine::Machine},
            reader::Shown,
        },
    },
    partitions::{PartitionSlot, TopicPartition},
    random::Random,
};

/// The name of the group.
pub(super) const GROUP: &str = "group";

/// The client, and its network.
pub(super) struct Client {
    consumer: Consumer,
    pub lines: Lines,
    asked: Asked,
    now_us: u64,
}

impl Client {
    pub(super) fn new(name: &str, plan: &Plan) -> Self {
        Self {
            consumer: Consumer::in_group(settings(name, plan), GROUP.into(), &table(plan)),
            lines: Lines::allowing(
                plan.weather,
                InFlight { produce: 0, fetch: plan.source.requests_at_once },
            ),
            asked: Asked::default(),
            now_us: 0,
        }
    }

    pub(super) fn handle_timeout(&mut self, now_us: u64) {
        self.now_us = now_us;
        self.consumer.handle_timeout(now_us);
    }

    pub(super) fn carry(&mut self, server: &mut Server, random: &mut Random) -> bool {
        self.lines.carry(&mut self.consumer, server, random)
    }

    pub(super) fn next_us(&self) -> u64 {
        let lines_us = self.lines.next_deadline_us().unwrap_or(u64::MAX);
        self.consumer.next_deadline_us(self.now_us).min(lines_us)
    }
}

/// What a member's two halves are made of.
#[derive(Clone)]
pub(super) struct Side {
    pub client: Rc<RefCell<Client>>,
    pub dealing: Rc<RefCell<Dealing>>,
    pub member: usize,
}

impl Membership for Side {
    fn word(&mut self) -> Option<GroupWord> {
        self.dealing.borrow_mut().word(self.member)
    }

    fn give_up(&mut self) {
        self.dealing.borrow_mut().give_up(self.member);
    }

    fn commit(&mut self, places: &[(TopicPartition, i64)]) -> Option<CommitNumber> {
        Some(self.dealing.borrow_mut().commit(self.member, places))
    }

    fn commit_word(&mut self) -> Option<CommitWord> {
        self.dealing.borrow_mut().commit_word(self.member)
    }

    async fn wait(&self, _limit: Duration) {}

    fn begin_leaving(&mut self) {}

    fn has_left(&mut self) -> bool {
        true
    }
}

impl LogReader for Side {
    fn read_from(&mut self, partition: PartitionSlot, place: ReadFrom) {
        let ReadFrom { offset, epoch_before, .. } = place;
        self.dealing.borrow_mut().read_from(self.member, partition.index(), offset);
        let client = &mut *self.client.borrow_mut();
        client.consumer.read_from(partition, offset, epoch_before, client.now_us);
    }

    fn stop(&mut self, partition: PartitionSlot) {
        self.client.borrow_mut().consumer.stop(partition);
    }

    fn poll(&mut self, visitor: &mut impl LogVisitor) -> usize {
        self.poll_at_most(usize::MAX, visitor)
    }

    async fn wait(&self, _limit: Duration) {}

    fn ask_offsets(&mut self, partitions: &[PartitionSlot], spec: OffsetSpec) -> QuestionId {
        let Client { consumer, asked, now_us, .. } = &mut *self.client.borrow_mut();
        let what = asked::what(spec, consumer.is_read_committed());
        asked.add(consumer.ask(partitions, what, *now_us + ANSWER_US, *now_us))
    }

    fn answers(&mut self, question: QuestionId) -> Option<Answers> {
        let Client { consumer, asked, .. } = &mut *self.client.borrow_mut();
        asked.take(question, |inner| consumer.questions().answers(inner))
    }
}

impl PortionedReader for Side {
    fn poll_at_most(&mut self, limit: usize, visitor: &mut impl LogVisitor) -> usize {
        let client = &mut *self.client.borrow_mut();
        client.consumer.show(limit, &mut Shown(visitor), client.now_us)
    }
}

impl MemberReader for Side {
    fn ask_place(&mut self, place: TopicPartition) {
        self.dealing.borrow_mut().ask_place(self.member, place);
        let client = &mut *self.client.borrow_mut();
        client.consumer.ask_place(place, client.now_us);
    }

    fn withdraw_place(&mut self, place: TopicPartition) {
        self.client.borrow_mut().consumer.withdraw_place(place);
    }

    fn place(&mut self) -> Option<PlaceAnswer> {
        let (place, answer) = self.client.borrow_mut().consumer.poll_place()?;
        if let Ok(committed) = answer {
            self.dealing.borrow_mut().placed(self.member, place, committed);
        }
        Some((place, answer.map_err(KafkaError::Broker)))
    }
}
