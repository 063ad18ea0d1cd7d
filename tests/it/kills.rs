//! The ledger of a producer that is killed at any instant: it parses, lists nothing that was not acked, lacks
//! nothing that was acked more than a second before, and the next producer goes on from it.
//!
//! `PROOFLOAD_KILLS` says how many are killed; see `scripts/prove`.

mod long;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    panic::resume_unwind,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use proofload::inside::record::Random;

use crate::{
    Test,
    dsl::{
        Cluster, Http, Mock, Run, Running, Topic, Workdir, Worker,
        ledger::{self, LedgerFile},
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(killed_producers_leave_ledgers_that_are_true),
        Real(producers_killed_beside_long_ledgers_leave_no_less),
        Alone(what_is_in_the_log_and_was_not_acked_is_not_listed),
    ]
}

const KILLS: u64 = 12;
/// Kills on one topic, before what they left is held against the log.
const KILLS_PER_TOPIC: u64 = 25;
/// What may be missing was acked within this time before the kill.
const GRACE: Duration = Duration::from_secs(1);
const POLL_EVERY: Duration = Duration::from_millis(60);

const ENDLESS: &str = "--produce_msgs 10000000000 --produce-throughput-bps 200000";

/// A way of producing.
struct Way {
    title: &'static str,
    partitions: usize,
    flags: &'static str,
    /// For the reader, too.
    mode: &'static str,
    /// The last instant of a kill, behind the start.
    latest_ms: u64,
}

impl Way {
    fn is_transactional(&self) -> bool {
        self.mode.contains("--use-transactions")
    }
}

/// They run side by side.
const WAYS: [Way; 4] = [
    Way { title: "plain", partitions: 4, flags: "", mode: "", latest_ms: 2_400 },
    Way {
        title: "transactions",
        partitions: 3,
        flags: "--msgs-per-transaction 20 --transaction-abort-rate 0.3",
        mode: "--use-transactions",
        latest_ms: 3_200,
    },
    Way {
        title: "last values and tombstones",
        partitions: 2,
        flags: "--key-set-cardinality 30 --tombstone-probability 0.2",
        mode: "--validate-latest-values --latest-values last",
        latest_ms: 2_400,
    },
    Way {
        title: "codecs and producer ids",
        partitions: 8,
        flags: "--compression-type mixed --linger 3ms --msgs-per-producer-id 700",
        mode: "",
        latest_ms: 2_400,
    },
];

/// What came of some kills.
#[derive(Default)]
struct Tally {
    kills: u64,
    /// Kills behind the first ack.
    producing: u64,
    /// Kills that left a temporary file, so that they came in the middle of a write.
    writing: u64,
    /// The longest time before a kill from which an ack was missing.
    lag: Duration,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.producing += other.producing;
        self.writing += other.writing;
        self.lag = self.lag.max(other.lag);
        self.wrong.extend(other.wrong);
    }
}

