//! What a run has shown, gathered for its verdict from whatever is known at the moment.

use std::sync::atomic::Ordering::Relaxed;

use indicatif::HumanCount;

use super::{
    Shared,
    error::RunError,
    verdict::{Facts, Failure},
};
use crate::{
    config::{Brokers, RepeaterConfig, VerifierConfig},
    findings::complaints,
    human,
    kafka::named,
    ledger::LedgerStore,
    stats::{Board, ProducerBoard, ReaderBoard, ReaderKind, RepeaterBoard, SlicesRead},
};

/// As many slices are named where several have no ledger.
const NAMED_SLICES: usize = 5;

/// Facts of a verifier's run; `board` once its workers exist.
pub(crate) fn of_verifier(config: &VerifierConfig, shared: &Shared, error: Option<&RunError>) -> Facts {
    let facts = of_any(shared, error);
    let Some(board) = shared.board.get() else { return facts };
    let acked = |producer: &ProducerBoard| {
        let totals = producer.raw_totals();
        totals.acked + totals.bad_offsets > 0
    };
    let lost_offsets = lost_offsets(board);
    // Whoever has found that all is lost has done something.
    let progress = board.producer.as_ref().is_some_and(acked)
        || board.readers.iter().any(|reader| reader.raw_totals().records() > 0)
        || lost_offsets > 0;
    let last_pass = || (!progress && shared.lifecycle.last_pass_requested()).then(|| "/last_pass".to_owned());
    Facts {
        complete: board.is_complete() && progress,
        progress,
        interruption: facts.interruption.or_else(last_pass),
        done: done(board),
        nothing_to_read: nothing_to_read(config, board),
        lost_offsets,
        not_vouched_for: not_vouched_for(config, board),
        ..facts
    }
}

/// Facts of a repeater's run: it has no end of its own, so it has done what was asked for when tokens have gone round.
pub(crate) fn of_repeater(config: &RepeaterConfig, shared: &Shared, error: Option<&RunError>) -> Facts {
    let facts = of_any(shared, error);
    let consumed = shared.repeater.get().map_or(0, |board: &RepeaterBoard| board.raw_totals().consumed);
    let nothing_came = format!("tokens that come round in group {}", config.group);
    Facts {
        complete: consumed > 0,
        progress: consumed > 0,
        done: format!("{} tokens consumed", HumanCount(consumed)),
        waits_for: facts.waits_for.or(Some(nothing_came)),
        not_vouched_for: vec!["a repeater keeps no ledger: only tokens and their order were checked".into()],
        ..facts
    }
}

/// What does not depend on the program. A broken promise counts more than what else went wrong.
fn of_any(shared: &Shared, error: Option<&RunError>) -> Facts {
    let lifecycle = &shared.lifecycle;
    let told = of_error(error);
    let halt = || lifecycle.halt().map(|(code, cause)| (code == 1, cause));
    let halted_by_violation = || halt().and_then(|(is_violation, what)| is_violation.then_some(what));
    let failed = || {
        let cause = lifecycle.failure().or_else(|| halt().map(|(_, cause)| cause))?;
        Some(Failure { cause, is_usage: false })
    };
    Facts {
        violation: told.violation.or_else(|| found(shared)).or_else(halted_by_violation),
        failure: told.failure.or_else(failed),
        stall: shared.stalls.open().map(|stall| stall.to_string()),
        interruption: lifecycle.interruption(),
        waits_for: shared.waits.open().map(|wait| wait.to_string()).or_else(|| away(shared)),
        complaint: complaints().last_words(),
        ..Facts::default()
    }
}

/// Brokers that are not there.
fn away(shared: &Shared) -> Option<String> {
    let (up, known) = (shared.brokers.up.load(Relaxed), shared.brokers.known.load(Relaxed));
    (up < known).then(|| format!("{} of {known} brokers, which are away", known - up))
}

/// What can be said where there is nothing but an error, or not even that.
pub(crate) fn of_error(error: Option<&RunError>) -> Facts {
    match error {
        None => Facts::default(),
        Some(RunError::Violation(violation)) => {
            Facts { violation: Some(violation.to_string()), ..Facts::default() }
        }
        Some(error @ RunError::Violations { .. }) => {
            Facts { violation: Some(error.to_string()), ..Facts::default() }
        }
        Some(error) => {
            let failure = Failure { cause: error.to_string(), is_usage: error.exit_code() == 2 };
            Facts { failure: Some(failure), ..Facts::default() }
        }
    }
}

