//! What is found out about a run before it does anything: no topic is created, no file touched, no port bound.

use super::read::{checker, group::group_reader};
use crate::{
    app::error::RunError,
    config::{Brokers, ClientKind, Compression, LatestChecks, NewTopic, ProduceConfig, VerifierConfig},
    kafka::{
        ClientError, ClientSettings, Librdkafka, Observer, ReaderSettings, TopicError, TransactionSettings,
        WriterSettings, wire,
    },
    ledger::{LatestNeed, LedgerError, LedgerFolder, LedgerStore, Ledgers, files::Claim},
    runtime::{
        cores::cpu_set::CpuSet,
        descriptors::{self, TooFew, Wanted},
        pages,
    },
};

/// Any group's name.
const SOME_GROUP: &str = "g";

/// A run that nothing stands in the way of, as far as can be told on this machine.
pub(crate) struct Trial<'a> {
    config: &'a VerifierConfig,
    /// Partitions that the ledger lists.
    listed: usize,
    /// Everybody works at the same time.
    is_at_once: bool,
    /// Descriptors that the process may have.
    limit: u64,
    /// Connections that the control port may have, as far as the brokers are known.
    pub(crate) port: usize,
    /// What the producer of a slice holds while it is at work.
    _claim: Option<Claim>,
}

impl<'a> Trial<'a> {
    /// Looks at settings, files and limits; `shards` is how many there may be at most.
    ///
    /// # Errors
    /// What stands in the way.
    pub(crate) fn of(config: &'a VerifierConfig, cpus: &CpuSet, shards: usize) -> Result<Self, RunError> {
        let (listed, claim) = ledger(config)?;
        Ok(Self { _claim: claim, ..Self::with_ledger(config, cpus, shards, (listed, false))? })
    }

    /// The same of a run that keeps its ledger to itself, nothing of which lies anywhere, and in which everybody works at the same
    /// time.
    ///
    /// # Errors
    /// What stands in the way.
    pub(crate) fn without_ledger(
        config: &'a VerifierConfig,
        cpus: &CpuSet,
        shards: usize,
    ) -> Result<Self, RunError> {
        Self::with_ledger(config, cpus, shards, (0, true))
    }

    fn with_ledger(
        config: &'a VerifierConfig,
        cpus: &CpuSet,
        shards: usize,
        (listed, is_at_once): (usize, bool),
    ) -> Result<Self, RunError> {
        clients(config, cpus)?;
        let mut trial =
            Self { config, listed, is_at_once, limit: descriptors::raise(), port: 0, _claim: None };
        trial.port = trial.connections(config.common.brokers.listed(), shards)?;
        let members = config.group_read.as_ref().map_or(0, |group| group.members.get());
        let random = config.rand_read.as_ref().map_or(0, |random| random.readers);
        match config.common.client.kind {
            ClientKind::Wire => pages::do_without(),
            ClientKind::Librdkafka => pages::fit_for(members.max(random).max(shards)),
        }
        Ok(trial)
    }

    /// How many connections the control port may have beside all that the run opens, with so many brokers.
    ///
    /// # Errors
    /// There are not enough descriptors for the run.
    pub(crate) fn connections(&self, brokers: usize, shards: usize) -> Result<usize, RunError> {
        Ok(connections(self.config, brokers, shards, (self.limit, self.is_at_once))?)
    }

    /// How to make the topic, if it is missing and may be made.
    ///
    /// # Errors
    /// The cluster has more brokers than there are descriptors for.
    pub(crate) fn new_topic(
        &self,
        observer: &Observer,
        shards: usize,
    ) -> Result<Option<&'a NewTopic>, RunError> {
        let Some(new) = &self.config.common.new_topic else { return Ok(None) };
        // Where nobody answers, nothing is created either.
        if let Some(brokers) = observer.count_brokers() {
            self.connections(brokers, shards)?;
        }
        Ok(Some(new).filter(|new| new.partitions >= self.listed))
    }

    /// A topic that was left missing, because it would have had too few partitions for its ledger.
    pub(crate) fn explain(&self, error: TopicError) -> RunError {
        let Self { config, .. } = self;
        let store = LedgerStore::of(&config.ledger_dir, &config.topic, config.producing_slice());
        match (&error, &self.config.common.new_topic) {
            (TopicError::Missing { .. }, Some(new)) => store
                .check_partitions(store.path(), self.listed, new.partitions)
                .map_or_else(RunError::from, |()| error.into()),
            _ => error.into(),
        }
    }
}

