//! Tries inputs, keeps those that lead somewhere new, and says what went wrong.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use proofload::inside::record::Random;

use super::{instruments::Edges, mutate::mutate};

/// Where somebody has the time: how long each target is tried, s.
const SECONDS: &str = "PROOFLOAD_FUZZ_SECONDS";
/// Else so many inputs.
const USUAL: u64 = 3_000;
/// One input must not take longer.
const LONGEST: Duration = Duration::from_secs(2);

/// Memory and edges are the process's: one target at a time.
static ONE: Mutex<()> = Mutex::new(());

/// A target's inputs so far.
struct Corpus {
    folder: Option<PathBuf>,
    /// `None`: nobody knows where a run went.
    counters: Option<Edges>,
    inputs: Vec<Vec<u8>>,
    /// Of each edge, how often it was gone over at once: a bit for each order of magnitude.
    seen: Vec<u8>,
    edges: usize,
}

impl Corpus {
    /// Keeps an input if its run went where none did before.
    fn consider(&mut self, input: &[u8]) -> bool {
        let Some(counters) = &mut self.counters else { return false };
        let counters = counters.take().expect("the counters can be read");
        self.seen.resize(counters.len(), 0);
        let mut is_new = false;
        for (counter, seen) in counters.iter().zip(&mut self.seen).filter(|(counter, _)| **counter > 0) {
            let order = 1_u8 << counter.ilog2();
            if *seen & order == 0 {
                is_new = true;
                self.edges += usize::from(*seen == 0);
                *seen |= order;
            }
        }
        if is_new {
            self.inputs.push(input.to_vec());
        }
        is_new
    }

    fn save(&self, name: &str, input: &[u8]) {
        if let Some(folder) = &self.folder {
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(name), input));
            written.expect("inputs can be kept");
        }
    }

    fn load(&mut self) -> Vec<Vec<u8>> {
        let files = self.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok());
        let all = files.into_iter().flatten().flatten().filter_map(|file| fs::read(file.path()).ok());
        all.collect()
    }
}

/// Tries a target with these inputs, with those that were kept before, and with what comes of them.
pub fn fuzz(target: &str, seeds: &[Vec<u8>], run: impl Fn(&[u8])) {
    let seconds = env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    let folder = seconds.map(|_: u64| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(target));
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut corpus =
        Corpus { folder, counters: Edges::find(), inputs: Vec::new(), seen: Vec::new(), edges: 0 };
    let kept = corpus.load();
    for input in seeds.iter().chain(&kept) {
        try_one(&corpus, input, &run);
        corpus.consider(input);
    }
    let is_blind = corpus.counters.is_none();
    assert!(seconds.is_none() || !is_blind, "built without counters of edges: see scripts/prove --fuzz");
    if is_blind {
        corpus.inputs.extend_from_slice(seeds);
    }
    let (began, mut random) = (Instant::now(), Random::from_seed(began_as(seconds)));
    let (mut runs, edges_before) = (0, corpus.edges);
    while seconds.map_or(runs < USUAL, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        // The last ones that were found lead on more often than others.
        let count = corpus.inputs.len();
        let recent = random.index(count).max(random.index(count));
        let mut input = corpus.inputs[recent].clone();
        let other = corpus.inputs[random.index(count)].clone();
        mutate(&mut input, &other, &mut random);
        try_one(&corpus, &input, &run);
        if corpus.consider(&input) {
            corpus.save(&format!("{:016x}", hash(&input)), &input);
        }
        runs += 1;
    }
    if seconds.is_some() {
        let Corpus { inputs, edges, .. } = &corpus;
        println!(
            "fuzz: 1 true, 0 not, {target}: {runs} inputs, {edges} edges ({} new), {} inputs kept",
            edges - edges_before,
            inputs.len()
        );
    }
}

/// Each long run goes its own way; the short ones do not.
fn began_as(seconds: Option<u64>) -> u64 {
    seconds.map_or(1, |_| Random::from_entropy().next_u64())
}

fn try_one(corpus: &Corpus, input: &[u8], run: &impl Fn(&[u8])) {
    let began = Instant::now();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(input)));
    let took = began.elapsed();
    if outcome.is_err() || took > LONGEST {
        corpus.save(&format!("wrong-{:016x}", hash(input)), input);
        panic!("this input is not survived, or takes {took:?}: {input:02x?}");
    }
}

fn hash(input: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(input);
    hasher.finish()
}
