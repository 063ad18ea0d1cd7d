//! What is expected of each kind of broker.

use super::Kind;

/// An answer, and where it is another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    usual: &'static str,
    others: [Option<(Kind, &'static str)>; 2],
}

impl From<&'static str> for Expected {
    /// Everywhere.
    fn from(usual: &'static str) -> Self {
        Self { usual, others: [None; 2] }
    }
}

/// On Kafka 4.1, and elsewhere unless something else is said.
pub(super) fn usually(usual: &'static str) -> Expected {
    usual.into()
}

impl Expected {
    /// But on Kafka 3.9 this, because of that.
    pub(crate) fn on_3_9(self, answer: &'static str, _reason: &'static str) -> Self {
        self.but(Kind::Kafka39, answer)
    }

    /// But from librdkafka's mock this, because of that.
    pub(crate) fn on_mock(self, answer: &'static str, _reason: &'static str) -> Self {
        self.but(Kind::Mock, answer)
    }

    fn but(mut self, kind: Kind, answer: &'static str) -> Self {
        let free = self.others.iter_mut().find(|other| other.is_none());
        *free.expect("each kind once") = Some((kind, answer));
        self
    }

    pub(crate) fn of(&self, kind: Kind) -> &'static str {
        let other = self.others.iter().flatten().find(|(other, _)| *other == kind);
        other.map_or(self.usual, |(_, answer)| answer)
    }
}
