//! A membership that a test plays: it says what the test tells it, and keeps what it is asked to do.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use crate::{
    kafka::{CommitNumber, CommitWord, GroupWord, KafkaError, Membership},
    partitions::TopicPartition,
};

/// What has happened, and what is to happen.
#[derive(Default)]
pub(crate) struct Memberships {
    /// What the group says next.
    pub(crate) words: VecDeque<GroupWord>,
    /// What it says of commits next.
    pub(crate) commit_words: VecDeque<CommitWord>,
    /// What was committed: by number, partition and offset.
    pub(crate) commits: Vec<Vec<(i32, i64)>>,
    /// How often something revoked was given up, and how many commits had been sent by then.
    pub(crate) given_up: Vec<usize>,
    /// Commits cannot be sent.
    pub(crate) refuses_commits: bool,
    /// The group is being left.
    pub(crate) is_leaving: bool,
    /// And has been.
    pub(crate) has_left: bool,
}

impl Memberships {
    /// These partitions of the only topic are the member's.
    pub(crate) fn assign(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.words.push_back(GroupWord::Assigned(partitions.into_iter().map(at).collect()));
    }

    /// These are not any more.
    pub(crate) fn revoke(&mut self, partitions: impl IntoIterator<Item = i32>, is_lost: bool) {
        let partitions = partitions.into_iter().map(at).collect();
        self.words.push_back(GroupWord::Revoked { partitions, is_lost });
    }

    /// A commit is answered, of all its partitions.
    pub(crate) fn answer(&mut self, number: CommitNumber, error: Option<KafkaError>) {
        let index = usize::try_from(number).expect("few commits") - 1;
        for (partition, offset) in self.commits[index].clone() {
            let result = error.map_or(Ok(offset), Err);
            self.commit_words.push_back(CommitWord::Place(number, at(partition), result));
        }
        self.commit_words.push_back(CommitWord::Over(number));
    }
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: 0, partition }
}

/// Such a membership.
pub(crate) struct PlayedMembership(pub(crate) Rc<RefCell<Memberships>>);

impl Membership for PlayedMembership {
    fn word(&mut self) -> Option<GroupWord> {
        self.0.borrow_mut().words.pop_front()
    }

    fn give_up(&mut self) {
        let mut known = self.0.borrow_mut();
        let commits = known.commits.len();
        known.given_up.push(commits);
    }

    fn commit(&mut self, places: &[(TopicPartition, i64)]) -> Option<CommitNumber> {
        let mut known = self.0.borrow_mut();
        if known.refuses_commits {
            return None;
        }
        known.commits.push(places.iter().map(|(place, offset)| (place.partition, *offset)).collect());
        Some(known.commits.len() as u64)
    }

    fn commit_word(&mut self) -> Option<CommitWord> {
        self.0.borrow_mut().commit_words.pop_front()
    }

    async fn wait(&self, limit: Duration) {
        glommio::timer::sleep(limit.min(Duration::from_millis(1))).await;
    }

    fn begin_leaving(&mut self) {
        self.0.borrow_mut().is_leaving = true;
    }

    fn has_left(&mut self) -> bool {
        self.0.borrow().has_left
    }
}
