//! The parts that both programs have.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU64,
    time::Duration,
};

use super::{
    super::{
        common::{
            BatchArgs, ClusterArgs, ControlArgs, EndArgs, OutputArgs, PlacementArgs, SecurityArgs,
            TransactionArgs,
        },
        error::UsageError,
        values::{OrOff, digits, whole},
    },
    client, connection,
    contradictions::{self, Uses},
};
use crate::config::{
    Brokers, CommonConfig, Fill, Limits, LogFormat, NewTopic, ProgressMode, StartupTimeout,
    TransactionConfig, Verbosity,
};

/// Of a topic that we create.
const DEFAULT_PARTITIONS: usize = 8;
const MAX_EMBEDDED_BROKERS: i128 = 100;
const DEFAULT_BROKERS: &str = "localhost:9092";

/// The groups of flags that make a [`CommonConfig`].
pub(super) struct Groups<'a> {
    pub(super) cluster: &'a ClusterArgs,
    pub(super) security: &'a SecurityArgs,
    pub(super) placement: &'a PlacementArgs,
    pub(super) control: &'a ControlArgs,
    pub(super) end: &'a EndArgs,
    pub(super) output: &'a OutputArgs,
}

pub(super) fn common(
    groups: &Groups<'_>,
    client_id: String,
    metadata_max_age: Duration,
    uses: &Uses<'_>,
) -> Result<CommonConfig, UsageError> {
    let Groups { cluster, security, placement, control, end, output } = groups;
    let (mut settings, given) = (connection::client_settings(cluster)?, connection::on_command_line(cluster));
    let listed = contradictions::take_brokers(&mut settings, cluster.brokers.as_deref(), &given)?;
    let brokers = brokers(cluster.brokers.as_deref().or(listed.as_deref()).unwrap_or(DEFAULT_BROKERS))?;
    let settings = contradictions::check(&settings, &given, uses)?;
    Ok(CommonConfig {
        client: client::pick(cluster.client, &settings.kept)?,
        new_topic: new_topic(cluster, &brokers, placement.print_placement)?,
        brokers,
        security: connection::security(security)?,
        client_settings: settings.kept,
        weaker: settings.weaker,
        token: control
            .token_file
            .as_deref()
            .map(|file| connection::secret("token-file", file))
            .transpose()?,
        allowed_hosts: control.allow_host.clone(),
        new_topic_partitions: cluster.partitions.unwrap_or(DEFAULT_PARTITIONS),
        client_id,
        cores: placement.cores.clone(),
        client_threads: placement.client_threads,
        print_placement: placement.print_placement,
        startup_timeout: StartupTimeout::new(cluster.startup_timeout),
        metadata_max_age,
        remote: control.remote,
        remote_port: control.remote_port,
        bind: control.bind.unwrap_or_else(|| default_bind(control.remote)),
        verbosity: verbosity(output),
        log_format: output.log_format,
        progress: progress(output)?,
        color: output.color,
        status_schema: control.status_schema,
        stall_after: Some(output.stall_after).filter(|limit| !limit.is_zero()),
        report: output.report.clone(),
        limits: Limits {
            require_complete: end.require_complete,
            duration: end.duration,
            deadline: end.deadline,
            max_outage: end.max_outage,
        },
        warnings: Vec::new(),
        flags: BTreeMap::new(),
    })
}

/// A log of JSON has no place for a line that changes.
fn progress(output: &OutputArgs) -> Result<ProgressMode, UsageError> {
    if output.progress == ProgressMode::Bar && output.log_format == LogFormat::Json {
        return Err(UsageError::flag(
            "progress",
            "bar cannot be used with --log-format json: give lines or never",
        ));
    }
    Ok(output.progress)
}

/// On an embedded cluster the topic appears by itself: there the flags ask for nothing.
fn new_topic(
    cluster: &ClusterArgs,
    brokers: &Brokers,
    prints_placement: bool,
) -> Result<Option<NewTopic>, UsageError> {
    let asked = [
        ("partitions", cluster.partitions.is_some()),
        ("replication-factor", cluster.replication_factor.is_some()),
        ("topic-config", !cluster.topic_config.is_empty()),
    ];
    let embedded = matches!(brokers, Brokers::Embedded { .. });
    if let Some((flag, _)) =
        asked.into_iter().find(|(_, asked)| *asked && !cluster.create_topic && !embedded && !prints_placement)
    {
        return Err(UsageError::flag(flag, "needs --create-topic as well"));
    }
    Ok((cluster.create_topic && !embedded).then(|| NewTopic {
        partitions: cluster.partitions.unwrap_or(DEFAULT_PARTITIONS),
        replication_factor: cluster.replication_factor,
        config: cluster.topic_config.clone(),
    }))
}

