//! Client settings of the user's own that would undo what a run is to prove.
//!
//! All of librdkafka's settings were gone through (CONFIGURATION.md, 2.12). Those that are not named here change how
//! fast, over which connections and with which credentials a client works, and are the user's. Those that a client
//! refuses by itself, alone or beside others, are found when clients are made on trial, before anything else is done.

use super::super::error::UsageError;

/// What a run does with its clients.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uses<'a> {
    /// It has producers.
    pub(super) produces: bool,
    /// It has consumers that are told where to read.
    pub(super) reads: bool,
    /// It has members of a group.
    pub(super) group: Option<Members<'a>>,
    /// Consumers are shown what was committed only.
    pub(super) committed: bool,
}

impl Uses<'_> {
    /// Whether it has consumers, in a group or not.
    fn consumes(&self) -> bool {
        self.reads || self.group.is_some()
    }
}

/// The members of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members<'a> {
    /// The group's name, where it is the user's.
    pub(super) name: Option<&'a str>,
    /// The flag that names the group.
    pub(super) flag: &'static str,
    /// How many there are in this process, and the flag that says so.
    pub(super) count: (usize, &'static str),
    /// Where they start in a partition that the group has no place in, in each of librdkafka's words for it.
    pub(super) start: &'static [&'static str],
    /// The flag by which the time was given after which a silent member is out.
    pub(super) session_flag: Option<&'static str>,
}

/// A setting that a run decides.
struct Rule {
    /// Its name, and what else librdkafka calls it.
    names: &'static [&'static str],
    /// Whether the run has clients that it is for.
    concerns: fn(&Uses<'_>) -> bool,
    takes: Takes,
    /// What another value would do.
    why: &'static str,
}

/// Values that say what ours says.
enum Takes {
    True,
    False,
    OneOf(&'static [&'static str]),
    Nothing,
}

impl Takes {
    fn accepts(&self, value: &str) -> bool {
        match self {
            Self::True => TRUE.iter().any(|word| word.eq_ignore_ascii_case(value)),
            Self::False => FALSE.iter().any(|word| word.eq_ignore_ascii_case(value)),
            Self::OneOf(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
            Self::Nothing => false,
        }
    }

    fn describe(&self) -> &'static str {
        match self {
            Self::True => "only true",
            Self::False => "only false",
            Self::OneOf(words) => words[0],
            Self::Nothing => "no value",
        }
    }
}

const TRUE: &[&str] = &["true", "t", "1"];
const FALSE: &[&str] = &["false", "f", "0"];