/// Violations that did not end the run.
fn found(shared: &Shared) -> Option<String> {
    let first = shared.violations.kept().first().map(ToString::to_string)?;
    Some(match shared.violations.count() {
        1 => first,
        count => format!("{count} violations, the first: {first}"),
    })
}

fn done(board: &Board) -> String {
    let of = |goal: u64| if goal == 0 { String::new() } else { format!(" of {}", HumanCount(goal)) };
    let mut parts = Vec::new();
    if let Some(producer) = &board.producer {
        let acked = HumanCount(producer.raw_totals().acked);
        parts.push(format!("{acked}{} records acked", of(producer.goal())));
    }
    for kind in [ReaderKind::Random, ReaderKind::Sequential, ReaderKind::Group] {
        let readers: Vec<&ReaderBoard> = board.readers.iter().filter(|reader| reader.kind == kind).collect();
        if readers.is_empty() {
            continue;
        }
        let records: u64 = readers.iter().map(|reader| reader.raw_totals().records()).sum();
        let goal: u64 = readers.iter().map(|reader| reader.goal()).sum();
        // Readers that loop are soon beyond what there was when they began.
        let of = if records > goal { String::new() } else { of(goal) };
        parts.push(format!("{}{of} by the {}", HumanCount(records), kind.name()));
    }
    parts.join(", ")
}

/// What a reader says that has come to the end of a pass, and was not shown as much as it should have read.
fn nothing_to_read(config: &VerifierConfig, board: &Board) -> Option<String> {
    let is_short = |reader: &&ReaderBoard| {
        let records = reader.raw_totals().records();
        reader.passes() > 0 && (records == 0 || reader.kind == ReaderKind::Random && records < reader.goal())
    };
    let reader = board.readers.iter().find(is_short)?;
    let behind = match config.group_read.as_ref().and_then(|group| group.name.as_ref()) {
        Some(name) if reader.kind == ReaderKind::Group => {
            format!(" beyond the committed offsets of group {name}")
        }
        _ => String::new(),
    };
    let removed = match board.readers.iter().map(ReaderBoard::removed).max().unwrap_or(0) {
        0 => String::new(),
        removed => format!(": retention had removed {}", human::count(removed, "acked record")),
    };
    Some(format!("there was nothing to read in topic {}{behind}{removed}", config.topic))
}

/// Offsets that the readers miss: each of them finds the same. What the producer truncated from its ledger they do not know.
fn lost_offsets(board: &Board) -> u64 {
    let lost = |reader: &ReaderBoard| reader.raw_totals().lost_offsets.values().sum::<i64>();
    let missed = board.readers.iter().map(lost).max().unwrap_or(0).max(0).unsigned_abs();
    missed + board.producer.as_ref().map_or(0, |producer| producer.raw_totals().lost_offsets)
}

/// What no ledger vouches for; nothing where one of the readers has read all that the ledger lists, and no more.
fn not_vouched_for(config: &VerifierConfig, board: &Board) -> Vec<String> {
    if board.readers.is_empty() {
        let acked = board.producer.as_ref().map_or(0, |producer| producer.raw_totals().acked);
        return vec![format!("the {} acked records were not read back", HumanCount(acked))];
    }
    let rank = |reader: &&ReaderBoard| match reader.kind {
        ReaderKind::Sequential => 0,
        ReaderKind::Group => 1,
        ReaderKind::Random => 2,
    };
    let mut readers: Vec<_> = board.readers.iter().collect();
    readers.sort_by_key(rank);
    let reservations: Vec<_> =
        readers.into_iter().map(|reader| reservations(config, board, reader)).collect();
    // Of several groups each is to have read all.
    if board.readers.iter().filter(|reader| reader.kind == ReaderKind::Group).count() > 1 {
        return reservations.into_iter().find(|of_group| !of_group.is_empty()).unwrap_or_default();
    }
    let all_vouched_for = reservations.iter().any(Vec::is_empty);
    if all_vouched_for { Vec::new() } else { reservations.into_iter().next().unwrap_or_default() }
}

