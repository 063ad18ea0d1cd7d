//! Belonging to a group, by a client that need not read anything.

use std::time::Duration;

use crate::{kafka::KafkaError, partitions::TopicPartition};

/// How often a member commits, far below the contract's 5 s.
pub(crate) const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long a commit may stay without an answer before the next one is sent.
pub(crate) const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// Commits of a member, counted in the order in which they are sent; 0 is none.
pub(crate) type CommitNumber = u64;

/// What the group has to say to a member. Topics are those of the table that it subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupWord {
    /// These partitions are this member's from now on, beside those that it has. Where the group has consumed each up to, the group is
    /// to be asked.
    Assigned(Vec<TopicPartition>),
    /// These are not, and others wait for them until [`Membership::give_up`].
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// Others may have them already: nothing can be committed any more.
        is_lost: bool,
    },
    /// The group does not take the member in. It asks again by itself.
    Refused(KafkaError),
    /// Something went wrong. It is tried again.
    Trouble(KafkaError),
}

/// What the group has to say to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitWord {
    /// Of one of its partitions: the offset that the group knows of now, or why it does not.
    Place(CommitNumber, TopicPartition, Result<i64, KafkaError>),
    /// Nothing follows to this commit, whatever was said.
    Over(CommitNumber),
}

/// A member of a group, used by one shard. Nothing of what it does waits for a broker, but for [`Self::wait`].
#[allow(
    async_fn_in_trait,
    reason = "a member stays on the thread of its shard: no future of it is ever sent"
)]
pub(crate) trait Membership {
    /// The next word of the group's; `None`: there is none for now. To be called often: a group takes a member for dead that does not.
    fn word(&mut self) -> Option<GroupWord>;

    /// What was revoked last is not read any more, and what was consumed of it has been committed.
    fn give_up(&mut self);

    /// Commits places: below them everything was consumed. Returns by which number [`Self::commit_word`] knows it; `None` where
    /// nothing was sent.
    fn commit(&mut self, places: &[(TopicPartition, i64)]) -> Option<CommitNumber>;

    /// The next word on commits; `None`: there is none for now.
    fn commit_word(&mut self) -> Option<CommitWord>;

    /// Waits until there may be a word, but not longer than `limit`. It may be cancelled. What the worker's other clients have wakes
    /// it, too.
    async fn wait(&self, limit: Duration);

    /// Begins to leave the group; owns nothing any more.
    fn begin_leaving(&mut self);

    /// Whether the group has been left. Words are to be taken meanwhile.
    fn has_left(&mut self) -> bool;
}