const ALWAYS: fn(&Uses<'_>) -> bool = |_| true;
const PRODUCERS: fn(&Uses<'_>) -> bool = |uses| uses.produces;
const CONSUMERS: fn(&Uses<'_>) -> bool = |uses| uses.consumes();
const MEMBERS: fn(&Uses<'_>) -> bool = |uses| uses.group.is_some();

/// What a run decides whatever its flags say.
const RULES: &[Rule] = &[
    Rule {
        names: &["acks", "request.required.acks"],
        concerns: PRODUCERS,
        takes: Takes::OneOf(&["all", "-1"]),
        why: "what is acked by fewer replicas may be lost by a healthy cluster, and would be reported as lost",
    },
    Rule {
        names: &["enable.idempotence"],
        concerns: PRODUCERS,
        takes: Takes::True,
        why: "without it retries write records twice and out of order, which would be held against the cluster",
    },
    Rule {
        names: &["transactional.id"],
        concerns: PRODUCERS,
        takes: Takes::Nothing,
        why: "each producer of a run has one of its own: use --use-transactions, and --client-name to tell runs apart",
    },
    Rule {
        names: &["delivery.report.only.error"],
        concerns: PRODUCERS,
        takes: Takes::False,
        why: "acks would not be reported, and nothing could be proven",
    },
    Rule {
        names: &["check.crcs"],
        concerns: CONSUMERS,
        takes: Takes::True,
        why: "bytes that changed would not be noticed",
    },
    Rule {
        names: &["enable.partition.eof"],
        concerns: CONSUMERS,
        takes: Takes::True,
        why: "readers could not tell when they have reached a log's end",
    },
    Rule {
        names: &["enable.auto.commit", "auto.commit.enable"],
        concerns: CONSUMERS,
        takes: Takes::False,
        why: "members commit what they have validated, by themselves: --max-uncommitted says how often",
    },
    Rule {
        names: &["enable.auto.offset.store"],
        concerns: CONSUMERS,
        takes: Takes::False,
        why: "records would count as consumed before they are validated",
    },
    Rule {
        names: &["offset.store.method"],
        concerns: CONSUMERS,
        takes: Takes::OneOf(&["broker"]),
        why: "the brokers must know the group's places",
    },
    Rule {
        names: &["group.protocol.type"],
        concerns: MEMBERS,
        takes: Takes::OneOf(&["consumer"]),
        why: "consumers speak no other",
    },
    Rule {
        names: &["allow.auto.create.topics"],
        concerns: ALWAYS,
        takes: Takes::False,
        why: "a topic that is missing must stay missing: use --create-topic",
    },
    Rule {
        names: &["topic.blacklist"],
        concerns: ALWAYS,
        takes: Takes::Nothing,
        why: "a topic that the client hides looks like one that is gone",
    },
    Rule {
        names: &["test.mock.num.brokers"],
        concerns: ALWAYS,
        takes: Takes::OneOf(&["0"]),
        why: "each client would have a cluster of its own: use --brokers embedded:N",
    },
    Rule {
        names: &["api.version.request"],
        concerns: ALWAYS,
        takes: Takes::True,
        why: "without it the client speaks a protocol that has neither idempotence nor headers nor leader epochs",
    },
    Rule {
        names: &["log.queue"],
        concerns: ALWAYS,
        takes: Takes::False,
        why: "what the client complains of would not be heard",
    },
];

/// librdkafka takes names of its topic settings with this prefix too.
const TOPIC_PREFIX: &str = "topic.";

/// What a run makes of the user's client settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Those that reach the clients. What only repeats a setting of the run's own is left out, so that it cannot take
    /// the place of what another kind of client needs.
    pub(super) kept: Vec<(String, String)>,
    /// By which of them less is proven, each a phrase.
    pub(super) weaker: Vec<String>,
}

/// Refuses settings that contradict what the run is to prove.
///
/// `on_command_line` are those that came by `-X`; the others came from a file.
pub(super) fn check(
    settings: &[(String, String)],
    on_command_line: &[(String, String)],
    uses: &Uses<'_>,
) -> Result<Settings, UsageError> {
    let mut result = Settings::default();
    // The last one of a name wins, as it does in the client; what it overrides does nothing.
    for (index, (key, value)) in settings.iter().enumerate() {
        if settings[index + 1..].iter().any(|(later, _)| later == key) {
            continue;
        }
        let setting = Setting { key: canonical(key), value, flag: flag_of(key, value, on_command_line) };
        if setting.is_decided(uses)? {
            continue;
        }
        setting.check_members(settings, uses)?;
        result.weaker.extend(setting.weakens(uses));
        result.kept.push((key.clone(), value.clone()));
    }
    Ok(result)
}

fn flag_of(key: &str, value: &str, on_command_line: &[(String, String)]) -> &'static str {
    let given = on_command_line.iter().any(|(name, word)| name == key && word == value);
    if given { "X" } else { "client-config" }
}

/// One name for each setting of the topic kind.
fn canonical(key: &str) -> &str {
    let short = key.strip_prefix(TOPIC_PREFIX).unwrap_or(key);
    let is_topic_s = |name: &str| {
        RULES.iter().any(|rule| rule.names.contains(&name))
            || matches!(name, "auto.offset.reset" | "message.timeout.ms" | "delivery.timeout.ms")
    };
    if is_topic_s(short) { short } else { key }
}

/// A client setting of the user's own.
struct Setting<'a> {
    key: &'a str,
    value: &'a str,
    flag: &'static str,
}

impl Setting<'_> {
    fn refuse(&self, accepts: &str) -> UsageError {
        UsageError::value(self.flag, format!("{}={}", self.key, self.value), accepts)
    }

    /// Whether the run decides this by itself, and the user says nothing else, or says it to no client of this run.
    fn is_decided(&self, uses: &Uses<'_>) -> Result<bool, UsageError> {
        if let Some(rule) = RULES.iter().find(|rule| rule.names.contains(&self.key)) {
            if (rule.concerns)(uses) && !rule.takes.accepts(self.value) {
                return Err(self.refuse(&format!("{}: {}", rule.takes.describe(), rule.why)));
            }
            return Ok(true);
        }
        match self.key {
            "auto.offset.reset" => self.check_reset(uses),
            "isolation.level" => self.check_isolation(uses),
            "group.id" => self.check_group(uses),
            // The observer knows by its own who is up; nobody is shown the others'.
            "statistics.interval.ms" => Ok(true),
            _ => Ok(false),
        }
    }

    fn check_reset(&self, uses: &Uses<'_>) -> Result<bool, UsageError> {
        let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(self.value));
        if uses.reads && !is(&["error"]) {
            return Err(self.refuse("only error: with anything else a log that was truncated goes unnoticed"));
        }
        match uses.group {
            Some(group) if !uses.reads && !is(group.start) => Err(self.refuse(&format!(
                "only {}: members that start elsewhere pass over records, which would count as lost",
                group.start[0]
            ))),
            _ => Ok(true),
        }
    }

    fn check_isolation(&self, uses: &Uses<'_>) -> Result<bool, UsageError> {
        let (ours, why) = if uses.committed {
            (
                "read_committed",
                "with --use-transactions, or records of aborted transactions would be held against the cluster",
            )
        } else {
            (
                "read_uncommitted",
                "without --use-transactions, which has readers see what was committed, and know what that hides",
            )
        };
        if uses.consumes() && !self.value.eq_ignore_ascii_case(ours) {
            return Err(self.refuse(&format!("only {ours} {why}")));
        }
        Ok(true)
    }

    fn check_group(&self, uses: &Uses<'_>) -> Result<bool, UsageError> {
        match uses.group {
            Some(group) if group.name != Some(self.value) => {
                Err(self.refuse(&format!("no value: --{} names the group", group.flag)))
            }
            _ => Ok(true),
        }
    }

    /// What does not go together with how many members there are, or which flags they were given.
    fn check_members(&self, settings: &[(String, String)], uses: &Uses<'_>) -> Result<(), UsageError> {
        let Some(group) = uses.group else { return Ok(()) };
        if self.key == "group.instance.id" && group.count.0 > 1 {
            let (count, flag) = group.count;
            return Err(self.refuse(&format!(
                "one member only, and --{flag} {count} asks for more: they would fence each other"
            )));
        }
        if is_consumer_protocol(settings)
            && self.key == "group.protocol"
            && let Some(flag) = group.session_flag
        {
            let why = "cannot be used with group.protocol=consumer, whose session the brokers decide \
                       (group.consumer.session.timeout.ms)";
            return Err(UsageError::flag(flag, why));
        }
        Ok(())
    }

    /// What is not proven with this setting.
    fn weakens(&self, uses: &Uses<'_>) -> Option<String> {
        let (key, value) = (self.key, self.value);
        let number = value.trim().parse::<u64>().ok();
        let what = match key {
            "message.timeout.ms" | "delivery.timeout.ms" if uses.produces && number != Some(0) => {
                "records are given up while it is not known whether they were written"
            }
            "retries" | "message.send.max.retries" if uses.produces && number < Some(MOST_RETRIES) => {
                "records are given up while it is not known whether they were written"
            }
            "max.in.flight" | "max.in.flight.requests.per.connection"
                if uses.produces && number > Some(1) =>
            {
                "librdkafka may write records twice when leaders change, which then cannot be told from the cluster's doing"
            }
            key if key.starts_with("plugin.") => "the plugin may change what is sent and read",
            _ => return None,
        };
        Some(format!("{key}={value}: {what}"))
    }
}