/// Why not everything that this reader should have read is vouched for. Only a sequential read, or a group that begins at
/// the start, sees every record.
fn reservations(config: &VerifierConfig, board: &Board, reader: &ReaderBoard) -> Vec<String> {
    let (mut list, coverage) = (Vec::new(), reader.coverage());
    let (limit, name) = match reader.kind {
        ReaderKind::Random => (None, None),
        ReaderKind::Sequential => (config.seq_read.as_ref().and_then(|read| read.max_messages), None),
        ReaderKind::Group => {
            let group = config.group_read.as_ref();
            (group.and_then(|group| group.max_messages), group.and_then(|group| group.name.as_ref()))
        }
    };
    if board.ledger_acked() == 0 {
        list.push(no_ledger(config, board));
    } else {
        // The summary counts all passes.
        let of_pass = if reader.passes() > 1 { "in the last pass, " } else { "" };
        list.extend(
            coverage.reservations(&reader.other_runs()).iter().map(|what| format!("{of_pass}{what}")),
        );
    }
    list.extend(missing_slices(config, board));
    if reader.kind == ReaderKind::Random {
        list.push("records were read here and there only".to_owned());
        return list;
    }
    let (kind, gaps) = (reader.kind.name(), reader.raw_totals().offset_gaps);
    if gaps > 0 && !config.proof.transactions && !config.proof.compacted {
        list.push(format!(
            "there are {} gaps between offsets: a log with transactions is read with --use-transactions, a compacted one \
             with --compacted",
            HumanCount(gaps)
        ));
    }
    if let Some(limit) = limit {
        list.push(format!("the {kind} was to stop after {} records (--seq_read_msgs)", HumanCount(limit)));
    } else if reader.passes() == 0 {
        list.push(format!("the {kind} ended before the end of the log (--duration)"));
    } else if reader.raw_totals().valid_reads == 0 {
        list.push("no record was read".to_owned());
    }
    if let Some(name) = name.filter(|_| coverage.committed_before == 0) {
        list.push(format!("group {name} (--consumer_group_name) does not read again what it has committed"));
    }
    list
}

/// Of whose partitions nothing is proven, because the ledger of their slice is not there.
fn missing_slices(config: &VerifierConfig, board: &Board) -> Option<String> {
    let SlicesRead { missing, .. } = board.slices();
    let (slices, partitions): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
    let [first, ..] = slices[..] else { return None };
    let mut partitions = partitions.concat();
    partitions.sort_unstable();
    let names = slices.iter().take(NAMED_SLICES).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = slices.len().saturating_sub(NAMED_SLICES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let path = LedgerStore::of(&config.ledger_dir, &config.topic, Some(first)).path().to_owned();
    Some(format!(
        "{} {names}{more} {} no ledger ({}): nothing is proven of {}",
        if slices.len() == 1 { "slice" } else { "slices" },
        if slices.len() == 1 { "has" } else { "have" },
        std::path::absolute(&path).unwrap_or(path).display(),
        named("partition", partitions)
    ))
}

fn no_ledger(config: &VerifierConfig, board: &Board) -> String {
    let store = LedgerStore::of(&config.ledger_dir, &config.topic, config.producing_slice());
    let path = std::path::absolute(store.path()).unwrap_or_else(|_| store.path().to_owned());
    let is_there = path.exists() || board.slices().of > 0;
    if matches!(config.common.brokers, Brokers::Embedded { .. }) || is_there {
        return "the ledger lists nothing that was acked: lost writes cannot be detected".to_owned();
    }
    format!("there is no ledger at {}: lost writes cannot be detected", path.display())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        cli::{Command, Program, parse},
        stats::{CoverageTotals, ReaderStats},
    };

    /// A benchmark's reader that has come to its end.
    fn reader(kind: ReaderKind, pass: CoverageTotals) -> ReaderBoard {
        let stats = ReaderStats::new(&[0]);
        stats.valid_reads.add(pass.vouched_for);
        stats.coverage.set(pass, Vec::new());
        let reader = ReaderBoard::new(kind, vec![Arc::new(stats)]);
        reader.end_pass();
        reader
    }

    #[test]
    fn each_of_several_groups_must_have_read_all() {
        let words = ["bench", "--readers", "2x1"].into_iter().map(Into::into);
        let Ok(Command::Bench(config)) = parse(Program::Proofload, words) else { panic!("no benchmark") };
        let whole = CoverageTotals { vouched_for: 9, ..CoverageTotals::default() };
        let short = CoverageTotals { vouched_for: 7, unexplained: 2, ..CoverageTotals::default() };
        let said = |kind, passes: [CoverageTotals; 2]| {
            let readers = passes.into_iter().map(|pass| reader(kind, pass)).collect();
            let board = Board::new("t".into(), None, readers);
            board.note_ledger(9);
            not_vouched_for(&config.verifier, &board)
        };
        assert_eq!(said(ReaderKind::Group, [whole, whole]), [""; 0]);
        for passes in [[whole, short], [short, whole]] {
            let said = said(ReaderKind::Group, passes);
            assert!(said.len() == 1 && said[0].starts_with("2 acked records were not shown"), "{said:?}");
        }
        assert_eq!(said(ReaderKind::Sequential, [whole, short]), [""; 0], "one of them is enough");
    }
}