/// How many are to be killed.
fn kills() -> u64 {
    env::var("PROOFLOAD_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

/// A file of its own has it.
fn producers_killed_beside_long_ledgers_leave_no_less(cluster: &Cluster) {
    long::kill_some(cluster, kills());
}

fn killed_producers_leave_ledgers_that_are_true(cluster: &Cluster) {
    let kills = kills();
    let ways = WAYS.len() as u64;
    let share = |index: u64| kills * (index + 1) / ways - kills * index / ways;
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let lanes = (0..).zip(&WAYS);
        let lanes = lanes.map(|(index, way)| scope.spawn(move || lane(cluster, way, index, share(index))));
        let lanes: Vec<_> = lanes.collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let mut all = Tally::default();
    for (way, tally) in WAYS.iter().zip(tallies) {
        let not = tally.wrong.len() as u64;
        println!("kills: {:<36} {:>4} true, {not} not", way.title, tally.kills.saturating_sub(not));
        all.add(tally);
    }
    let Tally { kills, producing, writing, lag, wrong } = all;
    println!(
        "kills: {producing} of {kills} came behind the first ack, {writing} in the middle of a write; \
         what was missing was acked at most {} ms before",
        lag.as_millis()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A few may all be killed before they come so far, where the machine is slow.
    assert!(producing > 0 || kills <= KILLS, "none of {kills} was killed while it produced");
}

/// Kills so many producers, one after the other.
fn lane(cluster: &Cluster, way: &Way, index: u64, kills: u64) -> Tally {
    let mut tally = Tally::default();
    let mut random = Random::from_seed(index << 32);
    while tally.kills < kills {
        let series = (kills - tally.kills).min(KILLS_PER_TOPIC);
        tally.add(Scene::new(cluster, way).kill_some(series, &mut random));
    }
    tally
}

/// A topic, and the folder that its producers share.
struct Scene<'a> {
    way: &'a Way,
    topic: Topic,
    workdir: Workdir,
}

/// What a producer said of itself: the highest offset acked on each partition.
struct Word {
    at: Instant,
    acked: BTreeMap<usize, i64>,
}

impl Word {
    /// `None` until there is an answer.
    fn of(http: &Http) -> Result<Option<Self>, String> {
        let Some(answer) = http.get("/status").filter(|answer| answer.code == 200) else { return Ok(None) };
        let at = Instant::now();
        let workers: Vec<Worker> =
            serde_json::from_str(&answer.body).map_err(|error| format!("{error} in {}", answer.body))?;
        let offsets = &workers[0].producer().max_offsets_produced;
        let acked = offsets.iter().filter_map(|(partition, offset)| Some((partition.parse().ok()?, *offset)));
        Ok(Some(Self { at, acked: acked.collect() }))
    }
}

impl<'a> Scene<'a> {
    fn new(cluster: &Cluster, way: &'a Way) -> Self {
        Self { way, topic: cluster.topic(way.partitions), workdir: Workdir::new() }
    }

    fn run(&self, work: &str) -> Run {
        Run::verifier().in_dir(&self.workdir).args(self.topic.flags()).args(work).args(self.way.mode)
    }

    fn producer(&self, work: &str) -> Run {
        self.run(work).args("--msg_size 100").args(self.way.flags)
    }

    /// Each producer goes on from what the one before it left. At last what all of them have left is held against the
    /// log: no ledger takes back what an earlier one lists, so that the last one lists it all.
    fn kill_some(&self, kills: u64, random: &mut Random) -> Tally {
        let mut tally = Tally { kills, ..Tally::default() };
        let mut before = LedgerFile::of(&vec![&[][..]; self.way.partitions]);
        for number in 1..=kills {
            match self.kill_one(&before, random, &mut tally) {
                Ok(left) => before = left,
                Err(wrong) => {
                    tally.wrong.push(format!("{}, kill {number}: {wrong}", self.way.title));
                    // The rest would go on from what is wrong.
                    tally.kills = number;
                    return tally;
                }
            }
        }
        let strangers = self.listed_and_not_there(&before);
        if !strangers.is_empty() {
            tally.wrong.push(format!("{}: listed, and not there: {strangers:?}", self.way.title));
        }
        // One that is not killed goes on from what all the others have left.
        self.producer("--produce_msgs 300 --seq_read").finish().expect_code(0).expect_nothing_wrong();
        self.run("--seq_read").finish().expect_code(0);
        tally
    }

    /// Returns the ledger that a killed producer leaves, or what is wrong with it.
    fn kill_one(
        &self,
        before: &LedgerFile,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<LedgerFile, String> {
        let producer = self.producer(ENDLESS).with_control().start();
        let instant = producer.started() + Duration::from_micros(random.below(self.way.latest_ms * 1_000));
        let words = self.listen(&producer, before, instant)?;
        if random.chance(0.4) {
            self.wait_for_write(Duration::from_micros(random.below(1_500)));
        }
        let killed = Instant::now();
        producer.signal(Signal::SIGKILL);
        producer.finish().expect_killed();
        let left = self.left()?.unwrap_or_else(|| before.clone());
        if !holds_all(&left, before) {
            return Err(format!("what an earlier one listed is gone: {before:?}, and now {left:?}"));
        }
        tally.producing += u64::from(words.iter().any(|word| !word.acked.is_empty()));
        tally.writing += u64::from(self.temporary().exists());
        let grace = grace(tally.kills, &words);
        for Word { at, acked } in &words {
            let age = killed.duration_since(*at);
            let lacking: Vec<_> =
                acked.iter().filter(|(partition, offset)| !left.lists(**partition, **offset)).collect();
            if lacking.is_empty() {
                continue;
            }
            tally.lag = tally.lag.max(age);
            if age > grace {
                return Err(format!("lacks what was acked {age:?} before: {lacking:?} in {left:?}"));
            }
        }
        Ok(left)
    }

    /// Asks again and again for what was acked, until this instant.
    fn listen(&self, producer: &Running, before: &LedgerFile, until: Instant) -> Result<Vec<Word>, String> {
        let (http, mut words) = (producer.http(), Vec::new());
        while Instant::now() < until {
            let listed = self.left()?;
            if let Some(word) = Word::of(&http)? {
                if let Some(listed) = listed {
                    listed_before_acked(&listed, before, &word.acked)?;
                }
                words.push(word);
            }
            thread::sleep(POLL_EVERY.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(words)
    }

    fn temporary(&self) -> std::path::PathBuf {
        self.workdir.path().join(ledger::file_name(self.topic.name()) + ".tmp")
    }

    /// Waits until a write of the ledger has begun, and a little longer; not for ever, as there may be none.
    fn wait_for_write(&self, longer: Duration) {
        let (temporary, until) = (self.temporary(), Instant::now() + Duration::from_millis(900));
        while !temporary.exists() && Instant::now() < until {
            thread::sleep(Duration::from_micros(100));
        }
        thread::sleep(longer);
    }

    /// The ledger as it is on the disk, and that all files beside it are whole; `None` while there is none.
    fn left(&self) -> Result<Option<LedgerFile>, String> {
        let folder = self.workdir.path();
        let latest = format!("latest_value_{}.json", self.topic.name());
        if let Some(text) = read(&folder.join(latest)) {
            serde_json::from_slice::<serde_json::Value>(&text)
                .map_err(|error| format!("last values: {error}"))?;
        }
        let Some(text) = read(&folder.join(ledger::file_name(self.topic.name()))) else { return Ok(None) };
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|error| format!("{error} in ledger {}", String::from_utf8_lossy(&text)))
    }

    /// Offsets that the ledger lists, where another client sees no record that names its place.
    fn listed_and_not_there(&self, ledger: &LedgerFile) -> Vec<(i32, i64)> {
        let transactional = self.way.is_transactional();
        let records = if transactional { self.topic.committed_records() } else { self.topic.records() };
        let sound = records.iter().filter(|record| record.names_itself());
        let there: BTreeSet<(i32, i64)> = sound.map(|record| (record.partition, record.offset)).collect();
        let listed = (0..).zip(ledger.ranges()).flat_map(|(partition, ranges)| {
            ranges
                .into_iter()
                .flat_map(move |(lower, upper)| (lower..upper).map(move |offset| (partition, offset)))
        });
        listed.filter(|place| !there.contains(place)).collect()
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// Whether one lists everything that the other does.
fn holds_all(ledger: &LedgerFile, other: &LedgerFile) -> bool {
    let holds = |ranges: &[(i64, i64)], (lower, upper): &(i64, i64)| {
        ranges.iter().any(|range| range.0 <= *lower && *upper <= range.1)
    };
    let pairs = ledger.ranges().into_iter().zip(other.ranges());
    pairs.into_iter().all(|(ranges, others)| others.iter().all(|other| holds(&ranges, other)))
}

/// What a ledger lists was acked before it was written, and so before the producer was asked.
fn listed_before_acked(
    listed: &LedgerFile,
    before: &LedgerFile,
    acked: &BTreeMap<usize, i64>,
) -> Result<(), String> {
    let highest = |ranges: &Vec<(i64, i64)>| ranges.last().map_or(-1, |(_, upper)| upper - 1);
    for (partition, (now, then)) in listed.ranges().iter().zip(before.ranges()).enumerate() {
        let known = highest(&then).max(acked.get(&partition).copied().unwrap_or(-1));
        if highest(now) > known {
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = write!(text, "partition {partition} lists {}, and {known} was acked", highest(now));
            return Err(text);
        }
    }
    Ok(())
}

/// The broker has the records, and nobody has said so: the ledger lists exactly what was acked.
fn what_is_in_the_log_and_was_not_acked_is_not_listed() {
    let mock = Mock::start();
    let (topic, workdir) = (mock.topic(1), Workdir::new());
    let work = "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 100000";
    let producer = Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).with_control().start();
    let acked = || producer.harness().first()[0].producer().acked;
    wait_until("acks", || acked() > 50);
    mock.slow_down(Duration::from_mins(1));
    // Answers that were under way come; then there are none for longer than the ledger may lag behind.
    let (mut last, mut since) = (acked(), Instant::now());
    wait_until("the last ack", || {
        let now = acked();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > GRACE
    });
    producer.signal(Signal::SIGKILL);
    producer.finish().expect_killed();
    mock.slow_down(Duration::ZERO);
    let listed = LedgerFile::read(workdir.path(), topic.name()).count();
    assert_eq!(u64::try_from(listed), Ok(last));
    assert!(topic.ends()[0] > listed, "records in the log that nobody was told of: {:?}", topic.ends());
}

/// What may be missing after one of so many kills was acked within this time before it.
fn grace(kills: u64, words: &[Word]) -> Duration {
    // A test of every day shares its disk with two others, which write and sync as well.
    let disk = if kills <= KILLS { GRACE * 2 } else { Duration::ZERO };
    GRACE + disk + longest_pause(words)
}

/// How much longer than it was to be it took between two words: a machine that has no time for us has none for the
/// producer either.
fn longest_pause(words: &[Word]) -> Duration {
    let pauses = words.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at));
    pauses.max().unwrap_or_default().saturating_sub(POLL_EVERY)
}
