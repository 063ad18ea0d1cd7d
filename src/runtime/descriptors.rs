//! File descriptors: how many a run needs, and whether it can have them.
//!
//! A client that finds none left says so in its own log only, and its brokers look gone; a ledger that finds none loses
//! acks. So the soft limit is raised to the hard one, and what is needed is worked out before anything is done.

use std::io;

use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use thiserror::Error;

/// What a client of librdkafka's has open for each broker: a connection, and both ends of a pipe that wakes its thread. The
/// broker that it was started with may be another one to it than the one that the cluster names.
const OF_BROKER: u64 = 3;
/// Its own pipe, and the socket pair that wakes its shard.
const OF_CLIENT: u64 = 4;
/// What a client of our own has open for each broker: a connection for records, and one for questions.
const OF_BROKER_OURS: u64 = 2;
/// What is needed beside a run's clients: the standard three, the control port and its loop, signals, and the files that
/// are written at a time.
const OF_PROCESS: u64 = 48;
/// Rings, timers and wake-ups of an executor.
const OF_SHARD: u64 = 16;
/// Requests on the control port that must be possible at a time, and how many there may be at most.
const FEWEST_CONNECTIONS: u64 = 16;
const MOST_CONNECTIONS: u64 = 128;

/// There are not enough.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "this run may need {needed} file descriptors, for {clients} clients with connections to {brokers} broker(s), and the \
     limit is {limit}: run `ulimit -n {needed}` first, in Docker `--ulimit nofile={needed}`, in a systemd unit \
     `LimitNOFILE={needed}`, or ask for fewer readers, members or workers"
)]
pub(crate) struct TooFew {
    /// How many the run needs.
    pub needed: u64,
    /// Of how many clients, at one time.
    pub clients: usize,
    /// With how many brokers.
    pub brokers: usize,
    /// How many it can have.
    pub limit: u64,
}

/// What a run opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Clients at one time.
    pub clients: usize,
    /// They are our own, which have connections and nothing else.
    pub ours: bool,
    /// So many of our own are there beside them.
    pub ours_beside: usize,
    /// How many of these talk to a coordinator, over a connection of its own.
    pub coordinated: usize,
    /// Brokers of the cluster, as far as they are known.
    pub brokers: usize,
    /// Executors.
    pub shards: usize,
    /// The brokers are in this process, which has both ends of each connection.
    pub embedded: bool,
}

impl Wanted {
    /// Descriptors that all of it takes.
    pub(crate) fn descriptors(&self) -> u64 {
        let many = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        // The observer, and what a shard has beside its clients: one that takes another's place, or looks into silence.
        let clients = many(self.clients).saturating_add(many(self.shards)).saturating_add(1);
        let connections = many(self.brokers).saturating_add(1);
        let of_client = |ours: bool| {
            let there = if self.embedded { connections.saturating_mul(if ours { 2 } else { 1 }) } else { 0 };
            let here = if ours {
                connections.saturating_mul(OF_BROKER_OURS)
            } else {
                connections.saturating_mul(OF_BROKER).saturating_add(OF_CLIENT)
            };
            here.saturating_add(there)
        };
        clients
            .saturating_mul(of_client(self.ours))
            .saturating_add(many(self.ours_beside).saturating_mul(of_client(true)))
            .saturating_add(many(self.coordinated).saturating_mul(OF_BROKER))
            .saturating_add(many(self.shards).saturating_mul(OF_SHARD))
            .saturating_add(OF_PROCESS)
    }

    /// How many connections the control port may have beside that.
    ///
    /// # Errors
    /// Not all of it can be open at one time.
    pub(crate) fn check(&self, limit: u64) -> Result<usize, TooFew> {
        let needed = self.descriptors().saturating_add(FEWEST_CONNECTIONS);
        if needed > limit {
            let clients = self.clients.saturating_add(self.ours_beside);
            return Err(TooFew { needed, clients, brokers: self.brokers, limit });
        }
        let connections = (limit - needed).saturating_add(FEWEST_CONNECTIONS).min(MOST_CONNECTIONS);
        Ok(usize::try_from(connections).unwrap_or(usize::MAX))
    }
}

