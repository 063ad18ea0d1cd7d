//! Aborts of which the brokers say one thing, and the log another.

/// How the brokers' list of aborted transactions contradicts the markers in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FalseAbort {
    /// The log has a transaction aborted, and the list does not: its records were shown.
    Hidden,
    /// The log has a transaction committed, and the list has it aborted: its records were not shown.
    Invented,
    /// The list has an abort begin behind the transaction's first record: those before were shown.
    Belated,
}