/// Whether the clients that the run is going to make can be made of its settings.
fn clients(config: &VerifierConfig, cpus: &CpuSet) -> Result<(), ClientError> {
    let client = ClientSettings::new(&config.common, "");
    let librdkafka = Librdkafka::new(client.clone(), cpus.clone());
    let isolation = checker::isolation(config.proof);
    if config.common.client.kind == ClientKind::Wire {
        wire_clients(config)?;
    } else {
        let reader = |read_ahead| ReaderSettings { read_ahead, ..ReaderSettings::here_and_there(isolation) };
        if let Some(produce) = &config.produce {
            librdkafka.try_writer(&writer(&client, produce))?;
        }
        if config.rand_read.is_some() {
            librdkafka.try_reader(&reader(false))?;
        }
        if config.seq_read.is_some() {
            librdkafka.try_reader(&reader(true))?;
        }
    }
    // That members are in a group is librdkafka's business, whoever reads for them.
    let Some(group) = &config.group_read else { return Ok(()) };
    librdkafka.try_member(&group_reader::settings(&client, group, SOME_GROUP.to_owned(), isolation))
}

/// The same for clients of our own, whose settings are all that there is to find out.
fn wire_clients(config: &VerifierConfig) -> Result<(), ClientError> {
    let client = ClientSettings::new(&config.common, config.common.brokers.to_try());
    wire::security::try_out(&client)?;
    if let Some(produce) = &config.produce {
        wire::settings::sink(&client, &writer(&client, produce))?;
    }
    let isolation = checker::isolation(config.proof);
    wire::settings::consumer(&client, &ReaderSettings::here_and_there(isolation)).map(drop)
}

fn writer(client: &ClientSettings, config: &ProduceConfig) -> WriterSettings {
    WriterSettings {
        linger: config.linger,
        batch_max_bytes: config.batch_max_bytes,
        max_buffered_records: config.max_buffered_records,
        compression: Compression::None,
        transactions: config
            .transactions
            .map(|rules| TransactionSettings { id: client.client_id.clone(), timeout: rules.timeout }),
    }
}

/// Whether the ledger can be read, and written where that is needed; nobody else may write it. Returns how many partitions
/// the topic must have.
fn ledger(config: &VerifierConfig) -> Result<(usize, Option<Claim>), LedgerError> {
    if matches!(config.common.brokers, Brokers::Embedded { .. }) {
        // Its ledgers begin and end with it.
        return Ok((0, None));
    }
    let latest = match (config.proof.latest_values, &config.produce) {
        (LatestChecks::Never, _) => LatestNeed::Ignored,
        (_, Some(_)) => LatestNeed::Written,
        (_, None) => LatestNeed::Read,
    };
    let (dir, topic, slice) = (&config.ledger_dir, &config.topic, config.producing_slice());
    let ledgers = Ledgers::of(dir, topic, slice, config.produce.is_some());
    let listed = ledgers.inspect(latest)?;
    let Ledgers::Own(store) = ledgers else { return Ok((listed, None)) };
    let claim = LedgerFolder::new(dir, topic).claim(slice)?;
    store.probe()?;
    Ok((listed, claim))
}

fn connections(
    config: &VerifierConfig,
    brokers: usize,
    shards: usize,
    (limit, is_at_once): (u64, bool),
) -> Result<usize, TooFew> {
    let members = config.group_read.as_ref().map_or(0, |group| group.members.get());
    let random = config.rand_read.as_ref().map_or(0, |random| random.readers);
    let in_transactions = config.produce.as_ref().is_some_and(|produce| produce.transactions.is_some());
    let ours = config.common.client.kind == ClientKind::Wire;
    // Of our own client those of a shard share the connections.
    let random = if ours { random.min(shards) } else { random };
    let wanted = |clients, ours, coordinated| Wanted {
        clients,
        ours,
        ours_beside: 0,
        coordinated,
        brokers,
        shards,
        embedded: matches!(config.common.brokers, Brokers::Embedded { .. }),
    };
    let transactional = if in_transactions { shards } else { 0 };
    let ours_of = |clients: usize| if ours { clients } else { 0 };
    if is_at_once && members > 0 {
        // A member's membership is librdkafka's, whoever reads for it.
        let (ours, others) = (ours_of(members + shards), members + shards - ours_of(shards));
        let all = Wanted { ours_beside: ours, ..wanted(others, false, members + transactional) };
        return all.check(limit);
    }
    // One kind of work follows the other.
    let kinds = [
        Wanted { ours_beside: ours_of(members), ..wanted(members, false, members) },
        wanted(random, ours, 0),
        wanted(shards, ours, transactional),
    ];
    // The largest says what there is room for beside it.
    kinds
        .iter()
        .max_by_key(|wanted| wanted.descriptors())
        .map_or(Ok(usize::MAX), |largest| largest.check(limit))
}
