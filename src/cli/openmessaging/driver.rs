//! A driver: how the clients of Kafka's Java library were to be set up, in our flags.

use super::{
    super::{
        error::UsageError,
        verifier::{MAX_BATCH_BYTES, MIN_BATCH_BYTES},
    },
    Source, Translated, jaas,
    java_names::{Becomes, Side, Special, becomes},
    keys::Keys,
    properties::properties,
};

/// Blocks of settings, each with the clients that it is for.
const BLOCKS: [(&str, Side); 3] =
    [("commonConfig", Side::Both), ("producerConfig", Side::Producer), ("consumerConfig", Side::Consumer)];
/// What a record needs in a batch beside its message, generously.
const RECORD_BYTES: u64 = 1_024;
/// More records are in flight in no case.
const MOST_IN_FLIGHT: u64 = 1_000_000;

/// Adds what the driver asks for, for messages of so many bytes where that is known.
pub(super) fn translate(
    source: &Source<'_>,
    text: &str,
    message_bytes: Option<u64>,
    to: &mut Translated,
) -> Result<(), UsageError> {
    let mut keys = Keys::of(source, text)?;
    to.beside.driver = keys.text("name")?;
    if let Some(class) = keys.text("driverClass")? {
        let known = [".kafka.", ".redpanda."];
        if !known.iter().any(|name| class.contains(name)) {
            return Err(source.refuses("driverClass", &class, "a driver of Kafka or Redpanda"));
        }
    }
    if let Some(replicas) = keys.whole("replicationFactor", (1, 32_767))? {
        to.flag("replication-factor", replicas.to_string());
    }
    if keys.flag("reset")? {
        to.note("reset: no topic is deleted: what lies in one is not read");
    }
    if let Some(requests) = keys.whole("requestsPerTransaction", (1, 1_000_000))? {
        to.flag("use-transactions", "true");
        to.flag("msgs-per-transaction", requests.to_string());
    }
    for (name, value) in properties(&keys.text("topicConfig")?.unwrap_or_default()) {
        to.flag("topic-config", format!("{name}={value}"));
    }
    let mut settings = Settings { source, message_bytes, trust: None, trust_kind: None };
    for (block, side) in BLOCKS {
        for (name, value) in properties(&keys.text(block)?.unwrap_or_default()) {
            settings.take((block, side), &name, &value, to)?;
        }
    }
    settings.trust(to)?;
    keys.finish()
}

/// Goes through the settings.
struct Settings<'a> {
    source: &'a Source<'a>,
    message_bytes: Option<u64>,
    /// Key and file of certificates to trust.
    trust: Option<(String, String)>,
    trust_kind: Option<String>,
}

