//! The longer texts: `proofload help TOPIC`.

/// Each topic, and what it is about.
pub(in crate::cli) const NAMES: &[(&str, &str)] = &[
    ("verdicts", "what the first line of the summary means, and the exit codes"),
    ("summary", "what its other lines mean; what to look at when a run is slow"),
    ("violations", "what can be wrong with the data: likely cause, next step"),
    ("ledger", "the file with the acked offsets, and who may share it"),
    ("transactions", "transactional producers, aborts, and what readers see"),
    ("compaction", "compacted topics, tombstones, last values"),
    ("security", "TLS, SASL, passwords, the ACLs that are needed"),
    ("placement", "cores, shards, the client library's threads"),
    ("control-port", "HTTP paths, who may call them"),
    ("terminal", "progress, colours, logs, signals"),
];

/// The text of a topic.
pub(in crate::cli) fn find(name: &str) -> Option<&'static str> {
    Some(match name {
        "verdicts" => include_str!("topics/verdicts.txt"),
        "summary" => include_str!("topics/summary.txt"),
        "violations" => include_str!("topics/violations.txt"),
        "ledger" => include_str!("topics/ledger.txt"),
        "transactions" => include_str!("topics/transactions.txt"),
        "compaction" => include_str!("topics/compaction.txt"),
        "security" => include_str!("topics/security.txt"),
        "placement" => include_str!("topics/placement.txt"),
        "control-port" => include_str!("topics/control-port.txt"),
        "terminal" => include_str!("topics/terminal.txt"),
        _ => return None,
    })
}