const MOST_RETRIES: u64 = i32::MAX as u64;

/// Whether members speak the protocol in which the brokers deal out partitions.
fn is_consumer_protocol(settings: &[(String, String)]) -> bool {
    let last = settings.iter().rev().find(|(key, _)| key == "group.protocol");
    last.is_some_and(|(_, value)| value.eq_ignore_ascii_case("consumer"))
}

/// The bootstrap list, where the user gives it as a client setting; what stands beside `--brokers` must be the same.
pub(super) fn take_brokers(
    settings: &mut Vec<(String, String)>,
    brokers: Option<&str>,
    on_command_line: &[(String, String)],
) -> Result<Option<String>, UsageError> {
    let is_list = |key: &str| matches!(key, "bootstrap.servers" | "metadata.broker.list");
    let mut found = None;
    for (key, value) in settings.iter().filter(|(key, _)| is_list(key)) {
        if brokers.is_some_and(|brokers| !is_same_list(brokers, value)) {
            let flag = flag_of(key, value, on_command_line);
            let what = "no other brokers than --brokers: give one of them";
            return Err(UsageError::value(flag, format!("{key}={value}"), what));
        }
        found = Some(value.clone());
    }
    settings.retain(|(key, _)| !is_list(key));
    Ok(found)
}

fn is_same_list(one: &str, other: &str) -> bool {
    let sorted = |list: &str| {
        let mut brokers: Vec<String> = list.split(',').map(|broker| broker.trim().to_lowercase()).collect();
        brokers.sort();
        brokers
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn members(count: usize) -> Members<'static> {
        Members {
            name: Some("g"),
            flag: "group",
            count: (count, "workers"),
            start: &["earliest", "smallest", "beginning"],
            session_flag: None,
        }
    }

    fn everything() -> Uses<'static> {
        Uses { produces: true, reads: true, group: Some(members(1)), committed: true }
    }

    fn refusal(settings: &[(&str, &str)], uses: &Uses<'_>) -> String {
        let settings = owned(settings);
        check(&settings, &settings, uses).expect_err(&format!("{settings:?}")).to_string()
    }

    fn taken(settings: &[(&str, &str)], uses: &Uses<'_>) -> Settings {
        let settings = owned(settings);
        check(&settings, &settings, uses).unwrap_or_else(|error| panic!("{settings:?}: {error}"))
    }

    /// Each rule has a value that is refused, and one that changes nothing and reaches no client.
    #[test]
    fn what_a_run_decides_is_refused_by_name_unless_it_is_the_same() {
        for rule in RULES {
            let (same, other) = match rule.takes {
                Takes::True => (Some("1"), "false"),
                Takes::False => (Some("FALSE"), "true"),
                Takes::OneOf(words) => (Some(words[0]), "7"),
                Takes::Nothing => (None, "7"),
            };
            for name in rule.names {
                let found = refusal(&[(name, other)], &everything());
                assert!(found.starts_with(&format!("-X {name}={other}: accepts ")), "{found}");
                assert!(found.contains(rule.why), "{found}");
                if let Some(same) = same {
                    assert_eq!(taken(&[(name, same)], &everything()), Settings::default(), "{name}");
                }
            }
        }
        assert!(refusal(&[("topic.acks", "1")], &everything()).starts_with("-X acks=1: "));
    }

    #[test]
    fn clients_that_a_run_does_not_have_are_not_minded() {
        let produces = Uses { produces: true, ..Uses::default() };
        let reads = Uses { reads: true, ..Uses::default() };
        for (setting, uses) in [
            (("check.crcs", "false"), produces),
            (("auto.offset.reset", "latest"), produces),
            (("isolation.level", "read_committed"), produces),
            (("group.id", "other"), reads),
            (("acks", "0"), reads),
            (("statistics.interval.ms", "0"), produces),
        ] {
            assert_eq!(taken(&[setting], &uses), Settings::default(), "{setting:?}");
        }
    }

    #[test]
    fn readers_start_where_they_are_told() {
        let group = Uses { group: Some(members(2)), ..Uses::default() };
        let found = refusal(&[("auto.offset.reset", "latest")], &group);
        assert!(found.contains("accepts only earliest: "), "{found}");
        for same in ["earliest", "smallest", "Beginning"] {
            assert_eq!(taken(&[("auto.offset.reset", same)], &group), Settings::default());
        }
        let both = Uses { reads: true, ..group };
        assert!(refusal(&[("auto.offset.reset", "earliest")], &both).contains("accepts only error: "));
    }

    #[test]
    fn what_is_visible_is_said_by_a_flag() {
        let committed = Uses { reads: true, committed: true, ..Uses::default() };
        let all = Uses { committed: false, ..committed };
        let level = |value| [("isolation.level", value)];
        assert!(refusal(&level("read_uncommitted"), &committed).contains("only read_committed with --use-"));
        assert!(refusal(&level("read_committed"), &all).contains("only read_uncommitted without --use-"));
        assert_eq!(taken(&level("read_committed"), &committed), Settings::default());
    }

    #[test]
    fn a_group_is_named_once_and_static_members_are_alone() {
        let uses = |count| Uses { group: Some(members(count)), ..Uses::default() };
        assert!(refusal(&[("group.id", "x")], &uses(1)).contains("--group names the group"));
        assert_eq!(taken(&[("group.id", "g")], &uses(1)), Settings::default());
        let found = refusal(&[("group.instance.id", "i")], &uses(3));
        assert!(found.contains("one member only, and --workers 3 asks for more"), "{found}");
        assert_eq!(taken(&[("group.instance.id", "i")], &uses(1)).kept.len(), 1);
    }

    #[test]
    fn the_brokers_decide_on_the_session_of_the_consumer_protocol() {
        let protocol = [("group.protocol", "consumer")];
        let plain = Uses { group: Some(members(2)), ..Uses::default() };
        assert_eq!(taken(&protocol, &plain).kept, owned(&protocol));
        let flag = Some(Members { session_flag: Some("consumer-group-session-timeout-s"), ..members(2) });
        let found = refusal(&protocol, &Uses { group: flag, ..plain });
        assert!(
            found.starts_with(
                "--consumer-group-session-timeout-s: cannot be used with group.protocol=consumer"
            )
        );
        assert_eq!(taken(&[("group.protocol", "classic")], &Uses { group: flag, ..plain }).kept.len(), 1);
    }

    #[test]
    fn what_weakens_a_proof_is_taken_and_said() {
        let produces = Uses { produces: true, ..Uses::default() };
        for (key, value) in [
            ("message.timeout.ms", "5000"),
            ("topic.delivery.timeout.ms", "1"),
            ("retries", "3"),
            ("max.in.flight", "5"),
            ("max.in.flight.requests.per.connection", "2"),
        ] {
            let settings = taken(&[(key, value)], &produces);
            assert_eq!(settings.kept, owned(&[(key, value)]));
            let name = key.trim_start_matches("topic.");
            assert!(settings.weaker[0].starts_with(&format!("{name}={value}: ")), "{settings:?}");
            assert_eq!(taken(&[(key, value)], &Uses::default()).weaker, [] as [String; 0], "{key}");
        }
        for harmless in [("message.timeout.ms", "0"), ("max.in.flight", "1"), ("retries", "2147483647")] {
            assert_eq!(taken(&[harmless], &produces).weaker, [] as [String; 0], "{harmless:?}");
        }
    }

    #[test]
    fn the_last_value_counts_and_its_source_is_named() {
        let settings = owned(&[("acks", "0"), ("acks", "all"), ("linger.ms", "5")]);
        let found = check(&settings, &settings[1..], &everything()).unwrap();
        assert_eq!(found.kept, owned(&[("linger.ms", "5")]));
        let settings = owned(&[("acks", "0")]);
        let found = check(&settings, &[], &everything()).unwrap_err().to_string();
        assert!(found.starts_with("--client-config acks=0: accepts all: "), "{found}");
    }

    #[test]
    fn brokers_are_named_once() {
        let list = || owned(&[("linger.ms", "5"), ("bootstrap.servers", "a:1,B:2")]);
        let (mut settings, all) = (list(), list());
        assert_eq!(take_brokers(&mut settings, None, &all), Ok(Some("a:1,B:2".into())));
        assert_eq!(settings, owned(&[("linger.ms", "5")]));
        assert!(take_brokers(&mut list(), Some("b:2, a:1"), &all).is_ok());
        let found = take_brokers(&mut list(), Some("c:1"), &all).unwrap_err().to_string();
        assert_eq!(
            found,
            "-X bootstrap.servers=a:1,B:2: accepts no other brokers than --brokers: give one of them"
        );
    }
}
