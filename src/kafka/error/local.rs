//! What a client says in the stead of a broker.

/// An error that the client itself made up: nobody was reached, or it was told to stop, or it cannot do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalError {
    /// The connection was lost, or could not be made.
    Transport,
    /// A broker's name has no address.
    Resolve,
    /// A record was not delivered in its time.
    RecordTimedOut,
    /// There was no answer in time.
    TimedOut,
    /// A request was not even sent in time.
    TimedOutInQueue,
    /// No broker of the cluster can be reached.
    AllBrokersDown,
    /// The client takes no more records for now.
    QueueFull,
    /// Another call is under way, or the client is between two states: the same call may succeed later.
    State(&'static str),
    /// The client is looking for a broker, a coordinator or a topic, under this name of its own.
    InBetween(&'static str),
    /// The cluster's answer does not list the topic.
    UnknownTopic,
    /// The cluster's answer does not list the partition.
    UnknownPartition,
    /// An argument that the client does not take.
    InvalidArgument,
    /// A codec, a format or a protocol that the client does not know.
    NotImplemented(&'static str),
    /// The brokers, or the client, have no such request.
    Unsupported,
    /// A record was refused because of another one of its batch.
    DifferentRecord,
    /// TLS.
    Tls,
    /// Who we are was not believed.
    Authentication,
    /// Another producer has the transactional id.
    Fenced,
    /// The record was waiting when the client was told to let go of it.
    PurgedInQueue,
    /// The record was sent, and not answered, when the client was told to let go of it.
    PurgedInFlight,
    /// The client, or what it knew of the topic, went.
    Destroyed,
    /// The client is finished.
    Fatal,
    /// There is no offset where one was asked for.
    NoOffset,
    /// No coordinator knows the group.
    UnknownGroup,
    /// An answer that cannot be taken apart.
    BadMessage,
    /// Anything else, under the client's own name for it.
    Other(&'static str),
}

impl LocalError {
    /// Its name, in the manner of Kafka's own.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transport => "TRANSPORT",
            Self::Resolve => "RESOLVE",
            Self::RecordTimedOut => "RECORD_TIMED_OUT",
            Self::TimedOut => "TIMED_OUT",
            Self::TimedOutInQueue => "TIMED_OUT_IN_QUEUE",
            Self::AllBrokersDown => "ALL_BROKERS_DOWN",
            Self::QueueFull => "QUEUE_FULL",
            Self::State(name) | Self::InBetween(name) | Self::NotImplemented(name) | Self::Other(name) => {
                name
            }
            Self::UnknownTopic => "UNKNOWN_TOPIC",
            Self::UnknownPartition => "UNKNOWN_PARTITION",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::Unsupported => "UNSUPPORTED",
            Self::DifferentRecord => "DIFFERENT_RECORD",
            Self::Tls => "TLS",
            Self::Authentication => "AUTHENTICATION",
            Self::Fenced => "FENCED",
            Self::PurgedInQueue => "PURGED_IN_QUEUE",
            Self::PurgedInFlight => "PURGED_IN_FLIGHT",
            Self::Destroyed => "DESTROYED",
            Self::Fatal => "FATAL",
            Self::NoOffset => "NO_OFFSET",
            Self::UnknownGroup => "UNKNOWN_GROUP",
            Self::BadMessage => "BAD_MESSAGE",
        }
    }

    /// What it means, in a few words.
    #[must_use]
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Transport => "the connection to the broker was lost or could not be made",
            Self::Resolve => "the broker's host name could not be resolved",
            Self::RecordTimedOut => "the record was not delivered in time",
            Self::TimedOut => "no answer in time",
            Self::TimedOutInQueue => "the request was not sent in time",
            Self::AllBrokersDown => "no broker of the cluster can be reached",
            Self::QueueFull => "the client's queue is full",
            Self::State(_) => "the client is not in the state for this",
            Self::InBetween(_) => "the client is waiting for the cluster",
            Self::UnknownTopic => "the cluster does not list the topic",
            Self::UnknownPartition => "the cluster does not list the partition",
            Self::InvalidArgument => "an argument is out of range",
            Self::NotImplemented(_) => "the client does not know this codec, format or protocol",
            Self::Unsupported => "the brokers, or the client, have no such request",
            Self::DifferentRecord => "another record of the batch was refused",
            Self::Tls => "TLS failed",
            Self::Authentication => "authentication failed",
            Self::Fenced => "another producer has the transactional id",
            Self::PurgedInQueue => "the client gave up the record before it was sent",
            Self::PurgedInFlight => "the client gave up the record before it was answered",
            Self::Destroyed => "the client, or its view of the topic, is gone",
            Self::Fatal => "the client is finished",
            Self::NoOffset => "no offset is known",
            Self::UnknownGroup => "no coordinator knows the group",
            Self::BadMessage => "the answer cannot be decoded",
            Self::Other(_) => "the client failed",
        }
    }

    /// One of each.
    #[cfg(test)]
    pub(super) const ALL: [Self; 26] = [
        Self::Transport,
        Self::Resolve,
        Self::RecordTimedOut,
        Self::TimedOut,
        Self::TimedOutInQueue,
        Self::AllBrokersDown,
        Self::QueueFull,
        Self::State("STATE"),
        Self::InBetween("WAIT"),
        Self::UnknownTopic,
        Self::UnknownPartition,
        Self::InvalidArgument,
        Self::NotImplemented("NOT_IMPLEMENTED"),
        Self::Unsupported,
        Self::DifferentRecord,
        Self::Tls,
        Self::Authentication,
        Self::Fenced,
        Self::PurgedInQueue,
        Self::PurgedInFlight,
        Self::Destroyed,
        Self::Fatal,
        Self::NoOffset,
        Self::UnknownGroup,
        Self::BadMessage,
        Self::Other("OTHER"),
    ];
}
