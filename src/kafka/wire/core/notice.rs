//! What a client has to say of its connections, beside what it was asked for: who is in the way, and what was sent.

use std::fmt;

use super::connection::ConnectionError;
use crate::{
    human::{count, counted},
    kafka::{KafkaError, wire::protocol::Api},
};

/// A broker, as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerName {
    /// `host:port`; an IPv6 address has brackets.
    pub address: String,
    /// Its id, where the cluster has named it.
    pub id: Option<i32>,
}

impl BrokerName {
    /// One that listens there.
    #[must_use]
    pub(crate) fn new(host: &str, port: u16, id: Option<i32>) -> Self {
        let is_v6 = host.contains(':') && !host.starts_with('[');
        let address = if is_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { address, id: id.filter(|id| *id >= 0) }
    }
}

impl fmt::Display for BrokerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)?;
        self.id.map_or(Ok(()), |id| write!(formatter, "/{id}"))
    }
}

/// Something that is worth a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A connection could not be opened, or is over, and not because we wanted that.
    Trouble {
        /// With whom.
        broker: BrokerName,
        /// Why.
        error: ConnectionError,
        /// The broker had said before what it speaks.
        was_ready: bool,
    },
    /// A broker has answered, and reads nothing for a while.
    Throttled {
        /// Which one.
        broker: BrokerName,
        /// What it has answered.
        api: Api,
        /// For how long, ms.
        for_ms: u32,
    },
    /// A request was answered. Only where that was asked for.
    Answered(Answered),
}

/// A request, and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// By whom.
    pub broker: BrokerName,
    /// What was asked.
    pub api: Api,
    /// In which version.
    pub version: i16,
    /// How large both were, and how long it took.
    pub size: Size,
    /// The first error in it, or 0.
    pub error: i16,
}

/// The extent of a request and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Partitions that it is about; 0 where it is not about partitions.
    pub partitions: usize,
    /// Bytes of the request.
    pub request_bytes: usize,
    /// Bytes of the answer.
    pub response_bytes: usize,
    /// From the one to the other, µs.
    pub took_us: u64,
}

impl fmt::Display for Answered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, api, version, size, error } = self;
        let Size { partitions, request_bytes, response_bytes, took_us } = *size;
        write!(formatter, "broker {broker}: {api} v{version}, ")?;
        if partitions > 0 {
            write!(formatter, "{}, ", count(partitions as u64, "partition"))?;
        }
        let (sent, received) =
            (counted(request_bytes as u64, "B sent"), counted(response_bytes as u64, "B received"));
        write!(formatter, "{sent}, {received}")?;
        write!(formatter, ", {}.{:03} ms", took_us / 1_000, took_us % 1_000)?;
        if *error == 0 { Ok(()) } else { write!(formatter, ": {}", KafkaError::Broker(*error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line() {
        let size = Size { partitions: 8, request_bytes: 131_072, response_bytes: 812, took_us: 3_104 };
        let broker = BrokerName::new("b", 9092, Some(1));
        let mut answered = Answered { broker, api: Api::Produce, version: 12, size, error: 0 };
        let line = "broker b:9092/1: Produce v12, 8 partitions, 131,072 B sent, 812 B received, 3.104 ms";
        assert_eq!(answered.to_string(), line);
        (answered.error, answered.size.partitions) = (6, 0);
        assert!(
            answered
                .to_string()
                .ends_with("ms: the broker does not lead the partition (NOT_LEADER_OR_FOLLOWER)")
        );
        assert!(!answered.to_string().contains("partitions"));
    }

    #[test]
    fn an_address_is_written_as_people_do() {
        assert_eq!(BrokerName::new("fe80::1", 9, Some(-1)).to_string(), "[fe80::1]:9");
        assert_eq!(BrokerName::new("b", 9, None).to_string(), "b:9");
    }
}
