//! The same beside a ledger that is too long to be written whole four times a second: its journal has what came since.

use std::{
    fs::{self, File},
    io::Write,
    iter, thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use proofload::inside::{
    ledger::{Ledger, LedgerStore},
    record::Random,
};

use super::{ENDLESS, GRACE, KILLS, POLL_EVERY, Scene, Way, Word, grace};
use crate::dsl::{Cluster, Running, Workdir, ledger::LedgerFile};

/// Of each other one, a ledger lists a range of its own: in more than the 8 MiB that are still written four times a second.
const RECORDS: usize = 600_000;
/// From here on a ledger is written every 4 s, and read much sooner than with as many bytes of ranges.
const PADDED_BYTES: u64 = 128 << 20;
/// Producers that are killed beside other ledgers for each one here, which takes longer.
const KILLS_FOR_ONE: u64 = 50;
const KILLS_AT_LEAST: u64 = 3;

const WAY: Way = Way { title: "long ledgers", partitions: 1, flags: "", mode: "", latest_ms: 0 };

/// What a kill left, by the ledger alone, and with its journal.
struct Left {
    /// The longest time before the kill from which an ack was missing.
    alone: Duration,
    whole: Duration,
    /// Offsets that only the journal lists.
    in_journal: u64,
}

/// Kills some producers, when so many are killed beside other ledgers.
pub(super) fn kill_some(cluster: &Cluster, of_others: u64) {
    let kills = (of_others / KILLS_FOR_ONE).max(KILLS_AT_LEAST);
    let scene = Scene::new(cluster, &WAY);
    make_long(&scene);
    let mut random = Random::from_seed(of_others);
    let left: Vec<_> = (0..kills).map(|number| kill_one(&scene, number, of_others, &mut random)).collect();
    let wrong: Vec<_> = left.iter().filter_map(|left| left.as_ref().err().cloned()).collect();
    let left: Vec<_> = left.into_iter().flatten().collect();
    println!("kills: {:<36} {:>4} true, {} not", WAY.title, left.len(), wrong.len());
    let longest = |lag: fn(&Left) -> Duration| left.iter().map(lag).max().unwrap_or_default();
    let (alone, whole) = (longest(|left| left.alone), longest(|left| left.whole));
    println!(
        "kills: what was missing in long ledgers was acked at most {} ms before, and without their journals {} ms",
        whole.as_millis(),
        alone.as_millis()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(left.iter().any(|left| left.in_journal > 0), "the journal has added nothing");
    // A machine that takes 4 s to the first ack writes the ledger right behind it: few kills prove nothing of that.
    assert!(of_others <= KILLS || alone > GRACE, "the ledger alone would have done");
    // What is listed is in the log: the reader misses nothing.
    scene.producer("--produce_msgs 300 --seq_read").finish().expect_code(0).expect_nothing_wrong();
    assert!(!store(&scene).journal_path().exists(), "it has ended with a run that was not killed");
}

fn store(scene: &Scene) -> LedgerStore {
    LedgerStore::new(scene.workdir.path(), scene.topic.name())
}

fn load(store: &LedgerStore) -> Result<Ledger, String> {
    store.load(WAY.partitions).map_err(|error| error.to_string())
}

/// Every second one of these records was acked, too: what is listed is true.
fn make_long(scene: &Scene) {
    scene.run(&format!("--msg_size 8 --produce_msgs {RECORDS}")).finish().expect_code(0);
    let ranges: Vec<_> = (0..).step_by(2).map(|offset| (offset, offset + 1)).take(RECORDS / 2).collect();
    fs::write(store(scene).path(), LedgerFile::of(&[&ranges]).text()).expect("a ledger");
}

/// As a tool may leave it that writes more between its words.
fn pad(scene: &Scene) -> Result<(), String> {
    let store = store(scene);
    let saved = store.save(&load(&store)?).map_err(|error| error.to_string())?;
    store.end_journal();
    let mut file = File::options().append(true).open(store.path()).expect("the ledger");
    let spaces = PADDED_BYTES.saturating_sub(saved as u64);
    file.write_all(&vec![b' '; usize::try_from(spaces).expect("a size")]).expect("room for it");
    Ok(())
}

fn kill_one(scene: &Scene, number: u64, of_others: u64, random: &mut Random) -> Result<Left, String> {
    // Each other one is killed before, or at, the first time that its ledger is written whole.
    let is_padded = number.is_multiple_of(2);
    if is_padded {
        pad(scene)?;
    }
    let before = load(&store(scene))?;
    let producer = scene.producer(ENDLESS).with_control().start();
    let after_ms = if is_padded { 1_500 + random.below(3_000) } else { random.below(2_500) };
    let words = listen(scene, &producer, Duration::from_millis(after_ms))?;
    let killed = Instant::now();
    producer.signal(Signal::SIGKILL);
    producer.finish().expect_killed();
    let (alone, whole) = (load(&alone(scene).1)?, load(&store(scene))?);
    let gone = before.partitions()[0].acked() - whole.partitions()[0].acked();
    if !gone.is_empty() {
        return Err(format!("kill {number}: what an earlier one listed is gone: {gone}"));
    }
    let lag = |ledger: &Ledger| longest_lag(ledger, &words, killed);
    let in_journal = whole.acked_count() - alone.acked_count();
    let left = Left { alone: lag(&alone), whole: lag(&whole), in_journal };
    if left.whole > grace(of_others, &words) {
        return Err(format!("kill {number}: lacks what was acked {:?} before", left.whole));
    }
    Ok(left)
}

/// The ledger as other implementations read it.
fn alone(scene: &Scene) -> (Workdir, LedgerStore) {
    let folder = Workdir::new();
    let copy = LedgerStore::new(folder.path(), scene.topic.name());
    fs::copy(store(scene).path(), copy.path()).expect("a copy");
    (folder, copy)
}

/// The longest time before the kill from which an ack is missing.
fn longest_lag(ledger: &Ledger, words: &[Word], killed: Instant) -> Duration {
    let lists = |offset: &i64| ledger.partitions()[0].contains(*offset);
    let lacking = words.iter().filter(|word| !word.acked.values().all(lists));
    lacking.map(|word| killed.duration_since(word.at)).max().unwrap_or_default()
}

/// Asks again and again for what was acked, for so long behind the first ack. At times the ledger is read, too: it lists
/// nothing that was not acked.
fn listen(scene: &Scene, producer: &Running, behind: Duration) -> Result<Vec<Word>, String> {
    const READ_EVERY: usize = 10;
    let (http, mut words) = (producer.http(), Vec::<Word>::new());
    loop {
        let listed =
            if words.len() % READ_EVERY == READ_EVERY - 1 { Some(load(&store(scene))?) } else { None };
        if let Some(word) = Word::of(&http)? {
            let known = word.acked.values().chain(iter::once(&0)).max();
            let listed = listed.as_ref().and_then(|ledger| ledger.partitions()[0].highest());
            if listed.as_ref() > known && word.acked.len() == 1 {
                return Err(format!("lists {listed:?}, and {known:?} was acked"));
            }
            words.push(word);
        }
        let first = words.iter().find(|word| !word.acked.is_empty());
        if first.is_some_and(|word| word.at.elapsed() >= behind) {
            return Ok(words);
        }
        thread::sleep(POLL_EVERY);
    }
}