/// A harness polls from another machine; anybody else should not have to know of the port.
fn default_bind(remote: bool) -> IpAddr {
    if remote { Ipv4Addr::UNSPECIFIED.into() } else { Ipv4Addr::LOCALHOST.into() }
}

fn verbosity(output: &OutputArgs) -> Verbosity {
    match (output.trace, output.debug) {
        (true, _) => Verbosity::Trace,
        (false, true) => Verbosity::Debug,
        (false, false) => Verbosity::Normal,
    }
}

/// The embedded cluster shows everybody what was aborted, which no cluster may.
pub(super) fn check_aborts(brokers: &Brokers, args: &TransactionArgs) -> Result<(), UsageError> {
    let aborts = args.use_transactions && args.transaction_abort_rate > 0.0;
    if aborts && matches!(brokers, Brokers::Embedded { .. }) {
        let what = "0 with --brokers embedded, which does not hide what was aborted";
        return Err(UsageError::value("transaction-abort-rate", args.transaction_abort_rate, what));
    }
    Ok(())
}

pub(super) fn transactions(args: &TransactionArgs) -> Option<TransactionConfig> {
    args.use_transactions.then_some(TransactionConfig {
        timeout: args.transaction_timeout_ms,
        messages: args.msgs_per_transaction,
        abort_rate: args.transaction_abort_rate,
    })
}

/// Zeros win over random bytes, as the flag that asks for them says what the payload is for.
pub(super) fn fill(batch: &BatchArgs, random_bytes: bool) -> Fill {
    match (batch.compressible_payload, random_bytes) {
        (true, _) => Fill::Zeros,
        (false, true) => Fill::Random,
        (false, false) => Fill::Printable,
    }
}

/// A rate of nothing at all would never end: like the old tools, we take 0 for "no limit".
pub(super) fn rate(limit: OrOff) -> Option<NonZeroU64> {
    limit.0.and_then(NonZeroU64::new)
}

fn brokers(list: &str) -> Result<Brokers, UsageError> {
    let refused = |accepts: &str| Err(UsageError::value("brokers", list, accepts));
    if list == "embedded" {
        return Ok(Brokers::Embedded { brokers: 1 });
    }
    if let Some(count) = list.strip_prefix("embedded:") {
        return match whole::<usize>(1, MAX_EMBEDDED_BROKERS)(count) {
            Ok(brokers) => Ok(Brokers::Embedded { brokers }),
            Err(_) => refused("embedded or embedded:N, with N from 1 to 100"),
        };
    }
    let brokers: Vec<&str> = list.split(',').map(str::trim).collect();
    if brokers.iter().all(|broker| is_broker(broker)) {
        return Ok(Brokers::Bootstrap(brokers.join(",")));
    }
    refused("host:port[,host:port…], or embedded[:N]")
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
fn is_broker(broker: &str) -> bool {
    if let Some(bracketed) = broker.strip_prefix('[') {
        return bracketed.split_once(']').is_some_and(|(host, port)| {
            host.parse::<Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    match broker.split_once(':') {
        None => is_host(broker),
        Some((host, port)) if !port.contains(':') => is_host(host) && is_port(port),
        Some(_) => broker.parse::<Ipv6Addr>().is_ok(),
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn is_port(port: &str) -> bool {
    digits::<u16>(port).is_some_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_brokers() {
        for good in [
            "h:9092",
            "localhost",
            "a:1,b:2",
            "a:1, b:2",
            "10.0.0.1:9092",
            "[::1]:9092",
            "[::1]",
            "::1",
            "kafka_1.example-net:9092",
        ] {
            assert!(matches!(brokers(good), Ok(Brokers::Bootstrap(_))), "{good}");
        }
        assert_eq!(brokers("a:1, b:2"), Ok(Brokers::Bootstrap("a:1,b:2".into())));
        for bad in [
            "",
            ",",
            "a:1,",
            "a:",
            ":9092",
            "a:0",
            "a:65536",
            "a:+1",
            "a b:1",
            "http://a:1",
            "a:1;b:2",
            "[::1",
            "[x]:1",
            "[::1]9092",
            "a:1:2",
        ] {
            let found = brokers(bad).unwrap_err().to_string();
            assert!(found.starts_with("--brokers "), "{found}");
            assert!(found.contains("accepts host:port"), "{found}");
        }
    }

    #[test]
    fn embedded_brokers() {
        assert_eq!(brokers("embedded"), Ok(Brokers::Embedded { brokers: 1 }));
        assert_eq!(brokers("embedded:3"), Ok(Brokers::Embedded { brokers: 3 }));
        for bad in ["embedded:", "embedded:0", "embedded:-1", "embedded:x", "embedded:9092"] {
            let found = brokers(bad).unwrap_err().to_string();
            assert_eq!(
                found,
                format!("--brokers {bad}: accepts embedded or embedded:N, with N from 1 to 100")
            );
        }
    }
}