impl Settings<'_> {
    fn take(
        &mut self,
        (block, side): (&str, Side),
        name: &str,
        value: &str,
        to: &mut Translated,
    ) -> Result<(), UsageError> {
        let key = format!("{block}: {name}");
        let Some(becomes) = becomes(name, side) else {
            return Err(self.source.error(format!(
                "{key}: this setting is not understood: docs/benchmarking.md lists those that are"
            )));
        };
        match becomes {
            Becomes::Flag(flag) => to.flag(flag, value),
            Becomes::Millis(flag) => to.flag(flag, format!("{}ms", self.number(&key, value)?)),
            Becomes::Setting(setting) => to.flag("X", format!("{setting}={value}")),
            Becomes::UpTo(setting, most) => {
                let number = self.number(&key, value)?;
                if number > most {
                    to.note(format!("{name}={value} is run with {most}, the most that there is"));
                }
                to.flag("X", format!("{setting}={}", number.min(most)));
            }
            Becomes::Only(values, instead) if !values.contains(&value) => {
                to.note(format!("{name}={value} is {instead}"));
            }
            Becomes::Nothing(_) | Becomes::Only(..) => {}
            Becomes::Special(special) => self.special(special, &key, (name, value), to)?,
        }
        Ok(())
    }

    fn number(&self, key: &str, value: &str) -> Result<u64, UsageError> {
        value.parse().map_err(|_| self.source.refuses(key, value, "a whole number, 0 or more"))
    }

    fn special(
        &mut self,
        special: Special,
        key: &str,
        (name, value): (&str, &str),
        to: &mut Translated,
    ) -> Result<(), UsageError> {
        match special {
            Special::Acks if ["all", "-1"].contains(&value) => {}
            Special::Acks if ["0", "1"].contains(&value) => to.note(format!(
                "acks={value} is run with acks=all: what fewer replicas ack may be lost by a healthy cluster"
            )),
            Special::Acks => return Err(self.source.refuses(key, value, "all, -1, 1 or 0")),
            Special::Batch => self.batch(self.number(key, value)?, to),
            Special::Buffer => {
                let bytes = self.number(key, value)?;
                if let Some(message_bytes) = self.message_bytes {
                    let records = (bytes / message_bytes.max(1)).clamp(1, MOST_IN_FLIGHT);
                    to.flag("max-buffered-records", records.to_string());
                }
            }
            Special::InFlight => {
                // With more, the run decides, as it does without this setting.
                if self.number(key, value)? <= 1 {
                    to.flag("X", format!("{name}=1"));
                }
            }
            Special::Protocol => match value {
                "PLAINTEXT" | "SASL_PLAINTEXT" => {}
                "SSL" | "SASL_SSL" => to.flag("enable-tls", "true"),
                _ => {
                    let accepts = "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL";
                    return Err(self.source.refuses(key, value, accepts));
                }
            },
            Special::Jaas => {
                // Its text holds a password, and is not shown.
                let login = jaas::login(value).map_err(|why| self.source.error(format!("{key}: {why}")))?;
                to.flag("username", login.username);
                to.flag("password", login.password);
            }
            Special::Identification => {
                let checks = if value.is_empty() { "none" } else { value };
                to.flag("X", format!("{name}={checks}"));
            }
            Special::Trust => self.trust = Some((key.to_owned(), value.to_owned())),
            Special::TrustKind => self.trust_kind = Some(value.to_owned()),
            Special::Assignors => to.flag("X", format!("{name}={}", self.assignors(key, value)?)),
        }
        Ok(())
    }

    /// Java sends what does not fit into a batch in one of its own; ours must hold a record.
    fn batch(&self, bytes: u64, to: &mut Translated) {
        let (least, most) =
            (u64::try_from(MIN_BATCH_BYTES).unwrap_or(0), u64::try_from(MAX_BATCH_BYTES).unwrap_or(u64::MAX));
        let needed = self.message_bytes.map_or(least, |message| (message + RECORD_BYTES).max(least));
        if bytes < needed {
            to.note(format!("batch.size={bytes} is run with {needed}, so that a batch holds a record"));
        }
        to.flag("batch_max_bytes", bytes.max(needed).min(most).to_string());
    }

    fn assignors(&self, key: &str, value: &str) -> Result<String, UsageError> {
        let name = |class: &str| match class.trim().rsplit('.').next().unwrap_or_default() {
            "RangeAssignor" => Ok("range"),
            "RoundRobinAssignor" => Ok("roundrobin"),
            "CooperativeStickyAssignor" => Ok("cooperative-sticky"),
            _ => Err(self.source.refuses(
                key,
                value,
                "RangeAssignor, RoundRobinAssignor and CooperativeStickyAssignor",
            )),
        };
        Ok(value.split(',').map(name).collect::<Result<Vec<_>, _>>()?.join(","))
    }

    /// Java's own kind of store cannot be read.
    fn trust(self, to: &mut Translated) -> Result<(), UsageError> {
        let Some((key, file)) = self.trust else { return Ok(()) };
        if self.trust_kind.as_deref() != Some("PEM") {
            return Err(self.source.refuses(&key, &file, "a file of certificates (ssl.truststore.type=PEM)"));
        }
        to.flag("tls-ca", file);
        Ok(())
    }
}