/// Raises the soft limit to the hard one, and returns what it is then.
#[must_use]
pub(crate) fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// What to do about an error that says that there are none left, if it does.
#[must_use]
pub(crate) fn advice(error: &io::Error) -> Option<String> {
    match error.raw_os_error().map(Errno::from_raw)? {
        Errno::EMFILE => Some(format!(
            "raise the limit on file descriptors, of which this process may have {} (ulimit -n), or ask for fewer readers, \
             members or workers",
            limit()
        )),
        Errno::ENFILE => Some("this machine has no file descriptors left: raise fs.file-max".to_owned()),
        _ => None,
    }
}

/// An error in words, with what to do about it where it says that there are no descriptors left.
#[must_use]
pub(crate) fn explained(error: &io::Error) -> String {
    advice(error).map_or_else(|| error.to_string(), |advice| format!("{error}: {advice}"))
}

/// How many this process may have now.
#[must_use]
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a run had open on a cluster of one broker, with two shards: 989 with 120 members, 189 with 20 (which had a
    /// coordinator), 417 with 64 readers.
    #[test]
    fn what_was_counted_is_enough_and_not_much_too_much() {
        let wanted = |clients, coordinated| {
            Wanted {
                clients,
                ours: false,
                ours_beside: 0,
                coordinated,
                brokers: 1,
                shards: 2,
                embedded: false,
            }
            .descriptors()
        };
        for (clients, coordinated, seen) in [(120, 120, 989), (20, 20, 189), (64, 0, 417)] {
            let found = wanted(clients, coordinated);
            assert!((seen..2 * seen + 100).contains(&found), "{clients}: {found}, seen {seen}");
        }
    }

    /// On one broker and two shards 64 clients of our own had 154 open, a producer 30.
    #[test]
    fn clients_of_our_own_need_less() {
        let wanted = |clients, ours| {
            Wanted { clients, ours, ours_beside: 0, coordinated: 0, brokers: 1, shards: 2, embedded: false }
                .descriptors()
        };
        for (clients, seen) in [(64, 154), (2, 30)] {
            assert!((seen..2 * seen + 100).contains(&wanted(clients, true)), "{clients}");
            assert!(wanted(clients, true) < wanted(clients, false));
        }
    }

    #[test]
    fn what_is_missing_is_said_with_the_number() {
        let wanted = Wanted {
            clients: 64,
            ours: false,
            ours_beside: 0,
            coordinated: 0,
            brokers: 3,
            shards: 2,
            embedded: false,
        };
        let error = wanted.check(256).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("ulimit -n {}", error.needed)) && text.contains("limit is 256"),
            "{text}"
        );
        assert_eq!(wanted.check(error.needed), Ok(16), "just enough, and the port is narrow");
        assert_eq!(wanted.check(error.needed + 50), Ok(66));
        assert_eq!(wanted.check(1 << 20), Ok(128));
    }

    #[test]
    fn an_error_that_says_that_none_are_left_is_explained_with_the_number() {
        let text = explained(&io::Error::from_raw_os_error(24));
        let said = format!("of which this process may have {} (ulimit -n)", limit());
        assert!(text.starts_with("Too many open files") && text.contains(&said), "{text}");
        assert!(explained(&io::Error::from_raw_os_error(23)).contains("fs.file-max"));
        assert_eq!(advice(&io::Error::from_raw_os_error(28)), None);
    }

    #[test]
    fn numbers_beyond_all_bounds_are_refused_and_do_not_wrap() {
        let wanted = Wanted {
            clients: usize::MAX,
            ours: false,
            ours_beside: usize::MAX,
            coordinated: usize::MAX,
            brokers: 9,
            shards: 9,
            embedded: true,
        };
        assert!(wanted.check(1 << 30).is_err());
    }
}
